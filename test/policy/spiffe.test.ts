/** SPIFFE workloads in a policy: selectors, actors, tests of the file, and what a change means to them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserPrincipal } from '../../src/oauth/principal.ts'
import { callersOf, compile, diff, evaluate, type Policy, runTests } from '../../src/policy/index.ts'

const text = (grants: string, tests = '', clients = '"client:app": {}') => `{
  "resources": { "resource:wiki": { "uri": "https://wiki", "scopes": ["read", "write"] }, "resource:gateway": { "uri": "https://gateway", "scopes": ["call"] } },
  "clients": { ${clients} },
  "grants": [${grants}],
  "tests": [${tests}]
}`

function policyOf(...parts: Parameters<typeof text>): Policy {
  const compiled = compile(text(...parts))
  assert.ok(compiled.ok, JSON.stringify(compiled))
  return compiled.policy
}

const problemsOf = (...parts: Parameters<typeof text>) => {
  const compiled = compile(text(...parts))
  return compiled.ok ? [] : compiled.problems.map(({ message }) => message)
}

const wikiFor = (...src: string[]) =>
  `{ "src": ${JSON.stringify(src)}, "dst": ["resource:wiki"], "app": { "client_credentials": [{ "scopes": ["read"] }], "introspect": [{}] } }`

const asks = (policy: Policy, spiffe_id: string, scopes: string[] = []) =>
  evaluate(policy, {
    app: 'client_credentials',
    principal: null,
    client: { client_id: spiffe_id, name: null, spiffe_id },
    resource: 'resource:wiki',
    scopes,
  })

test('a SPIFFE selector gives a workload tokens of its own; what merely calls itself so gets none', () => {
  const policy = policyOf(wikiFor('spiffe://example.org/ns/*/sa/builder', 'spiffe://example.org/one'))
  for (const id of ['spiffe://example.org/ns/a/sa/builder', 'spiffe://example.org/one']) assert.equal(asks(policy, id).allowed, true, id)
  for (const id of [
    'spiffe://example.org/ns/a/sa/x',
    'spiffe://example.org/ns/a/b/sa/builder',
    'spiffe://other.org/one',
    'spiffe://example.org/one/x',
  ])
    assert.equal(asks(policy, id).allowed, false, id)
  const refused = asks(policy, 'spiffe://example.org/two')
  assert.equal(!refused.allowed && refused.sentence, 'spiffe://example.org/two may not get tokens of its own for resource:wiki.')
  const unproven = { client_id: 'spiffe://example.org/one', name: null }
  assert.equal(
    evaluate(policy, { app: 'client_credentials', principal: null, client: unproven, resource: 'resource:wiki', scopes: [] }).allowed,
    false,
  )
})

test('a SPIFFE selector is a trust domain and a path of whole segments, a star for one of them', () => {
  for (const good of ['spiffe://a/b', 'spiffe://example.org/*', 'spiffe://example.org/*/x/*', 'spiffe://a.b_c-9/A.B_c-9'])
    assert.deepEqual(problemsOf(wikiFor(good)), [], good)
  for (const bad of [
    'spiffe://example.org',
    'spiffe://example.org/',
    'spiffe://Example.org/a',
    'spiffe://example.org/a/',
    'spiffe://example.org/a//b',
    'spiffe://example.org/../b',
    'spiffe://*/a',
    'spiffe://example.org:1/a',
    'spiffe://u@example.org/a',
    'spiffe://example.org/a?b',
    'spiffe://example.org/%61',
  ])
    assert.match(problemsOf(wikiFor(bad))[0] ?? '', /is no SPIFFE ID; it looks like spiffe:\/\/trust-domain\/path\./, bad)
  for (const bad of ['spiffe://example.org/a*', 'spiffe://example.org/**', 'spiffe://example.org/ns/a-*'])
    assert.match(problemsOf(wikiFor(bad))[0] ?? '', /A star stands for one whole segment of the path\./, bad)
  assert.match(problemsOf('', '', '"client:app": { "spiffe_id": "spiffe://example.org/*" }')[0] ?? '', /is no SPIFFE ID/)
})

