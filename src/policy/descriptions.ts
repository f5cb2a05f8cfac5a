/** What an editor shows beside each key of a policy file: a sentence or two, and what may stand there. For policy/policy.schema.json. */

export type Teaching = { description: string; examples?: readonly unknown[] }

const duration = ['15m', '12h', '30d']
const tokenLifetime = ['90s', '15m', '12h']
const scopes = [['wiki:read', 'wiki:write']]

/** By the keys that lead to it, without the names that an admin chooses. */
export const descriptions: Readonly<Record<string, Teaching>> = {
  $schema: { description: 'Where this schema is, for editors.', examples: ['./policy.schema.json'] },
  groups: {
    description: 'Groups of people: a name that starts with "group:", and login names and other groups. An empty group is refused.',
    examples: [{ 'group:eng': ['alice@example.com', 'group:oncall'] }],
  },
  mesh_groups: {
    description: 'Names of groups that only the mesh knows, so that a misspelt one is found.',
    examples: [['group:support']],
  },
  mesh_grants: { description: 'Grants that the tailnet policy sends along with a caller.' },
  'mesh_grants.capability': { description: 'The name of the capability that holds them.', examples: ['example.com/cap/meshidp'] },
  'mesh_grants.admin': { description: 'Whether these may make admins too. Default: false.' },

  resources: {
    description: 'What tokens are for (MCP servers, APIs): a name that starts with "resource:", and what it is.',
    examples: [{ 'resource:wiki': { uri: 'https://wiki.example.com/mcp', scopes: ['wiki:read'] } }],
  },
  'resources.uri': {
    description: 'The audience of its tokens: an absolute URI without fragment (RFC 8707 §2). A slash at its end makes no other resource.',
    examples: ['https://wiki.example.com/mcp'],
  },
  'resources.name': { description: 'What the consent page calls it. Default: the name after "resource:".', examples: ['Wiki'] },
  'resources.description': { description: 'For readers of this file.', examples: ["The team's pages, as an MCP server."] },
  'resources.scopes': {
    description: 'What can be allowed there: a list of scopes, or each scope with the sentence that people read on the consent page.',
    examples: [['wiki:read'], { 'wiki:read': 'Read every page that you may read' }],
  },
  'resources.default': { description: 'The one resource for clients that never say which they want. Default: false.' },
  'resources.token_format': {
    description:
      '"jwt" (default) can be checked locally; "opaque" says nothing by itself, and is dead everywhere as soon as it is revoked.',
  },
  'resources.check': {
    description: 'What its servers do with a token: "local" (default for JWTs) or "introspect" (the only way for opaque tokens).',
  },
  'resources.allow_unverified_clients': {
    description:
      'Whether software that this file does not name may get tokens for it: true, false (default), or those scopes that it may get.',
    examples: [true, ['wiki:read']],
  },
  'resources.signing_alg': { description: 'How its access tokens are signed. Default: ES256.' },
  'resources.may_act': {
    description:
      'The one client that may exchange its tokens, which they then say themselves (RFC 8693 §4.4). Default: whoever a grant lets.',
    examples: ['client:gateway'],
  },

  clients: {
    description: 'Software known in advance: a name that starts with "client:", and what it is. All other software registers itself.',
    examples: [{ 'client:grafana': { redirect_uris: ['https://grafana.example.com/login/generic_oauth'], client_secret_file: 'grafana' } }],
  },
  'clients.client_id': {
    description:
      'Default: its own name, such as "client:grafana". An https address without "redirect_uris" beside it names a metadata document.',
    examples: ['grafana', 'https://app.example.com/client.json'],
  },
  'clients.name': { description: 'What the consent page calls it. Default: the name after "client:".', examples: ['Grafana'] },
  'clients.redirect_uris': {
    description: 'Where answers may go, compared to the letter; on http loopback the port is free (RFC 8252 §7.3).',
    examples: [['https://grafana.example.com/login/generic_oauth'], ['http://127.0.0.1/callback']],
  },
  'clients.post_logout_redirect_uris': {
    description: 'Where a person may be sent after a logout, compared to the letter.',
    examples: [['https://grafana.example.com/login']],
  },
  'clients.client_secret_file': {
    description:
      'The bare name of a file among the secrets, at least 16 characters. Without it, and without another credential, the client is public.',
    examples: ['grafana'],
  },
  'clients.jwks': { description: 'Its public keys (RFC 7517). Never a private one.' },
  'clients.jwks.keys': {
    description: 'One object for each key.',
    examples: [[{ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }]],
  },
  'clients.jwks.keys.kty': { description: 'The type of the key.', examples: ['EC', 'OKP', 'RSA'] },
  'clients.jwks_uri': { description: 'An https address where its public keys are.', examples: ['https://app.example.com/jwks.json'] },
  'clients.default_resource': {
    description: 'The resource for its requests that name none and ask for more than who somebody is.',
    examples: ['resource:wiki'],
  },
  'clients.node': { description: 'Tags: a node with one of them is the credential.', examples: [['tag:mcp-gateway']] },
  'clients.spiffe_id': {
    description: 'The workload that it is: its JWT-SVID is the credential.',
    examples: ['spiffe://example.com/grafana'],
  },
  'clients.compat': { description: 'What it does otherwise than it should, and may.' },
  'clients.compat.assertion_aud': {
    description: "Whether its assertions may be for the token endpoint's address, as older software writes, instead of for the issuer.",
  },
  'clients.require_pkce': {
    description:
      'Default: true. Only false for a client with a credential that cannot do PKCE; it must then send a nonce (OAuth 2.1 §7.5.1).',
  },
  'clients.id_token_signed_response_alg': { description: 'How its ID tokens are signed. Default: RS256.' },

  grants: {
    description:
      'What is allowed. Every grant allows; all that match add up; their order means nothing; where none matches, the answer is no.',
    examples: [[{ src: ['group:eng'], dst: ['resource:wiki'], app: { authorize: [{ scopes: ['wiki:read'], clients: ['*'] }] } }]],
  },
  'grants.src': {
    description:
      'Who: login names, "*@example.com", "*" (people of this tailnet), "group:", "tag:", "client:", "spiffe://" (a star is one whole segment), autogroup:member, autogroup:tagged, addresses of the mesh.',
    examples: [['group:eng', 'alice@example.com'], ['*@example.com'], ['tag:ci']],
  },
  'grants.dst': {
    description:
      'At what: resources, for their scopes; clients or autogroup:registered, for openid, profile, email, groups and offline_access.',
    examples: [['resource:wiki'], ['client:grafana', 'autogroup:registered']],
  },
  'grants.app': { description: 'What: capabilities, each a list of objects, of which each allows by itself.' },
  'grants.app.authorize': {
    description: 'Tokens in the name of the person, with software that they use.',
    examples: [[{ scopes: ['wiki:read'], clients: ['*'], consent: 'once' }]],
  },
  'grants.app.authorize.scopes': {
    description: 'Scopes of the resources, and identity scopes at clients, that may be given.',
    examples: [...scopes, ['openid', 'email']],
  },
  'grants.app.authorize.clients': {
    description: 'With which software: names of clients, autogroup:registered, or "*" for any. Default: all that this file names.',
    examples: [['client:grafana'], ['*']],
  },
  'grants.app.authorize.consent': {
    description: 'Whether the person is asked "always" (default), "once", or "never", which is only for software that this file names.',
  },
  'grants.app.authorize.bind': {
    description: '"user" (default), or "node": the token is refreshed only from the machine that it was given to.',
  },
  'grants.app.authorize.access_token_ttl': { description: 'How long an access token is good: a day at the most.', examples: tokenLifetime },
  'grants.app.authorize.refresh_token_ttl': { description: 'How long a sign-in can be refreshed.', examples: duration },
  'grants.app.register': {
    description: 'To bring software of their own.',
    examples: [[{ via: ['dcr', 'cimd'], client_ttl: '30d', max_clients: 20 }]],
  },
  'grants.app.register.via': {
    description:
      'By registration ("dcr"), by a metadata document ("cimd"), or by registration with an initial access token. Default: dcr and cimd.',
    examples: [['dcr', 'cimd']],
  },
  'grants.app.register.redirect_uris': {
    description:
      'Hosts that answers, and people who have signed out, may go to, "*.example.com" for all below one, or a scheme with its colon. Default: any.',
    examples: [['localhost', '127.0.0.1', '*.example.com'], ['com.example.app:']],
  },
  'grants.app.register.metadata': { description: 'Unknown metadata is ignored ("lenient", the default) or refused ("strict").' },
  'grants.app.register.confidential': { description: 'Whether it may have a secret of its own. Default: false.' },
  'grants.app.register.client_ttl': { description: 'Unused for so long, it is gone. Default: 90d.', examples: ['30d', '90d'] },
  'grants.app.register.max_clients': { description: 'How many each of them may have. Default: 20.', examples: [20] },
  'grants.app.exchange': {
    description: 'Tokens for another resource, in exchange for one that is held (RFC 8693): for what acts for somebody.',
    examples: [[{ actors: ['client:gateway'], from: ['resource:gateway'], scopes: { 'wiki:read': ['tools:call'] } }]],
  },
  'grants.app.exchange.actors': {
    description: 'Who acts: clients, tags of the machine that one is proven by, or workloads by their SPIFFE ID.',
    examples: [['client:gateway'], ['tag:mcp-gateway'], ['spiffe://example.org/ns/*/sa/gateway']],
  },
  'grants.app.exchange.from': {
    description: 'What the token in its hands may be for: resources; or a client, for the ID tokens that it was given.',
    examples: [['resource:gateway'], ['client:portal']],
  },
  'grants.app.exchange.scopes': {
    description: 'Each scope that may be wanted, with those of which the held token needs one.',
    examples: [{ 'wiki:read': ['tools:call'] }],
  },
  'grants.app.exchange.max_depth': { description: 'How many exchanges a token may descend from. Default: 1.', examples: [1] },
  'grants.app.exchange.beyond_subject': { description: 'Whether more is given than the person could get there. Default: false.' },
  'grants.app.exchange.impersonate': { description: 'Whether the token may hide who acts (RFC 8693 §1.1). Default: false.' },
  'grants.app.exchange.refresh_token': {
    description: 'Whether a refresh token comes with it, so that it may go on when the token in its hands has ended. Default: false.',
  },
  'grants.app.client_credentials': {
    description: 'Tokens of its own, for a client or a tagged node.',
    examples: [[{ scopes: ['wiki:read'] }]],
  },
  'grants.app.client_credentials.scopes': { description: 'Scopes of the resources that may be given.', examples: scopes },
  'grants.app.client_credentials.access_token_ttl': {
    description: 'How long a token is good: a day at the most.',
    examples: tokenLifetime,
  },
  'grants.app.introspect': {
    description: 'To look at tokens for these resources (RFC 7662): for their own servers.',
    examples: [[{}], [{ chain: true }]],
  },
  'grants.app.introspect.chain': { description: 'Whether the answer also tells by which exchanges a token came about. Default: false.' },
  'grants.app.funnel': {
    description: 'To come from the public internet, through Tailscale Funnel: for software that proves itself. People never do.',
    examples: [[{}]],
  },
  'grants.app.claims': {
    description: 'What clients learn about a person, beyond the identity scopes.',
    examples: [[{ groups: ['group:eng'] }]],
  },
  'grants.app.claims.claims': {
    description: 'Claims to add, never one that meshidp says itself.',
    examples: [{ department: 'Engineering' }],
  },
  'grants.app.claims.groups': {
    description: 'Names of groups that are let out, of those that the person is in.',
    examples: [['group:eng', 'group:oncall']],
  },
  'grants.app.admin': { description: 'To look after meshidp.', examples: [[{ access: 'read' }]] },
  'grants.app.admin.access': { description: '"read": to look; "write": to change things too.' },
  'grants.posture': { description: "What the caller's node must be, as whois says it. All that is said here must hold; of a list, one." },
  'grants.posture.os': { description: 'Its system, as it says of itself: no proof.', examples: [['linux', 'macOS']] },
  'grants.posture.os_version': {
    description: 'The oldest version of its one system that will do, as it says of itself: no proof.',
    examples: ['14.2'],
  },
  'grants.posture.tags': { description: 'Its tags, of which it has one at least.', examples: [['tag:ci']] },
  'grants.posture.attributes': {
    description: 'Attributes that the control plane gave it, of which it has one at least.',
    examples: [['custom:managed']],
  },
  'grants.posture.key_expiry': { description: 'Its key must be one that expires.' },
  'grants.expires': {
    description: 'From then on the grant gives nothing: a date (its first moment, in UTC), or a time with its offset.',
    examples: ['2027-03-31', '2027-03-31T18:00:00+02:00'],
  },
  'grants.reason': {
    description: 'Why, for people: where it is explained, and where it was nearly enough.',
    examples: ['The migration, until the end of March (ticket 4711)'],
  },

  tests: {
    description: 'What must hold. A policy that fails one of its tests is not loaded.',
    examples: [[{ src: 'alice@example.com', app: 'authorize', dst: 'resource:wiki', accept: ['wiki:read'], deny: ['wiki:write'] }]],
  },
  'tests.src': {
    description: 'Who asks: a login name, a tag, or a client.',
    examples: ['alice@example.com', 'tag:ci', 'client:wiki-server'],
  },
  'tests.app': { description: 'For which capability.' },
  'tests.dst': {
    description: 'At what: a resource, or for identity scopes and claims a client or autogroup:registered.',
    examples: ['resource:wiki', 'client:grafana'],
  },
  'tests.client': {
    description: 'With which software. Without it any will do: what is accepted is given with some, what is denied with none.',
    examples: ['client:grafana', 'autogroup:registered'],
  },
  'tests.with': { description: 'exchange: the scopes of the token in its hands.', examples: [['tools:call']] },
  'tests.actor': { description: 'exchange: who acts, a client or a tag.', examples: ['client:gateway'] },
  'tests.from': {
    description: 'exchange: what the token in its hands is for, a resource or (an ID token) a client.',
    examples: ['resource:gateway'],
  },
  'tests.redirect_uris': { description: "register: where answers go, in the words of a grant's redirect_uris.", examples: [['localhost']] },
  'tests.accept': {
    description: 'Scopes that must be given; of register dcr and cimd, of admin read and write. "*" is any of them.',
    examples: [['wiki:read'], ['*']],
  },
  'tests.deny': { description: 'Scopes that must not be given, in the same words. "*": none at all.', examples: [['wiki:write'], ['*']] },
  'tests.given': { description: 'Facts about who asks, beside their groups in this file.' },
  'tests.given.groups': { description: 'Groups that the mesh shows.', examples: [['group:support']] },
  'tests.given.tags': { description: 'Further tags of a tagged node.', examples: [['tag:prod']] },
  'tests.given.os': { description: 'The system of its node.', examples: ['linux'] },
  'tests.given.os_version': { description: 'The version of that system.', examples: ['14.2'] },
  'tests.given.attributes': { description: 'Attributes of its node.', examples: [['custom:managed']] },
  'tests.given.address': { description: 'The mesh address that it calls from.', examples: ['100.64.0.5'] },
  'tests.given.key_expiry': { description: 'Whether the key of its node expires.' },
  'tests.given.caps': {
    description: 'What the tailnet policy sends along, under the name in "mesh_grants".',
    examples: [{ 'example.com/cap/meshidp': [{ app: { admin: [{ access: 'read' }] } }] }],
  },
}

/** What is said of the key that a path of a document ends with; undefined where it ends with a name that an admin chose, or with an item of a list. */
export function teachingOf(path: readonly (string | number)[]): Teaching | undefined {
  let keys = ''
  let last = false
  for (const segment of path) {
    const longer = keys === '' ? String(segment) : `${keys}.${segment}`
    last = typeof segment === 'string' && Object.hasOwn(descriptions, longer)
    if (last) keys = longer
  }
  return last ? descriptions[keys] : undefined
}

/** What may stand there instead of what is wrong, where that is short: `For example "15m".` */
export function exampleOf(path: readonly (string | number)[], found: 'wrong' | 'missing'): string | undefined {
  if (found === 'missing') return undefined
  const [example] = teachingOf(path)?.examples ?? []
  const shown = example === undefined ? '' : JSON.stringify(example)
  return shown.length > 0 && shown.length <= 60 ? `For example ${shown}.` : undefined
}
