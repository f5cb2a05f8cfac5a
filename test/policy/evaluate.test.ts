import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { MeshNode, NodePrincipal, Principal, UserPrincipal } from '../../src/oauth/principal.ts'
import { type Allowed, type Asked, type ClientFacts, compile, type Denied, evaluate, type Policy } from '../../src/policy/index.ts'

const node: MeshNode = { id: 'n1', name: 'laptop', addresses: ['100.64.0.1'], key_expiry: null, os: 'linux', os_version: null }

const user = (login: string, more: Partial<UserPrincipal> = {}): UserPrincipal => ({
  kind: 'user',
  user_id: '1',
  login,
  display_name: null,
  picture: null,
  groups: null,
  capabilities: new Map(),
  node,
  address: '100.64.0.1',
  ...more,
})
const tagged = (...tags: string[]): NodePrincipal => ({ kind: 'node', tags, capabilities: new Map(), node, address: '100.64.0.2' })

const alice = user('alice@example.com')
const bob = user('bob@example.com')
const carol = user('carol@example.com')
const mallory = user('mallory@other.com')

const stranger = { client_id: 'abc', name: null }
const app = { client_id: 'client:app', name: 'client:app' }
const other = { client_id: 'client:other', name: 'client:other' }

function policyOf(text: string): Policy {
  const compiled = compile(text)
  assert.ok(compiled.ok, JSON.stringify(compiled))
  return compiled.policy
}

/** A policy of these grants over two resources (`open` takes unverified software), two clients, three groups and one that the mesh fills. */
const policy = (...grants: string[]) =>
  policyOf(`{
    "groups": { "group:eng": ["alice@example.com", "BOB@example.com"], "group:top": ["group:all"], "group:all": ["group:eng", "group:sre"], "group:constructor": ["carol@example.com"] },
    "mesh_groups": ["group:sre", "group:ops@example.com"],
    "resources": {
      "resource:open": { "uri": "https://open", "scopes": ["read", "write"], "allow_unverified_clients": true },
      "resource:closed": { "uri": "https://closed", "scopes": ["read"] },
      "resource:half": { "uri": "https://half", "scopes": ["read", "write"], "allow_unverified_clients": ["read"] },
    },
    "clients": { "client:app": {}, "client:other": {} },
    "grants": [${grants.join(',')}],
  }`)

const grant = (src: string, dst: string | null, capability: string, more = '') =>
  `{ "src": ${JSON.stringify(src.split(' '))}, ${dst === null ? '' : `"dst": ${JSON.stringify(dst.split(' '))},`} "app": { ${capability} } ${more} }`

type Of<A extends Asked['app']> = Extract<Asked, { app: A }>
const authorize = (more: Partial<Of<'authorize'>> = {}): Asked => ({
  app: 'authorize',
  principal: alice,
  client: app,
  resource: 'resource:open',
  scopes: ['read'],
  ...more,
})
const register = (more: Partial<Of<'register'>> = {}): Asked => ({
  app: 'register',
  principal: alice,
  via: 'dcr',
  hosts: ['localhost'],
  confidential: false,
  ...more,
})
const clientCredentials = (more: Partial<Of<'client_credentials'>> = {}): Asked => ({
  app: 'client_credentials',
  principal: null,
  client: app,
  resource: 'resource:open',
  scopes: ['read'],
  ...more,
})
const introspect = (more: Partial<Of<'introspect'>> = {}): Asked => ({
  app: 'introspect',
  principal: null,
  client: app,
  resource: 'resource:open',
  ...more,
})
const funnel = (client: ClientFacts): Asked => ({ app: 'funnel', principal: null, client })
const admin = (more: Partial<Of<'admin'>> = {}): Asked => ({ app: 'admin', principal: alice, access: 'read', ...more })
const claims = (more: Partial<Of<'claims'>> = {}): Asked => ({ app: 'claims', principal: alice, client: app, resource: null, ...more })

function allowed(policy: Policy, asked: Asked, now?: number): Allowed {
  const verdict = evaluate(policy, asked, now)
  assert.ok(verdict.allowed, JSON.stringify(verdict))
  return verdict
}
function denied(policy: Policy, asked: Asked, now?: number): Denied {
  const verdict = evaluate(policy, asked, now)
  assert.ok(!verdict.allowed, JSON.stringify(verdict))
  return verdict
}

const use = '"authorize": [{ "scopes": ["read"], "clients": ["*"] }]'

// Who is meant by each selector
const who = new Map<string, UserPrincipal | NodePrincipal>([
  ['alice', alice],
  ['ALICE@Example.COM', user('ALICE@Example.COM')],
  ['bob', bob],
  ['carol', carol],
  ['mallory', mallory],
  ['cyrillic', user('аlice@example.com')],
  ['kelvin', user('\u212Aate@example.com')], // U+212A lower-cases to "k" beyond ASCII
  ['bare', user('alice')],
  ['posing', user('group:eng')],
  ['tagged-posing', user('tag:ci')],
  ['star', user('*')],
  ['sub', user('x@sub.example.com')],
  ['two ats', user('x@example.com@other.com')],
  ['in sre', user('dave@other.com', { groups: ['group:sre'] })],
  ['in ops', user('erin@other.com', { groups: ['ops@example.com'] })],
  ['in unknown', user('frank@other.com', { groups: ['group:unheard', 'toString', '__proto__'] })],
  ['far', user('gina@other.com', { address: '100.65.0.1' })],
  ['far6', user('hans@other.com', { address: 'fd7a:115c:a1e0::1' })],
  ['ci', tagged('tag:ci')],
  ['ci and web', tagged('tag:web', 'tag:ci')],
])
const people = [...who].filter(([, principal]) => principal.kind === 'user').map(([name]) => name)
const near4 = [...who].filter(([, { address }]) => address.startsWith('100.64.')).map(([name]) => name)

