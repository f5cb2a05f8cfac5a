/** Grants that the tailnet policy sends along with a caller: what they give, and that what is wrong with them gives nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { NodePrincipal, UserPrincipal } from '../../src/oauth/principal.ts'
import { type Asked, compile, evaluate, giversOf, meshGrantFaults, type Policy, runTests } from '../../src/policy/index.ts'

const capability = 'example.com/cap/meshidp'

function policyOf(more: object = {}): Policy {
  const compiled = compile(
    JSON.stringify({
      groups: { 'group:eng': ['alice@example.com'], 'group:all': ['group:eng', 'group:sre'] },
      mesh_groups: ['group:sre'],
      mesh_grants: { capability },
      resources: {
        'resource:open': { uri: 'https://open', scopes: ['read', 'write'], allow_unverified_clients: true },
        'resource:closed': { uri: 'https://closed', scopes: ['read'] },
      },
      clients: { 'client:app': {} },
      grants: [{ src: ['group:eng'], dst: ['resource:open'], app: { authorize: [{ scopes: ['read'], access_token_ttl: '1m' }] } }],
      ...more,
    }),
  )
  assert.ok(compiled.ok, JSON.stringify(compiled))
  return compiled.policy
}

const node = { id: 'n', name: 'n', addresses: [], key_expiry: null, os: 'linux', os_version: null }
const person = (login: string, entries: readonly unknown[], more: Partial<UserPrincipal> = {}): UserPrincipal => ({
  kind: 'user',
  user_id: '1',
  login,
  display_name: null,
  picture: null,
  groups: null,
  capabilities: new Map([[capability, entries]]),
  node,
  address: '100.64.0.1',
  ...more,
})
const ci = (entries: readonly unknown[]): NodePrincipal => ({
  kind: 'node',
  tags: ['tag:ci'],
  capabilities: new Map([[capability, entries]]),
  node,
  address: '100.64.0.2',
})
const app = { client_id: 'client:app', name: 'client:app' }
const asks = (principal: UserPrincipal, ...scopes: string[]): Extract<Asked, { app: 'authorize' }> => ({
  app: 'authorize',
  principal,
  client: app,
  resource: 'resource:open',
  scopes,
})
const given = (policy: Policy, asked: Asked, now?: number) => {
  const verdict = evaluate(policy, asked, now)
  return verdict.allowed ? verdict.scopes.join(' ') : verdict.reason
}
const writes = { dst: ['resource:open'], app: { authorize: [{ scopes: ['write'] }] } }

test('an entry is a grant to that caller, united with those of the file, and a verdict says which gave what', () => {
  const policy = policyOf()
  const alice = person('alice@example.com', [{ app: { register: [{}] } }, writes])
  const verdict = evaluate(policy, asks(alice, 'read', 'write'))
  assert.ok(verdict.allowed)
  assert.deepEqual([verdict.scopes, verdict.grants, verdict.mesh_grants], [['read', 'write'], [0], [1]])
  assert.equal(verdict.limits.access_token_ttl, 60, 'the strictest of its scopes, wherever they come from')
  assert.deepEqual(
    giversOf(policy, asks(alice), verdict).map(({ grant, because }) => `${grant}: ${because}`),
    ['grant 1: in group:eng (by this file)', 'entry 2 of example.com/cap/meshidp in the tailnet policy: the mesh gives it to this caller'],
  )
  assert.equal(given(policy, asks(person('bob@example.com', []), 'write')), 'no_grant', 'it is nobody else’s')
  assert.equal(given(policy, asks(person('bob@example.com', [writes]), 'read', 'write')), 'write')
})

test('each capability may come from there, to whom it is for: a tagged node gets its own tokens, a person none of them', () => {
  const policy = policyOf()
  const entries = [
    { dst: ['resource:open'], app: { client_credentials: [{ scopes: ['read'] }], introspect: [{}], claims: [{ claims: { team: 'x' } }] } },
    { app: { register: [{ via: ['dcr'], max_clients: 3 }] } },
    { dst: ['resource:open'], app: { exchange: [{ actors: ['client:app'], from: ['resource:closed'], scopes: { read: ['read'] } }] } },
  ]
  const bob = person('bob@example.com', [...entries, { dst: ['resource:open'], app: { authorize: [{ scopes: ['read'] }] } }])
  const common = { client: { client_id: 'x', name: null }, resource: 'resource:open' }
  assert.equal(given(policy, { app: 'client_credentials', principal: ci(entries), scopes: ['read'], ...common }), 'read')
  assert.equal(given(policy, { app: 'client_credentials', principal: bob, scopes: ['read'], ...common }), 'no_grant')
  assert.equal(evaluate(policy, { app: 'introspect', principal: ci(entries), ...common }).allowed, true)
  assert.equal(evaluate(policy, { app: 'introspect', principal: bob, ...common }).allowed, false)
  for (const principal of [bob, ci(entries)]) {
    const verdict = evaluate(policy, { app: 'register', principal, via: 'dcr', hosts: [], confidential: false })
    assert.deepEqual(verdict.allowed && verdict.limits.max_clients, 3)
    const claims = evaluate(policy, { app: 'claims', principal, client: app, resource: 'resource:open' })
    assert.deepEqual(claims.allowed && claims.limits.claims, { team: 'x' })
  }
  const exchange = {
    app: 'exchange',
    client: app,
    actor: null,
    from: 'resource:closed',
    held: ['read'],
    resource: 'resource:open',
  } as const
  assert.equal(given(policy, { ...exchange, principal: bob, scopes: ['read'], depth: 1, impersonate: false }), 'read')
})

test('nobody comes through Funnel by the tailnet policy, and the whole entry gives nothing', () => {
  const policy = policyOf()
  const caller = ci([{ app: { funnel: [{}] } }])
  assert.match(meshGrantFaults(policy, caller)?.faults[0] ?? '', /only the policy file can let a client come that way/)
  assert.equal(evaluate(policy, { app: 'funnel', principal: null, client: { client_id: 'client:app', name: 'client:app' } }).allowed, false)
})

test('admin comes from the tailnet policy only where "mesh_grants" says so, and without it the whole entry gives nothing', () => {
  const entry = { ...writes, app: { ...writes.app, admin: [{ access: 'read' }] }, dst: undefined }
  const alone = { app: { admin: [{ access: 'write' }] } }
  const bob = person('bob@example.com', [alone, entry])
  const asked: Asked = { app: 'admin', principal: bob, access: 'write' }
  assert.equal(evaluate(policyOf(), asked).allowed, false)
  assert.match(meshGrantFaults(policyOf(), bob)?.faults[0] ?? '', /^Nothing is given by entry 1 of .* "admin": true/)
  assert.equal(evaluate(policyOf({ mesh_grants: { capability, admin: true } }), asked).allowed, true)
})

const malformed: readonly [title: string, entry: unknown, sentence: RegExp][] = [
  ['text', 'authorize', /The entry must be an object/],
  ['null', null, /The entry must be an object/],
  ['a list', [writes], /must be an object/],
  ['nothing', {}, /"app" is missing/],
  ['with "src"', { ...writes, src: ['*'] }, /"src" is not a key/],
  ['a key that nobody knows', { ...writes, dts: [] }, /"dts" is not a key of the entry\..*Did you mean "dst"/],
  ['an unknown resource', { ...writes, dst: ['resource:opne'] }, /"resource:opne" is not defined\. Did you mean "resource:open"/],
  [
    'an unknown scope',
    { dst: ['resource:open'], app: { authorize: [{ scopes: ['write', 'admin'] }] } },
    /"admin" is not a scope of resource:open/,
  ],
  ['an unknown client', { ...writes, app: { authorize: [{ scopes: ['write'], clients: ['client:x'] }] } }, /"client:x" is not defined/],
  ['an unknown group', { dst: ['client:app'], app: { claims: [{ groups: ['group:x'] }] } }, /"group:x" is not defined/],
  ['a protected claim', { dst: ['client:app'], app: { claims: [{ claims: { sub: '1' } }] } }, /"sub" is said by meshidp itself/],
  [
    'no consent for software that nobody named',
    { dst: ['resource:open'], app: { authorize: [{ scopes: ['write'], clients: ['*'], consent: 'never' }] } },
    /Consent may be skipped only/,
  ],
  ['a good capability beside a bad one', { ...writes, app: { ...writes.app, register: [{ via: ['magic'] }] } }, /must be "dcr" or/],
]

for (const [title, entry, sentence] of malformed)
  test(`an entry that is malformed gives nothing, is reported, and takes nothing away: ${title}`, () => {
    const policy = policyOf()
    const bob = person('bob@example.com', [entry, { dst: ['resource:open'], app: { authorize: [{ scopes: ['read'] }] } }])
    assert.equal(given(policy, asks(bob, 'read', 'write')), 'read', 'the good one beside it counts')
    assert.equal(evaluate(policy, { app: 'register', principal: bob, via: 'dcr', hosts: [], confidential: false }).allowed, false)
    const { faults = [] } = meshGrantFaults(policy, bob) ?? {}
    assert.equal(faults.length, 1)
    assert.match(faults[0] ?? '', /^Nothing is given by entry 1 of example\.com\/cap\/meshidp in the tailnet policy: \S.*[.?]$/)
    assert.match(faults[0] ?? '', sentence)
  })

test('too many entries, or too large ones, give nothing at all', () => {
  const policy = policyOf()
  for (const entries of [
    Array.from({ length: 101 }, () => writes),
    [writes, { ...writes, reason: 'x'.repeat(900), more: 'x'.repeat(70_000) }],
  ]) {
    const bob = person('bob@example.com', entries)
    assert.equal(given(policy, asks(bob, 'write')), 'no_grant')
    assert.match(meshGrantFaults(policy, bob)?.faults.join() ?? '', /more than 100 entries or 64 KiB/)
  }
})

test('without "mesh_grants", and under another name, what the mesh brings along means nothing', () => {
  const bob = person('bob@example.com', [writes])
  assert.equal(given(policyOf({ mesh_grants: undefined }), asks(bob, 'write')), 'no_grant')
  assert.equal(given(policyOf({ mesh_grants: { capability: 'example.com/cap/other' } }), asks(bob, 'write')), 'no_grant')
})

test('posture and expires of an entry hold as in the file, and near misses name it', () => {
  const policy = policyOf()
  const denied = (entry: object, now?: number) => {
    const verdict = evaluate(policy, asks(person('bob@example.com', [entry]), 'write'), now)
    return verdict.allowed ? 'allowed' : verdict.near.join(' ')
  }
  const mac =
    'bob@example.com would match entry 1 of example.com/cap/meshidp in the tailnet policy from a node with os macOS (self-reported)'
  const other = 'bob@example.com would match grant 1 if in group:eng.'
  assert.ok(denied({ ...writes, posture: { os: ['macOS'] } }).includes(mac))
  assert.equal(denied({ ...writes, posture: { os: ['linux'] } }), 'allowed')
  assert.equal(denied({ ...writes, expires: '2020-01-01' }, 2e9), 'Entry 1 of example.com/cap/meshidp in the tailnet policy has expired.')
  assert.equal(denied({ ...writes, expires: '2040-01-01' }, 2e9), 'allowed')
  assert.equal(
    denied({ dst: ['resource:open'], app: { authorize: [{ scopes: ['read'] }] } }).includes(other),
    false,
    'grant 1 gives no "write" anyway',
  )
})

test('groups come from the file and from the mesh, united, and an explanation says from where', () => {
  const policy = policyOf({
    grants: [{ src: ['group:all', '*'], dst: ['resource:open'], app: { authorize: [{ scopes: ['read'] }] }, posture: { os: ['linux'] } }],
  })
  const why = (login: string, groups: string[] | null) => {
    const asked = asks(person(login, [], { groups }), 'read')
    const verdict = evaluate(policy, asked)
    assert.ok(verdict.allowed)
    return giversOf(policy, asked, verdict)[0]?.because
  }
  const rest = 'a person of this tailnet, from a node with os linux (self-reported)'
  assert.equal(why('alice@example.com', null), `in group:all (by this file), ${rest}`)
  assert.equal(why('bob@example.com', ['sre']), `in group:all (by the mesh), ${rest}`)
  assert.equal(why('alice@example.com', ['group:sre']), `in group:all (by this file and by the mesh), ${rest}`)
  assert.equal(why('bob@example.com', null), rest)
})

test('a test of the policy may say what the mesh brings along', () => {
  const tests = [
    { src: 'bob@example.com', app: 'authorize', dst: 'resource:open', given: { caps: { [capability]: [writes] } }, accept: ['write'] },
    { src: 'bob@example.com', app: 'authorize', dst: 'resource:open', deny: ['write'] },
  ]
  assert.deepEqual(runTests(policyOf({ tests })), [])
  const misspelt = [{ 'example.com/cap/meshipd': [writes] }, { [capability]: [{ ...writes, dst: ['resource:opne'] }] }]
  for (const caps of misspelt)
    assert.equal(runTests(policyOf({ tests: [{ ...tests[1], given: { caps } }] })).length, 1, 'it would pass for a wrong reason')
  const [wrong] = runTests(policyOf({ tests: [{ ...tests[0], accept: undefined, deny: ['write'] }] }))
  assert.match(wrong?.message ?? '', /was to be denied "write" .*, and entry 1 of the tailnet policy gives it\.$/)
})

test('property: no JSON that the mesh brings along takes anything away, gives what no good entry gives, or throws', () => {
  const policy = policyOf()
  const good = { dst: ['resource:open'], app: { authorize: [{ scopes: ['write'], access_token_ttl: '1h' }] } }
  const nearly = fc.record(
    {
      dst: fc.oneof(fc.jsonValue(), fc.constantFrom(['resource:open'], ['resource:closed'])),
      app: fc.oneof(
        fc.jsonValue(),
        fc.dictionary(fc.constantFrom('authorize', 'admin', 'register', '__proto__', 'constructor'), fc.jsonValue()),
      ),
      posture: fc.jsonValue(),
      expires: fc.jsonValue(),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.jsonValue(), nearly), { maxLength: 5 }), fc.boolean(), (junk, withGood) => {
      const alice = person('alice@example.com', JSON.parse(JSON.stringify(withGood ? [...junk, good] : junk)) as unknown[])
      assert.equal(given(policy, asks(alice, 'read', 'write'), 0), withGood ? 'read write' : 'read')
      assert.equal(evaluate(policy, { app: 'admin', principal: alice, access: 'read' }).allowed, false)
    }),
    { numRuns: 2000 },
  )
})
