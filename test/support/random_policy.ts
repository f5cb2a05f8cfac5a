/**
 * Small random policies, and questions to them: few names, so that grants meet. Every policy compiles; every capability, selector and
 * condition of the language comes up. What holds for all of these is a property of the engine.
 */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Principal } from '../../src/oauth/principal.ts'
import { type Asked, compile, type Policy } from '../../src/policy/index.ts'

type Json = Record<string, unknown>
export type Grant = Json & { src: string[]; app: Json }
export type PolicyDocument = {
  groups: Record<string, string[]>
  mesh_groups: string[]
  resources: Record<string, Json>
  clients: Record<string, Json>
  grants: Grant[]
}

const scopes = { 'resource:r': ['r1', 'r2', 'both'], 'resource:s': ['s1', 'both'] }
const identity = ['openid', 'email']
const resourceNames = ['resource:r', 'resource:s'] as const
const clientNames = ['client:a', 'client:b'] as const

/** At least one of `items`, each at most once. */
const some = <T>(...items: readonly T[]): fc.Arbitrary<T[]> => fc.uniqueArray(fc.constantFrom(...items), { minLength: 1 })
const optional = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(fields, { requiredKeys: [] })

const ttls = { access_token_ttl: fc.constantFrom('1m', '5m', '1h'), refresh_token_ttl: fc.constantFrom('1d', '30d', '60d') }
const people = ['*', 'alice@x', 'bob@x', '*@x', 'group:a', 'group:b', 'group:c', 'group:m', 'autogroup:member', '100.64.0.0/30']
const workloads = ['tag:x', 'tag:ci', 'autogroup:tagged', 'client:a', '100.64.0.9', 'spiffe://x/*/a', 'spiffe://x/w/a']

/** Scopes that one of `dst` can give: others do not compile. */
const scopesOf = (dst: readonly string[]) => {
  const api = resourceNames.filter((name) => dst.includes(name)).flatMap((name) => scopes[name])
  return [...new Set([...api, ...(dst.some((target) => !target.startsWith('resource:')) ? identity : [])])]
}

const authorize = some(...resourceNames, 'client:a', 'autogroup:registered').chain((dst) =>
  optional({
    clients: some('*', 'autogroup:registered', ...clientNames),
    consent: fc.constantFrom('always', 'once', 'never'),
    bind: fc.constantFrom('user', 'node'),
    ...ttls,
  }).chain((terms) => {
    // Consent is skipped only for software that the file names.
    const unnamed = dst.includes('autogroup:registered') || terms.clients?.some((client) => !client.startsWith('client:'))
    const consent = terms.consent === 'never' && unnamed ? { consent: 'once' } : {}
    return some(...scopesOf(dst)).map((scopes) => ({ dst, app: { authorize: [{ scopes, ...terms, ...consent }] } }))
  }),
)

const client_credentials = some(...resourceNames).chain((dst) =>
  fc
    .record({ scopes: some(...scopesOf(dst)), access_token_ttl: ttls.access_token_ttl }, { requiredKeys: ['scopes'] })
    .map((capability) => ({ dst, app: { client_credentials: [capability] } })),
)

const register = optional({
  via: some('dcr', 'cimd', 'initial_access_token'),
  redirect_uris: some('localhost', '*.x', 'a.x'),
  metadata: fc.constantFrom('lenient', 'strict'),
  confidential: fc.boolean(),
  client_ttl: fc.constantFrom('1d', '90d', '100d'),
  max_clients: fc.integer({ min: 1, max: 30 }),
}).map((capability) => ({ app: { register: [capability] } }))

const exchange = fc
  .record(
    {
      actors: some('client:a', 'client:b', 'tag:gw', 'spiffe://x/gw'),
      from: fc.constant(['resource:s']),
      scopes: some(...scopes['resource:r']).chain((wanted) =>
        fc
          .tuple(...wanted.map(() => some(...scopes['resource:s'])))
          .map((held) => Object.fromEntries(wanted.map((scope, i) => [scope, held[i]]))),
      ),
      max_depth: fc.constantFrom(1, 2),
      beyond_subject: fc.constantFrom(true, true, false),
      impersonate: fc.boolean(),
    },
    { requiredKeys: ['actors', 'from', 'scopes'] },
  )
  .map((capability) => ({ dst: ['resource:r'], app: { exchange: [capability] } }))