const meant: readonly [selector: string, names: readonly string[]][] = [
  ['*', people],
  ['autogroup:member', people],
  ['autogroup:tagged', ['ci', 'ci and web']],
  ['autogroup:shared', []],
  ['alice@example.com', ['alice', 'ALICE@Example.COM']],
  ['Alice@EXAMPLE.com', ['alice', 'ALICE@Example.COM']],
  ['kate@example.com', []],
  ['аlice@example.com', ['cyrillic']],
  ['alice', ['bare']],
  ['*@example.com', ['alice', 'ALICE@Example.COM', 'bob', 'carol', 'cyrillic', 'kelvin']],
  ['*@EXAMPLE.com', ['alice', 'ALICE@Example.COM', 'bob', 'carol', 'cyrillic', 'kelvin']],
  ['*@other.com', ['mallory', 'two ats', 'in sre', 'in ops', 'in unknown', 'far', 'far6']],
  ['group:eng', ['alice', 'ALICE@Example.COM', 'bob']],
  ['group:all', ['alice', 'ALICE@Example.COM', 'bob', 'in sre']],
  ['group:top', ['alice', 'ALICE@Example.COM', 'bob', 'in sre']],
  ['group:sre', ['in sre']],
  ['group:ops@example.com', ['in ops']],
  ['group:constructor', ['carol']],
  ['tag:ci', ['ci', 'ci and web']],
  ['tag:web', ['ci and web']],
  ['client:app', []],
  ['100.64.0.1', near4.filter((name) => !name.startsWith('ci'))],
  ['100.64.0.2', ['ci', 'ci and web']],
  ['100.64.0.0/30', near4],
  ['100.64.0.0/10', [...near4, 'far']],
  ['fd7a:115c:a1e0::/48', ['far6']],
  ['fd7a:115c:a1e0:0:0:0:0:1', ['far6']],
  ['fd7a:115c:a1e0::2', []],
  ['::/0', ['far6']],
  ['0.0.0.0/0', [...near4, 'far']],
  ['spiffe://example.com/ci', []],
]

for (const [selector, names] of meant) {
  const whom = names.length > 6 ? `${names.length} of the callers` : names.join(', ') || 'nobody'
  test(`a selector means whom it says: ${selector} is ${whom} [threats 326, 328, 331, 358, 377, 379]`, () => {
    const found = policy(grant(selector, null, '"register": [{}]'))
    const matched = [...who].filter(([, principal]) => evaluate(found, register({ principal })).allowed).map(([name]) => name)
    assert.deepEqual(matched.sort(), [...names].sort())
  })
}

const on = (facts: Partial<MeshNode>) => user('alice@example.com', { node: { ...node, ...facts } })
const postures: readonly [title: string, posture: string, principal: Principal, holds: boolean][] = [
  ['the very version', '{ "os": ["macOS"], "os_version": "14.2" }', on({ os: 'macOS', os_version: '14.2' }), true],
  ['14.10 is later than 14.9', '{ "os": ["macOS"], "os_version": "14.9" }', on({ os: 'macOS', os_version: '14.10.1' }), true],
  ['14 is earlier than 14.2', '{ "os": ["macOS"], "os_version": "14.2" }', on({ os: 'macOS', os_version: '14' }), false],
  ['14.2 is 14.2.0', '{ "os": ["macOS"], "os_version": "14.2.0" }', on({ os: 'macOS', os_version: '14.2' }), true],
  ['a kernel with its suffix', '{ "os": ["linux"], "os_version": "6.1" }', on({ os_version: '6.1.0-13-amd64' }), true],
  ['a version without numbers is unknown', '{ "os": ["linux"], "os_version": "0" }', on({ os_version: 'bookworm' }), false],
  ['no version is unknown', '{ "os": ["linux"], "os_version": "0" }', on({ os_version: null }), false],
  [
    'the version of another system is nothing',
    '{ "os": ["linux"], "os_version": "6.1" }',
    on({ os: 'windows', os_version: '10.0' }),
    false,
  ],
  ['one of the tags', '{ "tags": ["tag:prod", "tag:stage"] }', tagged('tag:ci', 'tag:prod'), true],
  ['none of the tags', '{ "tags": ["tag:prod"] }', tagged('tag:ci'), false],
  ['people have no tags', '{ "tags": ["tag:prod"] }', alice, false],
  ['an attribute', '{ "attributes": ["custom:managed", "x"] }', on({ attributes: ['custom:managed'] }), true],
  ['another attribute', '{ "attributes": ["custom:managed"] }', on({ attributes: ['custom:other'] }), false],
  ['attributes that are not shown are unknown', '{ "attributes": ["custom:managed"] }', alice, false],
  ['a key that expires', '{ "key_expiry": "required" }', on({ key_expiry: 2e9 }), true],
  ['a key that never expires', '{ "key_expiry": "required" }', alice, false],
  ['all must hold', '{ "os": ["linux"], "key_expiry": "required" }', on({ os: 'windows', key_expiry: 2e9 }), false],
]

