/** "How grants add up", as properties of policies that nobody wrote. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Principal } from '../../src/oauth/principal.ts'
import { type Asked, compile, evaluate, type Policy, type Verdict } from '../../src/policy/index.ts'
import { compareLeniency } from '../../src/policy/limits.ts'

type Json = Record<string, unknown>

const node = { id: 'n', name: 'n', addresses: [], key_expiry: null, os: 'linux', os_version: null }
const user = (login: string, groups: string[] | null = null): Principal => ({
  kind: 'user',
  user_id: login,
  login,
  display_name: null,
  picture: null,
  groups,
  capabilities: new Map(),
  node,
  address: '100.64.0.1',
})
const ci: Principal = { kind: 'node', tags: ['tag:ci'], capabilities: new Map(), node, address: '100.64.0.9' }
const app = { client_id: 'a', name: 'client:a' }
const stranger = { client_id: 'z', name: null }

const groups = { 'group:a': ['alice@x', 'group:b'], 'group:b': ['bob@x'] }
const scenery = {
  groups,
  mesh_groups: ['group:m'],
  resources: {
    'resource:r': { uri: 'https://r', scopes: ['r1', 'r2', 'both'], allow_unverified_clients: true },
    'resource:s': { uri: 'https://s', scopes: ['s1', 'both'] },
  },
  clients: { 'client:a': {}, 'client:b': {} },
}

function policyOf(grants: readonly Json[], more: Json = {}): Policy {
  const compiled = compile(JSON.stringify({ ...scenery, grants, ...more }))
  assert.ok(compiled.ok, JSON.stringify(compiled))
  return compiled.policy
}

const src = fc.uniqueArray(
  fc.constantFrom('*', 'alice@x', '*@x', 'group:a', 'group:b', 'group:m', 'tag:ci', 'autogroup:tagged', 'client:a', '100.64.0.0/30'),
  { minLength: 1, maxLength: 3 },
)
const some = <T>(...items: T[]) => fc.uniqueArray(fc.constantFrom(...items), { minLength: 1 })
const terms = {
  bind: fc.constantFrom('user', 'node'),
  access_token_ttl: fc.constantFrom('1m', '5m', '1h'),
  refresh_token_ttl: fc.constantFrom('1d', '30d', '60d'),
}
const conditions = fc.record(
  { posture: fc.constantFrom({ os: ['linux'] }, { os: ['macOS'] }), expires: fc.constantFrom('2020-01-01', '2999-01-01') },
  { requiredKeys: [] },
)

const capability = fc.oneof(
  fc
    .record(
      {
        scopes: some('r1', 'r2', 'both', 's1', 'openid', 'email'),
        clients: some('*', 'autogroup:registered', 'client:a', 'client:b'),
        consent: fc.constantFrom('always', 'once'),
        ...terms,
      },
      { requiredKeys: ['scopes'] },
    )
    .map((authorize) => ({ dst: ['resource:r', 'resource:s', 'client:a', 'autogroup:registered'], app: { authorize: [authorize] } })),
  fc
    .record({ scopes: some('r1', 'r2', 'both'), access_token_ttl: terms.access_token_ttl }, { requiredKeys: ['scopes'] })
    .map((client_credentials) => ({ dst: ['resource:r'], app: { client_credentials: [client_credentials] } })),
  fc
    .record(
      {
        via: some('dcr', 'cimd'),
        redirect_uris: some('localhost', '*.x', 'a.x'),
        confidential: fc.boolean(),
        max_clients: fc.integer({ min: 1, max: 9 }),
        client_ttl: fc.constantFrom('1d', '90d', '100d'),
      },
      { requiredKeys: [] },
    )
    .map((register) => ({ app: { register: [register] } })),
  some('resource:r', 'resource:s').map((dst) => ({ dst, app: { introspect: [{}] } })),
  fc.record({ groups: some('group:a', 'group:b', 'group:m') }).map((claims) => ({ dst: ['client:a'], app: { claims: [claims] } })),
  fc.constantFrom('read', 'write').map((access) => ({ app: { admin: [{ access }] } })),
)
const grant = fc.tuple(src, capability, conditions).map(([src, rest, more]): Json => ({ src, ...rest, ...more }))
const grants = fc.array(grant, { maxLength: 6 })

const principal = fc.constantFrom(user('alice@x'), user('BOB@x'), user('carol@y'), user('dave@y', ['group:m']), user('group:a'))
const client = fc.constantFrom(app, { client_id: 'b', name: 'client:b' }, stranger)
const scopes = fc.uniqueArray(fc.constantFrom('r1', 'r2', 'both', 's1', 'openid', 'email', 'nothing'))
const resource = fc.constantFrom('resource:r', 'resource:s')
const asked: fc.Arbitrary<Asked> = fc.oneof(
  fc.record({ app: fc.constant('authorize' as const), principal, client, resource: fc.option(resource), scopes }),
  fc.record({ app: fc.constant('client_credentials' as const), principal: fc.constantFrom(null, ci), client, resource, scopes }),
  fc.record({
    app: fc.constant('register' as const),
    principal: fc.oneof(principal, fc.constant(ci)),
    via: fc.constantFrom('dcr' as const, 'cimd' as const),
    hosts: some('localhost', 'a.x', 'b.x', 'x'),
    confidential: fc.boolean(),
  }),
  fc.record({ app: fc.constant('introspect' as const), principal: fc.constantFrom(null, ci), client: fc.option(client), resource }),
  fc.record({ app: fc.constant('claims' as const), principal, client, resource: fc.option(resource) }),
  fc.record({ app: fc.constant('admin' as const), principal, access: fc.constantFrom('read' as const, 'write' as const) }),
)

const now = 1_800_000_000
/** A verdict less what is about positions in the file. */
const substance = (verdict: Verdict) =>
  verdict.allowed ? { ...verdict, grants: [] } : { allowed: false, reason: verdict.reason, sentence: verdict.sentence }