const introspect = some(...resourceNames).map((dst) => ({ dst, app: { introspect: [{}] } }))
const funnel = fc.constant({ app: { funnel: [{}] } })
const claims = fc
  .record({ groups: some('group:a', 'group:b', 'group:m'), claims: fc.constantFrom({}, { team: 'x' }, { team: 'y', floor: 3 }) })
  .map((capability) => ({ dst: ['client:a', 'autogroup:registered'], app: { claims: [capability] } }))
const admin = fc.constantFrom('read', 'write').map((access) => ({ app: { admin: [{ access }] } }))

const conditions = optional({
  posture: fc.constantFrom<Json>(
    { os: ['linux'] },
    { os: ['macOS'] },
    { os: ['linux'], os_version: '6' },
    { attributes: ['custom:ok'] },
    { key_expiry: 'required' },
  ),
  expires: fc.constantFrom('2020-01-01', '2999-01-01'),
  reason: fc.constantFrom('Ticket 1.', 'Ticket 2.'),
})

/** To whom a capability is given: mostly those that can use it. */
const given = (likely: readonly string[], seldom: readonly string[], capability: fc.Arbitrary<Pick<Grant, 'app'>>): fc.Arbitrary<Grant> => {
  const selector = fc.oneof({ arbitrary: fc.constantFrom(...likely), weight: 6 }, fc.constantFrom(...seldom))
  return fc
    .tuple(fc.uniqueArray(selector, { minLength: 1, maxLength: 3 }), capability, conditions)
    .map(([src, rest, more]) => ({ src, ...rest, ...more }))
}

/** One grant with one capability of any kind. */
export const grant: fc.Arbitrary<Grant> = fc.oneof(
  { arbitrary: given(people, workloads, authorize), weight: 4 },
  { arbitrary: given(['*', ...people], workloads, exchange), weight: 2 },
  given(workloads, people, client_credentials),
  given(people, workloads, register),
  given(workloads, people, introspect),
  given(workloads, people, funnel),
  given(people, workloads, claims),
  given(people, workloads, admin),
)

/** A whole document of at most `maxLength` grants. */
export const documents = ({ maxLength = 6 } = {}): fc.Arbitrary<PolicyDocument> =>
  fc.record({
    groups: fc.record({
      'group:a': some('alice@x', 'bob@x', 'group:b', 'group:c'),
      'group:b': some('bob@x', 'carol@y', 'group:c', 'group:m'),
      'group:c': some('carol@y', 'ALICE@x'),
    }),
    mesh_groups: fc.constant(['group:m']),
    resources: fc.tuple(fc.constantFrom(true, false, ['r1'], ['r2', 'both']), fc.constantFrom(true, false, ['s1'])).map(([r, s]) => ({
      'resource:r': { uri: 'https://r', scopes: scopes['resource:r'], allow_unverified_clients: r },
      'resource:s': {
        uri: 'https://s',
        scopes: Object.fromEntries(scopes['resource:s'].map((name) => [name, name])),
        allow_unverified_clients: s,
      },
    })),
    clients: fc.constant({ 'client:a': {}, 'client:b': {} }),
    grants: fc.array(grant, { maxLength }),
  })

/** The policy of a document; it must be a good one. */
export function policyOf(document: unknown): Policy {
  const text = JSON.stringify(document)
  const compiled = compile(text)
  assert.ok(compiled.ok, `${text}\n${JSON.stringify(compiled)}`)
  return compiled.policy
}

const node = { id: 'n', name: 'n', addresses: [], key_expiry: null, os: 'linux', os_version: null }
const machine = { capabilities: new Map<string, unknown[]>(), node, address: '100.64.0.9' }
const person = (login: string, groups: string[] | null = null): Extract<Principal, { kind: 'user' }> => ({
  kind: 'user',
  user_id: login,
  login,
  display_name: null,
  picture: null,
  groups,
  ...machine,
  address: '100.64.0.1',
})