const openings: readonly [title: string, given: string[], client: ClientFacts, asked: string[], outcome: (typeof truths)[number][3]][] = [
  [
    'software that nobody named gets it, and what else it asks for is dropped',
    ['read', 'write'],
    stranger,
    ['read', 'write'],
    { scopes: ['read'], dropped: ['write'] },
  ],
  ['nothing asked for is what was opened', ['read', 'write'], stranger, [], { scopes: ['read'], dropped: [] }],
  ['what was not opened is refused', ['read', 'write'], stranger, ['write'], 'client'],
  ['a grant of what was not opened gives such software nothing', ['write'], stranger, ['read', 'write'], 'client'],
  ['software of the file gets both', ['read', 'write'], app, ['read', 'write'], { scopes: ['read', 'write'] }],
]

// What each question is answered; the grants, the question, and the outcome
type Outcome = { scopes?: string[]; dropped?: string[]; limits?: Partial<Allowed['limits']>; grants?: number[] } | Denied['reason']
const truths: readonly [title: string, grants: string[], asked: Asked, outcome: Outcome, now?: number][] = [
  ['no grant, no access [threats 385]', [], authorize(), 'no_grant'],
  ['an unknown resource', [grant('*', 'resource:open', use)], authorize({ resource: 'resource:none' }), 'target'],
  ['an inherited name is no resource [threats 377]', [grant('*', 'resource:open', use)], authorize({ resource: 'constructor' }), 'target'],
  [
    'a tagged node signs nobody in [threats 326]',
    [grant('tag:ci autogroup:tagged *', 'resource:open', use)],
    authorize({ principal: tagged('tag:ci') }),
    'identity',
  ],
  ['a grant for another resource is none for this', [grant('*', 'resource:closed', use)], authorize(), 'no_grant'],
  ['a grant for others is none for me', [grant('bob@example.com', 'resource:open', use)], authorize(), 'no_grant'],
  [
    'scopes that are not given are dropped [threats 53]',
    [grant('*', 'resource:open', use)],
    authorize({ scopes: ['x', 'read', 'write', 'read'] }),
    { scopes: ['read'], dropped: ['x', 'write'] },
  ],
  ['none of the scopes asked is given [threats 53]', [grant('*', 'resource:open', use)], authorize({ scopes: ['write'] }), 'scope'],
  [
    'RFC 6749 §3.3: no scope asked means all that the policy gives here',
    [grant('*', 'resource:open', use)],
    authorize({ scopes: [] }),
    { scopes: ['read'], dropped: [] },
  ],
  [
    'neither scope nor resource',
    [grant('*', 'client:app', '"authorize": [{ "scopes": ["openid"] }]')],
    authorize({ resource: null, scopes: [] }),
    'scope',
  ],
  [
    'scopes come in the order asked',
    [grant('*', 'resource:open', '"authorize": [{ "scopes": ["read"] }, { "scopes": ["write"] }]')],
    authorize({ scopes: ['write', 'read'] }),
    { scopes: ['write', 'read'], grants: [0] },
  ],
  // Clients
  [
    'by default only software that the file names: it is',
    [grant('*', 'resource:open', '"authorize": [{ "scopes": ["read"] }]')],
    authorize(),
    { scopes: ['read'] },
  ],
  [
    'by default only software that the file names: it is not',
    [grant('*', 'resource:open', '"authorize": [{ "scopes": ["read"] }]')],
    authorize({ client: stranger }),
    'client',
  ],
  ['clients * admits any software', [grant('*', 'resource:open', use)], authorize({ client: stranger }), { scopes: ['read'] }],
  [
    'but not where the resource takes no unverified clients',
    [grant('*', 'resource:closed', use)],
    authorize({ client: stranger, resource: 'resource:closed' }),
    'client',
  ],
  [
    'clients * admits named software there',
    [grant('*', 'resource:closed', use)],
    authorize({ resource: 'resource:closed' }),
    { scopes: ['read'] },
  ],
  [
    'clients autogroup:registered admits what the file does not name',
    [grant('*', 'resource:open', '"authorize": [{ "scopes": ["read"], "clients": ["autogroup:registered"] }]')],
    authorize({ client: stranger }),
    { scopes: ['read'] },
  ],
  [
    'clients autogroup:registered admits nothing that the file names',
    [grant('*', 'resource:open', '"authorize": [{ "scopes": ["read"], "clients": ["autogroup:registered"] }]')],
    authorize(),
    'client',
  ],
  [
    'clients client:app admits it',
    [grant('*', 'resource:open', '"authorize": [{ "scopes": ["read"], "clients": ["client:app"] }]')],
    authorize(),
    { scopes: ['read'] },
  ],
  [
    'clients client:app admits no other',
    [grant('*', 'resource:open', '"authorize": [{ "scopes": ["read"], "clients": ["client:app"] }]')],
    authorize({ client: other }),
    'client',
  ],
  [
    'a name that this file no longer holds counts as none [threats 383]',
    [grant('*', 'resource:open', '"authorize": [{ "scopes": ["read"] }]')],
    authorize({ client: { client_id: 'old', name: 'client:old' } }),
    'client',
  ],
  // Identity scopes
  [
    'identity scopes are given against the client',
    [grant('*', 'client:app', '"authorize": [{ "scopes": ["openid", "email"], "consent": "never" }]')],
    authorize({ resource: null, scopes: ['openid', 'profile', 'email'] }),
    { scopes: ['openid', 'email'], dropped: ['profile'], limits: { consent: 'never' } },
  ],
  [
    'not against another client',
    [grant('*', 'client:other', '"authorize": [{ "scopes": ["openid"] }]')],
    authorize({ resource: null, scopes: ['openid'] }),
    'no_grant',
  ],
  [
    'autogroup:registered as dst is software that the file does not name',
    [grant('*', 'autogroup:registered', '"authorize": [{ "scopes": ["openid"] }]')],
    authorize({ client: stranger, resource: null, scopes: ['openid'] }),
    { scopes: ['openid'] },
  ],
  [
    'autogroup:registered as dst is no software that it names',
    [grant('*', 'autogroup:registered', '"authorize": [{ "scopes": ["openid"] }]')],
    authorize({ resource: null, scopes: ['openid'] }),
    'no_grant',
  ],
  [
    'one request takes from both',
    [grant('*', 'client:app resource:open', '"authorize": [{ "scopes": ["openid", "read"] }]')],
    authorize({ scopes: ['openid', 'read'] }),
    { scopes: ['openid', 'read'] },
  ],
  [
    'an API scope is not given against a client',
    [grant('*', 'client:app resource:open', '"authorize": [{ "scopes": ["openid", "read"] }]')],
    authorize({ resource: null, scopes: ['read'] }),
    'scope',
  ],
  [
    'whoever may nothing at the resource gets no token for it, identity scopes or not',
    [grant('*', 'client:app', '"authorize": [{ "scopes": ["openid"] }]')],
    authorize({ scopes: ['openid', 'read'] }),
    'no_grant',
  ],
  [
    'whoever may something there may ask for identity scopes alone',
    [grant('*', 'client:app resource:open', '"authorize": [{ "scopes": ["openid", "read"] }]')],
    authorize({ scopes: ['openid'] }),
    { scopes: ['openid'] },
  ],
  // How grants add up
  [
    'the most lenient of a scope: by consent first',
    [
      grant('*', 'resource:open', '"authorize": [{ "scopes": ["read"], "consent": "once", "access_token_ttl": "1h" }]'),
      grant(
        'group:eng',
        'resource:open',
        '"authorize": [{ "scopes": ["read"], "clients": ["client:app"], "consent": "never", "bind": "node", "access_token_ttl": "1m" }]',
      ),
    ],
    authorize(),
    { limits: { consent: 'never', bind: 'node', access_token_ttl: 60 }, grants: [1] },
  ],
  [
    'then by what it is bound to',
    [
      grant(
        '*',
        'resource:open',
        '"authorize": [{ "scopes": ["read"], "bind": "node", "access_token_ttl": "1h" }, { "scopes": ["read"], "access_token_ttl": "1m" }]',
      ),
    ],
    authorize(),
    { limits: { bind: 'user', access_token_ttl: 60 } },
  ],
  [
    'then by lifetimes, where nothing said is five minutes',
    [grant('*', 'resource:open', '"authorize": [{ "scopes": ["read"], "access_token_ttl": "1m" }, { "scopes": ["read"] }]')],
    authorize(),
    { limits: { access_token_ttl: null } },
  ],
  [
    'the longer refresh token of two equal else',
    [
      grant(
        '*',
        'resource:open',
        '"authorize": [{ "scopes": ["read"], "refresh_token_ttl": "1d" }, { "scopes": ["read"], "refresh_token_ttl": "40d" }]',
      ),
    ],
    authorize(),
    { limits: { refresh_token_ttl: 40 * 86_400 } },
  ],
  [
    'the request takes the strictest of its scopes, term by term',
    [
      grant(
        '*',
        'resource:open',
        '"authorize": [{ "scopes": ["read"], "consent": "never", "access_token_ttl": "1m" }, { "scopes": ["write"], "consent": "once", "bind": "node", "access_token_ttl": "1h", "refresh_token_ttl": "1d" }]',
      ),
    ],
    authorize({ scopes: ['read', 'write'] }),
    { limits: { consent: 'once', bind: 'node', access_token_ttl: 60, refresh_token_ttl: 86_400 } },
  ],
  [
    'consent is asked each time unless a grant says otherwise',
    [grant('*', 'resource:open', use)],
    authorize(),
    { limits: { consent: 'always', bind: 'user' } },
  ],
  // Scopes that a resource opened to software that the file does not name
  ...openings.map(([title, scopes, client, wanted, outcome]): (typeof truths)[number] => [
    `a resource opened for "read" alone: ${title}`,
    [grant('*', 'resource:half', `"authorize": [{ "scopes": ${JSON.stringify(scopes)}, "clients": ["*"] }]`)],
    authorize({ resource: 'resource:half', client, scopes: wanted }),
    outcome,
  ]),
  // The conditions of a grant
  ['posture holds', [grant('*', 'resource:open', use, ', "posture": { "os": ["macOS", "Linux"] }')], authorize(), { scopes: ['read'] }],
  ['posture does not hold', [grant('*', 'resource:open', use, ', "posture": { "os": ["macOS"] }')], authorize(), 'no_grant'],
  [
    'posture of a node that says nothing is unknown, and no match',
    [grant('*', 'resource:open', use, ', "posture": { "os": ["linux"] }')],
    authorize({ principal: user('alice@example.com', { node: { ...node, os: null } }) }),
    'no_grant',
  ],
  ...postures.map(([title, posture, principal, holds]): (typeof truths)[number] => [
    `posture: ${title}`,
    [grant('* tag:ci', null, '"register": [{}]', `, "posture": ${posture}`)],
    register({ principal }),
    holds ? {} : 'no_grant',
  ]),
  [
    'posture where there is no node',
    [grant('client:app', 'resource:open', '"introspect": [{}]', ', "posture": { "os": ["linux"] }')],
    introspect(),
    'no_grant',
  ],
  [
    'before it expires',
    [grant('*', 'resource:open', use, ', "expires": "2027-01-31"')],
    authorize(),
    { scopes: ['read'] },
    Date.UTC(2027, 0, 30, 23, 59, 59) / 1000,
  ],
  [
    'when it expires: at the first moment of its date, in UTC',
    [grant('*', 'resource:open', use, ', "expires": "2027-01-31"')],
    authorize(),
    'no_grant',
    Date.UTC(2027, 0, 31) / 1000,
  ],
  [
    'an expiry with a time and an offset',
    [grant('*', 'resource:open', use, ', "expires": "2027-01-31T12:00:00+02:00"')],
    authorize(),
    'no_grant',
    Date.UTC(2027, 0, 31, 10) / 1000,
  ],
  [
    'without a clock a grant that expires gives nothing',
    [grant('*', 'resource:open', use, ', "expires": "2999-01-01"')],
    authorize(),
    'no_grant',
  ],
  // register
  [
    'registration, with its defaults',
    [grant('*', null, '"register": [{}]')],
    register(),
    { limits: { client_ttl: 90 * 86_400, max_clients: 20, metadata: 'lenient' } },
  ],
  [
    'the most lenient of several',
    [
      grant('*', null, '"register": [{ "client_ttl": "1d", "max_clients": 50, "metadata": "strict" }]'),
      grant('group:eng', null, '"register": [{ "client_ttl": "2d", "max_clients": 5 }]'),
    ],
    register(),
    { limits: { client_ttl: 2 * 86_400, max_clients: 50, metadata: 'lenient' }, grants: [0, 1] },
  ],
  [
    'strict where nobody is lenient',
    [grant('*', null, '"register": [{ "metadata": "strict" }]')],
    register(),
    { limits: { metadata: 'strict' } },
  ],
  [
    'a document where only registration is meant',
    [grant('*', null, '"register": [{ "via": ["dcr"] }]')],
    register({ via: 'cimd' }),
    'client',
  ],
  [
    'registration without the token that it needs',
    [grant('*', null, '"register": [{ "via": ["initial_access_token"] }]')],
    register(),
    'client',
  ],
  [
    'a host that is meant',
    [grant('*', null, '"register": [{ "redirect_uris": ["localhost", "*.example.com"] }]')],
    register({ hosts: ['LOCALHOST', 'a.b.Example.com'] }),
    {},
  ],
  [
    'one host that is not',
    [grant('*', null, '"register": [{ "redirect_uris": ["*.example.com"] }]')],
    register({ hosts: ['a.example.com', 'evil.com'] }),
    'client',
  ],
  [
    'a pattern is not its own domain',
    [grant('*', null, '"register": [{ "redirect_uris": ["*.example.com"] }]')],
    register({ hosts: ['example.com'] }),
    'client',
  ],
  [
    'nor a longer name with the same letters',
    [grant('*', null, '"register": [{ "redirect_uris": ["*.example.com", "example.com"] }]')],
    register({ hosts: ['evilexample.com'] }),
    'client',
  ],
  [
    'a scheme is no host',
    [grant('*', null, '"register": [{ "redirect_uris": ["*.example.com"] }]')],
    register({ hosts: ['com.evil.example.com:'] }),
    'client',
  ],
  [
    'a scheme by its name',
    [grant('*', null, '"register": [{ "redirect_uris": ["com.example.app:"] }]')],
    register({ hosts: ['com.example.app:'] }),
    {},
  ],
  ['a confidential client where none is meant', [grant('*', null, '"register": [{}]')], register({ confidential: true }), 'client'],
  [
    'a confidential client where such are meant',
    [grant('*', null, '"register": [{ "confidential": true }]')],
    register({ confidential: true }),
    {},
  ],
  [
    'all conditions in one capability: these two do not add up',
    [grant('*', null, '"register": [{ "confidential": true, "redirect_uris": ["a.com"] }, { "redirect_uris": ["b.com"] }]')],
    register({ confidential: true, hosts: ['b.com'] }),
    'client',
  ],
  // client_credentials
  [
    'a tagged node for itself',
    [grant('tag:ci', 'resource:open', '"client_credentials": [{ "scopes": ["read"], "access_token_ttl": "10m" }]')],
    clientCredentials({ principal: tagged('tag:ci'), client: stranger, scopes: ['read', 'write'] }),
    { scopes: ['read'], dropped: ['write'], limits: { access_token_ttl: 600 } },
  ],
  [
    'a client for itself',
    [grant('client:app', 'resource:open', '"client_credentials": [{ "scopes": ["read"] }]')],
    clientCredentials({ scopes: [] }),
    { scopes: ['read'] },
  ],
  [
    'another client',
    [grant('client:app', 'resource:open', '"client_credentials": [{ "scopes": ["read"] }]')],
    clientCredentials({ client: other }),
    'no_grant',
  ],
  [
    'software that calls itself so is not it [threats 160]',
    [grant('client:app', 'resource:open', '"client_credentials": [{ "scopes": ["read"] }]')],
    clientCredentials({ client: { client_id: 'client:app', name: null } }),
    'no_grant',
  ],
  [
    'a person is no workload, wherever they call from',
    [grant('100.64.0.0/10', 'resource:open', '"client_credentials": [{ "scopes": ["read"] }]')],
    clientCredentials({ principal: alice, client: stranger }),
    'no_grant',
  ],
  [
    'a workload without the scope',
    [grant('client:app', 'resource:open', '"client_credentials": [{ "scopes": ["read"] }]')],
    clientCredentials({ scopes: ['write'] }),
    'scope',
  ],
  ['a workload at a resource that is not there', [], clientCredentials({ resource: 'resource:none' }), 'target'],
  // introspect
  [
    'a client looks at tokens for its resource',
    [grant('client:app', 'resource:open', '"introspect": [{}]')],
    introspect(),
    { grants: [0] },
  ],
  [
    'not at those for another [threats 293]',
    [grant('client:app', 'resource:open', '"introspect": [{}]')],
    introspect({ resource: 'resource:closed' }),
    'no_grant',
  ],
  [
    'another client does not [threats 293]',
    [grant('client:app', 'resource:open', '"introspect": [{}]')],
    introspect({ client: other }),
    'no_grant',
  ],
  [
    'a tagged node does, as itself',
    [grant('tag:wiki', 'resource:open', '"introspect": [{}]')],
    introspect({ client: null, principal: tagged('tag:wiki') }),
    {},
  ],
  ['nobody does not', [grant('client:app', 'resource:open', '"introspect": [{}]')], introspect({ client: null }), 'no_grant'],
  ['tokens for a resource that is not there', [], introspect({ resource: 'resource:none' }), 'target'],
  // funnel
  ['a client comes through Funnel', [grant('client:app', null, '"funnel": [{}]')], funnel(app), { grants: [0] }],
  ['another client does not', [grant('client:app', null, '"funnel": [{}]')], funnel(other), 'no_grant'],
  ['nor the client whose machine a grant names', [grant('tag:ci', null, '"funnel": [{}]')], funnel(app), 'no_grant'],
  // admin
  ['an admin who reads may read', [grant('group:eng', null, '"admin": [{ "access": "read" }]')], admin(), {}],
  ['an admin who reads may not write', [grant('group:eng', null, '"admin": [{ "access": "read" }]')], admin({ access: 'write' }), 'scope'],
  ['write includes read', [grant('group:eng', null, '"admin": [{ "access": "write" }]')], admin(), {}],
  [
    'a tagged node is no admin [threats 326]',
    [grant('tag:ci group:eng', null, '"admin": [{ "access": "write" }]')],
    admin({ principal: tagged('tag:ci') }),
    'identity',
  ],
  ['somebody else is no admin', [grant('group:eng', null, '"admin": [{ "access": "write" }]')], admin({ principal: mallory }), 'no_grant'],
  // claims
  [
    'of the groups let out, those that the person is in',
    [grant('*', 'client:app', '"claims": [{ "groups": ["group:eng", "group:sre", "group:constructor"] }]')],
    claims({ principal: user('alice@example.com', { groups: ['group:sre', 'group:ops@example.com'] }) }),
    { limits: { groups: ['group:eng', 'group:sre'] } },
  ],
  [
    'groups and claims of several grants are united',
    [
      grant('*', 'client:app', '"claims": [{ "groups": ["group:eng"], "claims": { "a": 1, "b": [2] } }]'),
      grant('*', 'resource:open', '"claims": [{ "groups": ["group:all"], "claims": { "a": 0, "c": null } }]'),
    ],
    claims({ resource: 'resource:open' }),
    { limits: { groups: ['group:all', 'group:eng'], claims: { a: 0, b: [2], c: null } } },
  ],
  [
    'nothing is let out to another client',
    [grant('*', 'client:app', '"claims": [{ "groups": ["group:eng"] }]')],
    claims({ client: other }),
    'no_grant',
  ],
]