test('adding a grant never takes access away, nor makes a scope stricter [threats 385]', () => {
  fc.assert(
    fc.property(grants, grant, asked, (before, added, asked) => {
      const [old, today] = [evaluate(policyOf(before), asked, now), evaluate(policyOf([...before, added]), asked, now)]
      if (!old.allowed) return
      assert.ok(today.allowed)
      for (const scope of old.scopes) assert.ok(today.scopes.includes(scope))
      for (const group of old.limits.groups) assert.ok(today.limits.groups.includes(group))
      assert.ok(
        (today.limits.max_clients ?? 0) >= (old.limits.max_clients ?? 0) && (today.limits.client_ttl ?? 0) >= (old.limits.client_ttl ?? 0),
      )
      // The request takes the strictest of its scopes, and a new scope may be stricter: so compare one scope at a time.
      for (const scope of old.scopes) {
        const one = { ...asked, scopes: [scope] } as Asked
        const [was, is] = [evaluate(policyOf(before), one, now), evaluate(policyOf([...before, added]), one, now)]
        assert.ok(was.allowed && is.allowed && compareLeniency(is.limits, was.limits) >= 0)
      }
    }),
    { numRuns: 600 },
  )
})

test('the order of grants, of selectors and of groups means nothing', () => {
  const shuffled = grants.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })))
  const reversed = {
    groups: Object.fromEntries(
      Object.entries(groups)
        .toReversed()
        .map(([name, members]) => [name, members.toReversed()]),
    ),
  }
  fc.assert(
    fc.property(shuffled, asked, ([one, two], asked) => {
      const other = two.map((grant) => ({ ...grant, src: (grant.src as string[]).toReversed() }))
      assert.deepEqual(substance(evaluate(policyOf(one), asked, now)), substance(evaluate(policyOf(other, reversed), asked, now)))
    }),
    { numRuns: 600 },
  )
})

test('fields of two grants never mix: whatever is allowed, one grant alone allows each scope of it on those terms', () => {
  fc.assert(
    fc.property(grants, asked, (all, asked) => {
      const verdict = evaluate(policyOf(all), asked, now)
      if (!verdict.allowed) return
      if (!('scopes' in asked)) {
        for (const index of verdict.grants) assert.ok(evaluate(policyOf([all[index] ?? {}]), asked, now).allowed)
        return
      }
      for (const scope of verdict.scopes) {
        const one = { ...asked, scopes: [scope] } as Asked
        const together = evaluate(policyOf(all), one, now)
        assert.ok(together.allowed && together.grants.length === 1)
        // An identity scope at a resource also needs any grant there; asked without the resource, its own grant suffices.
        const alone = scope === 'openid' || scope === 'email' ? ({ ...one, resource: null } as Asked) : one
        const by = evaluate(policyOf([all[together.grants[0] ?? -1] ?? {}]), alone, now)
        assert.ok(by.allowed)
        assert.deepEqual(by.limits, together.limits)
      }
    }),
    { numRuns: 600 },
  )
})

test('nothing is granted that was not asked, and what was asked is granted or dropped', () => {
  fc.assert(
    fc.property(grants, asked, (all, asked) => {
      const verdict = evaluate(policyOf(all), asked, now)
      if (!verdict.allowed || !('scopes' in asked) || asked.scopes.length === 0) return
      assert.deepEqual([...verdict.scopes, ...verdict.dropped].sort(), [...asked.scopes].sort())
    }),
    { numRuns: 600 },
  )
})

test('a group nested deeper, or a member named twice, changes nothing', () => {
  fc.assert(
    fc.property(grants, asked, (all, asked) => {
      const nested = {
        'group:a': ['group:c', 'alice@x', 'ALICE@x'],
        'group:c': ['group:d', 'group:b', 'alice@x'],
        'group:d': ['group:b'],
        'group:b': ['bob@x', 'bob@x'],
      }
      assert.deepEqual(substance(evaluate(policyOf(all, { groups: nested }), asked, now)), substance(evaluate(policyOf(all), asked, now)))
    }),
    { numRuns: 400 },
  )
})

test('the same grant twice changes nothing', () => {
  fc.assert(
    fc.property(grants, asked, (all, asked) => {
      assert.deepEqual(substance(evaluate(policyOf([...all, ...all]), asked, now)), substance(evaluate(policyOf(all), asked, now)))
    }),
    { numRuns: 400 },
  )
})

test('without any grant nothing is allowed [threats 385]', () => {
  fc.assert(
    fc.property(asked, (asked) => !evaluate(policyOf([]), asked, now).allowed),
    { numRuns: 200 },
  )
})