/** Everybody who asks: by login, by domain in capitals, by a group that only the mesh knows, on another machine, and one who chose a group's name. */
export const persons = [
  person('alice@x'),
  person('BOB@X'),
  { ...person('carol@y'), node: { ...node, os: null }, address: '100.64.0.5' },
  person('dave@y', ['group:m']),
  person('group:a'),
]
export const ci = { kind: 'node' as const, tags: ['tag:ci'], ...machine }
const gateway = { kind: 'node' as const, tags: ['tag:gw', 'tag:other'], ...machine, address: '100.64.0.10' }
/** Two that the file names, and one that it does not. */
export const software = [...clientNames.map((name) => ({ client_id: name, name })), { client_id: 'dcr_1', name: null }]
/** In seconds: after one of the dates that grants expire at, before the other. */
export const now = 1_800_000_000

const principal = fc.constantFrom(...persons)
const client = fc.constantFrom(...software)
/** What asks for itself, or acts: a client, or a workload by its SPIFFE ID. */
const workload = fc.constantFrom(
  ...software,
  ...['spiffe://x/w/a', 'spiffe://x/v/a', 'spiffe://x/gw', 'spiffe://y/w/a'].map((id) => ({ client_id: id, name: null, spiffe_id: id })),
)
const resource = fc.constantFrom(...resourceNames)
const wanted = fc.uniqueArray(fc.constantFrom('r1', 'r2', 'both', 's1', ...identity, 'nothing'))

const kinds: { [A in Asked['app']]: fc.Arbitrary<Extract<Asked, { app: A }>> } = {
  authorize: fc.record({ app: fc.constant('authorize'), principal, client, resource: fc.option(resource), scopes: wanted }),
  client_credentials: fc.record({
    app: fc.constant('client_credentials'),
    principal: fc.option(fc.constant(ci)),
    client: workload,
    resource,
    scopes: wanted,
  }),
  register: fc.record({
    app: fc.constant('register'),
    principal: fc.constantFrom(...persons, ci),
    via: fc.constantFrom('dcr', 'cimd', 'initial_access_token'),
    hosts: fc.oneof(fc.constant(['a.x']), some('localhost', 'a.x', 'b.x', 'x')),
    confidential: fc.boolean(),
  }),
  exchange: fc.record({
    app: fc.constant('exchange'),
    principal: fc.constantFrom(...persons, ci),
    client: workload,
    actor: fc.option(fc.constant(gateway)),
    from: fc.constantFrom('resource:s', 'resource:s', 'resource:s', 'resource:r'),
    held: wanted.map((held) => [...held, 's1']),
    resource: fc.constantFrom('resource:r', 'resource:r', 'resource:r', 'resource:s'),
    scopes: fc.oneof(wanted, fc.constant([])),
    depth: fc.constantFrom(1, 1, 2),
    impersonate: fc.constantFrom(false, false, true),
  }),
  funnel: fc.record({ app: fc.constant('funnel'), principal: fc.constant(null), client: workload }),
  introspect: fc.record({ app: fc.constant('introspect'), principal: fc.option(fc.constant(ci)), client: fc.option(workload), resource }),
  claims: fc.record({ app: fc.constant('claims'), principal, client, resource: fc.option(resource) }),
  admin: fc.record({ app: fc.constant('admin'), principal, access: fc.constantFrom('read', 'write') }),
}

/** A question of a kind that one of the grants is about, so that many are allowed; of any kind where there are none. */
export function questionsTo({ grants }: Pick<PolicyDocument, 'grants'>): fc.Arbitrary<Asked> {
  const apps = grants.flatMap(({ app }) => Object.keys(app) as Asked['app'][])
  const question: fc.Arbitrary<Asked> = fc.oneof(...(apps.length > 0 ? apps.map((app) => kinds[app]) : Object.values(kinds)))
  return question.map((asked) => ({ ...asked })) // fast-check makes some without a prototype, code never does
}

/** A document, and a question to it. */
export const asked = (size?: { maxLength?: number }): fc.Arbitrary<[PolicyDocument, Asked]> =>
  documents(size).chain((document) => fc.tuple(fc.constant(document), questionsTo(document)))

/** The same about software that is brought: more kinds of it than of anything else differ in one condition alone. */
export const registrations: fc.Arbitrary<[PolicyDocument, Asked]> = fc.tuple(
  fc
    .tuple(documents({ maxLength: 0 }), fc.array(given(people, workloads, register), { minLength: 1, maxLength: 3 }))
    .map(([document, grants]) => ({ ...document, grants })),
  kinds.register.map((asked) => ({ ...asked })),
)