for (const [title, grants, asked, outcome, now] of truths) {
  test(`${asked.app}: ${title}`, () => {
    const made = policy(...grants)
    if (typeof outcome === 'string') {
      const verdict = denied(made, asked, now)
      assert.equal(verdict.reason, outcome)
      assert.match(verdict.sentence, /^\S.*\.$/)
      return
    }
    const { limits, ...rest } = outcome
    const verdict = allowed(made, asked, now)
    assert.partialDeepStrictEqual(verdict, rest)
    for (const [name, value] of Object.entries(limits ?? {})) assert.deepEqual(verdict.limits[name as keyof Allowed['limits']], value, name)
  })
}

test('a near miss names every condition of the posture that fails, and no other; what the node says of itself is labelled so', () => {
  const made = policy(
    grant('* tag:ci', null, '"register": [{}]', ', "posture": { "os": ["linux", "macOS"], "key_expiry": "required" }'),
    grant('* tag:ci', null, '"register": [{}]', ', "posture": { "os": ["linux"], "os_version": "6.2", "attributes": ["a", "b"] }'),
    grant('* tag:ci', null, '"register": [{}]', ', "posture": { "tags": ["tag:prod"] }'),
  )
  const principal = { ...tagged('tag:ci'), node: { ...node, os_version: '6.1' } }
  assert.deepEqual(denied(made, register({ principal })).near, [
    'tag:ci would match grant 1 from a node whose key expires.',
    'tag:ci would match grant 2 from a node with os_version 6.2 or later (self-reported) and with the attribute a or b.',
    'tag:ci would match grant 3 from a node tagged tag:prod.',
  ])
  const followed = { ...principal, node: { ...principal.node, os_version: '6.2', attributes: ['b'] } }
  assert.deepEqual(allowed(made, register({ principal: followed })).grants, [1])
})