test('a client with a spiffe_id has the grants of its name and of its workload', () => {
  const clients = '"client:app": { "spiffe_id": "spiffe://example.org/app" }'
  const policy = policyOf(
    wikiFor('spiffe://example.org/*'),
    '{ "src": "client:app", "app": "client_credentials", "dst": "resource:wiki", "accept": ["read"], "deny": ["write"] }',
    clients,
  )
  assert.deepEqual(runTests(policy), [])
})

test('tests of the file may speak of a workload', () => {
  const say = (src: string, expected: string) => `{ "src": "${src}", "app": "client_credentials", "dst": "resource:wiki", ${expected} }`
  const policy = policyOf(
    wikiFor('spiffe://example.org/ns/*/sa/builder'),
    [
      say('spiffe://example.org/ns/a/sa/builder', '"accept": ["read"], "deny": ["write"]'),
      say('spiffe://example.org/ns/a/sa/builder-evil', '"deny": ["*"]'),
      '{ "src": "spiffe://example.org/ns/a/sa/builder", "app": "introspect", "dst": "resource:wiki", "accept": ["*"] }',
    ].join(),
  )
  assert.deepEqual(runTests(policy), [])
  const wrong = policyOf(wikiFor('spiffe://example.org/one'), say('spiffe://example.org/two', '"accept": ["read"]'))
  assert.equal(runTests(wrong).length, 1)
})

test('RFC 8693: a workload may be an actor', () => {
  const alice: UserPrincipal = {
    kind: 'user',
    user_id: '1',
    login: 'alice@example.com',
    display_name: null,
    picture: null,
    groups: null,
    capabilities: new Map(),
    node: { id: 'n', name: 'laptop', addresses: [], key_expiry: null, os: null, os_version: null },
    address: '100.64.0.1',
  }
  const policy = policyOf(
    `{ "src": ["*"], "dst": ["resource:wiki"], "app": { "authorize": [{ "scopes": ["read"], "clients": ["*"] }],
      "exchange": [{ "actors": ["spiffe://example.org/gw/*"], "from": ["resource:gateway"], "scopes": { "read": ["call"] } }] } }`,
    '{ "src": "alice@example.com", "app": "exchange", "dst": "resource:wiki", "actor": "spiffe://example.org/gw/1", "from": "resource:gateway", "with": ["call"], "accept": ["read"] }',
  )
  assert.deepEqual(runTests(policy), [])
  const verdict = (spiffe_id: string) =>
    evaluate(policy, {
      app: 'exchange',
      principal: alice,
      client: { client_id: spiffe_id, name: null, spiffe_id },
      actor: null,
      from: 'resource:gateway',
      held: ['call'],
      resource: 'resource:wiki',
      scopes: ['read'],
      depth: 1,
      impersonate: false,
    })
  assert.equal(verdict('spiffe://example.org/gw/1').allowed, true)
  for (const id of ['spiffe://example.org/gw', 'spiffe://example.org/gw/1/2', 'spiffe://other.org/gw/1']) {
    const refused = verdict(id)
    assert.equal(!refused.allowed && refused.reason, 'client', id)
  }
})

test('policy diff: what a workload gains and loses is told', () => {
  const [old, next] = [policyOf(wikiFor('spiffe://example.org/ns/*/sa/builder')), policyOf(wikiFor('spiffe://example.org/other'))]
  const told = JSON.stringify(diff(old, next, callersOf([old, next], []), 0))
  for (const who of ['spiffe://example.org/ns/any-other/sa/builder', 'spiffe://example.org/other']) assert.ok(told.includes(who), told)
  assert.deepEqual(diff(old, old, callersOf([old, old], []), 0), [])
})