test('a refusal says who may not do what, and which single thing is missing', () => {
  const made = policy(
    grant('bob@example.com', null, '"register": [{}]'),
    grant('group:eng group:sre', null, '"register": [{}]'),
    grant('*', null, '"register": [{}]', ', "posture": { "os": ["macOS"] }'),
    grant('*@other.com', null, '"register": [{}]', ', "expires": "2020-01-01"'),
    grant('group:all', null, '"register": [{ "via": ["cimd"] }]'),
    grant('100.65.0.0/16', null, '"register": [{}]'),
    grant('*@example.org', null, '"register": [{}]'),
  )
  assert.deepEqual(denied(made, register({ principal: mallory }), 2e9), {
    allowed: false,
    reason: 'no_grant',
    sentence: 'mallory@other.com may not register software here.',
    near: [
      'mallory@other.com would match grant 3 from a node with os macOS (self-reported).',
      'Grant 4 has expired.',
      'mallory@other.com would match grant 2 if in group:eng.',
      'mallory@other.com would match grant 2 if in group:sre (which the mesh would have to say; it shows no groups here).',
      'mallory@other.com would match grant 6 if calling from 100.65.0.0/16.',
    ],
    reasons: [],
  })
})

const sentences: readonly [grants: string[], asked: Asked, sentence: string][] = [
  [[], authorize(), 'alice@example.com may not use resource:open.'],
  [[], authorize({ resource: null, scopes: ['openid'] }), 'alice@example.com may not sign in to client:app.'],
  [[], authorize({ resource: null, scopes: [] }), 'alice@example.com may not sign in to client:app.'],
  [[], authorize({ resource: 'resource:x' }), 'The policy names no resource:x.'],
  [[], authorize({ principal: tagged('tag:ci') }), 'A tagged node (tag:ci) is no person, so nobody can sign in there.'],
  [
    [grant('*', 'resource:open', use)],
    authorize({ scopes: ['write', 'x'] }),
    'alice@example.com may use resource:open, but not with the scope write x.',
  ],
  [
    [grant('*', 'resource:closed', use)],
    authorize({ client: stranger, resource: 'resource:closed' }),
    'resource:closed is for software that the policy names, and abc is not.',
  ],
  [
    [grant('*', 'resource:open', '"authorize": [{ "scopes": ["read"], "clients": ["client:app"] }]')],
    authorize({ client: other }),
    'alice@example.com may use resource:open, but not with client:other.',
  ],
  [
    [grant('*', null, '"register": [{}]')],
    register({ confidential: true }),
    'alice@example.com may register software here, but not software like this.',
  ],
  [[], clientCredentials(), 'client:app may not get tokens of its own for resource:open.'],
  [[], clientCredentials({ principal: tagged('tag:ci', 'tag:x') }), 'tag:ci, tag:x may not get tokens of its own for resource:open.'],
  [[], introspect({ client: stranger }), 'abc may not look at tokens for resource:open.'],
  [[], introspect({ client: null }), 'This caller may not look at tokens for resource:open.'],
  [[], claims({ resource: 'resource:open' }), 'No grant lets anything out about alice@example.com to client:app or resource:open.'],
  [[], admin(), 'alice@example.com is not an admin here.'],
  [
    [grant('*', null, '"admin": [{ "access": "read" }]')],
    admin({ access: 'write' }),
    'alice@example.com may look, but not change anything here.',
  ],
]
for (const [grants, asked, sentence] of sentences) {
  test(`a refusal in words: ${sentence}`, () => assert.equal(denied(policy(...grants), asked).sentence, sentence))
}

test('what software lacks is a near miss too: where its answers go, its document, and that it wants a secret', () => {
  const near = (capability: string, asked: Partial<Extract<Asked, { app: 'register' }>>) =>
    denied(policy(grant('*', null, `"register": [${capability}]`)), register(asked)).near
  const hosts = (count: number) => JSON.stringify(Array.from({ length: count }, (_, i) => `*.h${i}.example`))
  assert.deepEqual(near(`{ "redirect_uris": ${hosts(2)} }`, { hosts: ['x.org'] }), [
    'alice@example.com would match grant 1 with redirect URIs only at *.h0.example or *.h1.example.',
  ])
  assert.match(
    near(`{ "redirect_uris": ${hosts(9)} }`, { hosts: ['x.org'], via: 'cimd' }).join(),
    / with document and redirect URIs only at .* or \*\.h4\.example, or others that it names\.$/,
  )
  assert.deepEqual(near('{}', { confidential: true }), ['alice@example.com would match grant 1 with software that has no secret.'])
  assert.deepEqual(near(`{ "redirect_uris": ${hosts(1)} }`, { hosts: ['x.org'], confidential: true }), [])
})

test('what lacks two things is no near miss', () => {
  const verdict = denied(policy(grant('group:constructor', null, '"register": [{}]', ', "expires": "2020-01-01"')), register(), 2e9)
  assert.deepEqual(verdict.near, [])
})

test('a refusal costs no more with more grants for others: near misses are sought among 300 of those at the target', () => {
  const near = (others: number) => {
    const grants = [
      ...Array<string>(others).fill(grant('bob@example.com', null, '"register": [{}]')),
      grant('group:constructor', null, '"register": [{}]'),
    ]
    return denied(policy(...grants), register()).near
  }
  assert.deepEqual(near(299), ['alice@example.com would match grant 300 if in group:constructor.'])
  assert.deepEqual(near(300), [])
  const expired = grant('alice@example.com', null, '"register": [{}]', ', "expires": "2020-01-01"')
  const hers = denied(policy(...Array<string>(300).fill(grant('bob@example.com', null, '"register": [{}]')), expired), register())
  assert.deepEqual(hers.near, ['Grant 301 has expired.'], 'those for whoever asks come first')
})

test('of grants that give a scope on the same terms, the first is the one that gave it', () => {
  const made = policy(grant('group:eng', 'resource:open', use), grant('*', 'resource:open', use))
  assert.deepEqual(allowed(made, authorize()).grants, [0])
})

test('a refusal names nobody else, however near they are', () => {
  const verdict = denied(policy(grant('bob@example.com client:app', null, '"register": [{}]')), register())
  assert.deepEqual(verdict.near, [])
})

test('prototype-pollution names are plain names [threats 377]', () => {
  const made = policyOf(`{
    "groups": { "group:__proto__": ["constructor"], "group:toString": ["group:__proto__"] },
    "resources": { "resource:__proto__": { "uri": "https://a", "scopes": { "constructor": "Build", "toString": "Print" } } },
    "clients": { "client:__proto__": {}, "client:constructor": {} },
    "grants": [
      { "src": ["group:toString"], "dst": ["resource:__proto__", "client:__proto__"], "app": { "authorize": [{ "scopes": ["constructor", "openid"] }], "claims": [{ "claims": { "constructor": 1, "a": { "toString": 2 } }, "groups": ["group:__proto__"] }] } },
    ],
  }`)
  const client = { client_id: 'client:__proto__', name: 'client:__proto__' }
  const asked = {
    app: 'authorize',
    principal: user('constructor'),
    client,
    resource: 'resource:__proto__',
    scopes: ['openid', 'constructor', 'toString', '__proto__'],
  } as const
  assert.partialDeepStrictEqual(allowed(made, asked), { scopes: ['openid', 'constructor'], dropped: ['toString', '__proto__'] })
  assert.equal(denied(made, { ...asked, principal: user('toString') }).reason, 'no_grant')
  assert.deepEqual(allowed(made, { ...asked, client: { client_id: 'client:constructor', name: 'client:constructor' } }).scopes, [
    'constructor',
  ])
  const { limits } = allowed(made, { app: 'claims', principal: user('constructor'), client, resource: null })
  assert.deepEqual(limits.groups, ['group:__proto__'])
  assert.equal(JSON.stringify(limits.claims), '{"a":{"toString":2},"constructor":1}')
  assert.deepEqual([...made.clients.keys()], ['client:__proto__', 'client:constructor'])
  assert.equal(({} as Record<string, unknown>).a, undefined)
})

test('the example policy: engineers in, the others as it says', () => {
  const example = policyOf(readFileSync(new URL('../../policy/example.hujson', import.meta.url), 'utf8'))
  const grafana = { client_id: 'client:grafana', name: 'client:grafana' }
  const at = (principal: UserPrincipal, resource: string, scopes: string[] = []) =>
    evaluate(example, { app: 'authorize', principal, client: stranger, resource, scopes })

  assert.partialDeepStrictEqual(at(alice, 'resource:wiki'), {
    allowed: true,
    scopes: ['wiki:read', 'wiki:write'],
    limits: { consent: 'once' },
  })
  assert.partialDeepStrictEqual(at(bob, 'resource:notes', ['openid', 'notes:read', 'offline_access']), {
    scopes: ['openid', 'notes:read', 'offline_access'],
    dropped: [],
  })
  assert.partialDeepStrictEqual(at(carol, 'resource:wiki'), { allowed: false, reason: 'no_grant' })
  assert.partialDeepStrictEqual(at(mallory, 'resource:wiki'), { allowed: false, reason: 'no_grant' })
  for (const via of ['dcr', 'cimd'] as const) {
    assert.partialDeepStrictEqual(evaluate(example, register({ principal: carol, via })), {
      allowed: true,
      limits: { client_ttl: 30 * 86_400, max_clients: 20 },
    })
    assert.partialDeepStrictEqual(evaluate(example, register({ principal: mallory, via })), { allowed: false, reason: 'no_grant' })
  }
  const signIn = {
    app: 'authorize',
    principal: carol,
    client: grafana,
    resource: null,
    scopes: ['openid', 'profile', 'email', 'groups', 'offline_access'],
  } as const
  assert.partialDeepStrictEqual(evaluate(example, signIn), { allowed: true, dropped: [], limits: { consent: 'never' } })
  assert.deepEqual(allowed(example, claims({ principal: carol, client: grafana })).limits.groups, ['group:oncall'])
  assert.deepEqual(
    [alice, bob, carol, mallory].map((principal) => evaluate(example, admin({ principal, access: 'write' })).allowed),
    [true, false, true, false],
  )

  const server = (name: string) => ({ client_id: `client:${name}`, name: `client:${name}` })
  const looks = (name: string, resource: string) =>
    evaluate(example, { app: 'introspect', principal: null, client: server(name), resource }).allowed
  assert.deepEqual(
    ['wiki', 'notes'].map((of) => looks('wiki-server', `resource:${of}`)),
    [true, false],
  )
  assert.deepEqual(
    ['wiki', 'notes'].map((of) => looks('notes-server', `resource:${of}`)),
    [false, true],
  )
  const ci = { app: 'client_credentials', principal: tagged('tag:ci'), client: stranger, resource: 'resource:wiki', scopes: [] } as const
  assert.partialDeepStrictEqual(evaluate(example, ci), { scopes: ['wiki:read'], limits: { access_token_ttl: 600 } })
})

test('a list of groups that leaves one out proves nothing: it takes away no group of the file, and no selector says "not in" [threats 359]', () => {
  const rule = '"authorize": [{ "scopes": ["read"], "clients": ["*"] }]'
  const given = policy(grant('group:eng', 'resource:open', rule))
  for (const groups of [null, [], ['group:sre']])
    assert.equal(evaluate(given, authorize({ principal: user('alice@example.com', { groups }) })).allowed, true)
  for (const negative of ['!group:eng', '-group:eng', 'not:group:eng', 'group:!eng']) {
    const compiled =
      compile(`{ "groups": { "group:eng": ["a@example.com"] }, "resources": { "resource:open": { "uri": "https://open", "scopes": ["read"] } },
      "grants": [${grant(negative, 'resource:open', rule)}] }`)
    assert.equal(compiled.ok, false, negative)
  }
})
