import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { compile, runTests } from '../../src/policy/index.ts'

const policy = (tests: string) => `{
  "groups": { "group:eng": ["alice@example.com"], "group:ops": ["carol@example.com"] },
  "mesh_groups": ["group:mesh"],
  "resources": {
    "resource:wiki": { "uri": "https://wiki", "scopes": ["read", "write"], "allow_unverified_clients": true },
    "resource:gateway": { "uri": "https://gateway", "scopes": ["call"] },
  },
  "clients": { "client:app": {}, "client:gateway": {} },
  "grants": [
    { "src": ["group:eng"], "dst": ["resource:wiki"], "app": { "authorize": [{ "scopes": ["read"], "clients": ["*"] }] } },
    { "src": ["group:mesh"], "dst": ["resource:wiki"], "app": { "authorize": [{ "scopes": ["write"], "clients": ["client:app"] }] } },
    { "src": ["group:eng", "group:ops"], "dst": ["resource:wiki"], "app": { "exchange": [
      { "actors": ["client:gateway", "tag:gw"], "from": ["resource:gateway"], "scopes": { "read": ["call"], "write": ["call"] } }] } },
    { "src": ["tag:ci"], "dst": ["resource:wiki"], "app": { "client_credentials": [{ "scopes": ["read"] }] }, "posture": { "os": ["linux"], "os_version": "6", "attributes": ["a"], "key_expiry": "required" } },
    { "src": ["client:app"], "dst": ["resource:wiki"], "app": { "introspect": [{}] } },
    { "src": ["*"], "app": { "register": [{ "via": ["cimd"] }] }, "expires": "2001-01-01" },
    { "src": ["group:ops"], "app": { "admin": [{ "access": "read" }] } },
    { "src": ["*"], "dst": ["client:app"], "app": { "claims": [{ "claims": { "team": "x" } }] } },
  ],
  "tests": [
${tests}
  ],
}`

/** "line:column sentence" of each failure; the first test stands on line 21. */
function failures(...tests: string[]): string[] {
  const compiled = compile(policy(tests.map((one) => `    ${one},`).join('\n')))
  assert.ok(compiled.ok, JSON.stringify(compiled))
  return runTests(compiled.policy).map(({ line, column, message }) => `${line}:${column} ${message}`)
}
const wiki = '"app": "authorize", "dst": "resource:wiki"'
const exchange = '"app": "exchange", "dst": "resource:wiki", "from": "resource:gateway"'

test('tests of a policy hold where the engine says what they expect, under every key', () => {
  assert.deepEqual(
    failures(
      `{ "src": "alice@example.com", ${wiki}, "accept": ["read", "*"], "deny": ["write"] }`,
      `{ "src": "dave@example.com", ${wiki}, "deny": ["*"] }`,
      `{ "src": "dave@example.com", ${wiki}, "given": { "groups": ["group:mesh"] }, "accept": ["write"], "deny": ["read"] }`,
      `{ "src": "dave@example.com", ${wiki}, "given": { "groups": ["group:mesh"] }, "client": "autogroup:registered", "deny": ["*"] }`,
      `{ "src": "alice@example.com", ${exchange}, "actor": "client:gateway", "with": ["call"], "accept": ["read"], "deny": ["write"] }`,
      `{ "src": "alice@example.com", ${exchange}, "actor": "tag:gw", "with": ["call"], "accept": ["read"] }`,
      `{ "src": "alice@example.com", ${exchange}, "actor": "client:gateway", "deny": ["*"] }`,
      `{ "src": "alice@example.com", ${exchange}, "actor": "client:app", "with": ["call"], "deny": ["*"] }`,
      `{ "src": "carol@example.com", ${exchange}, "actor": "client:gateway", "with": ["call"], "deny": ["*"] }`,
      '{ "src": "tag:ci", "app": "client_credentials", "dst": "resource:wiki", "given": { "os": "linux", "os_version": "6.1", "attributes": ["a"], "key_expiry": true }, "accept": ["read"] }',
      '{ "src": "tag:ci", "app": "client_credentials", "dst": "resource:wiki", "deny": ["read"] }',
      '{ "src": "tag:x", "app": "client_credentials", "dst": "resource:wiki", "given": { "os": "linux", "os_version": "6.1", "attributes": ["a"], "key_expiry": true, "tags": ["tag:ci"] }, "accept": ["*"] }',
      '{ "src": "client:app", "app": "introspect", "dst": "resource:wiki", "accept": ["*"] }',
      '{ "src": "client:app", "app": "introspect", "dst": "resource:gateway", "deny": ["*"] }',
      '{ "src": "carol@example.com", "app": "admin", "accept": ["read"], "deny": ["write"] }',
      '{ "src": "alice@example.com", "app": "claims", "dst": "client:app", "accept": ["*"] }',
      '{ "src": "alice@example.com", "app": "claims", "dst": "client:gateway", "deny": ["*"] }',
    ),
    [],
  )
})

test('tests of a policy run as if no grant had expired, so that what loads today loads tomorrow', () => {
  assert.deepEqual(failures('{ "src": "bob@example.com", "app": "register", "accept": ["cimd"], "deny": ["dcr"] }'), [])
})

test('a test that fails says where it stands, what was expected, what came out, and the near miss', () => {
  assert.deepEqual(
    failures(
      `{ "src": "dave@example.com", ${wiki}, "accept": ["read"] }`,
      `{ "src": "alice@example.com", ${wiki}, "deny": ["write", "*"] }`,
      '{ "src": "alice@example.com", "app": "admin", "accept": ["write"] }',
    ),
    [
      '21:89 dave@example.com was to be given "read" by "authorize" at resource:wiki, and is not. dave@example.com may not use resource:wiki. dave@example.com would match grant 1 if in group:eng.',
      '22:97 alice@example.com was to be denied "authorize" at resource:wiki, and grant 1 gives it.',
      '23:62 alice@example.com was to be given "write" by "admin", and is not. alice@example.com is not an admin here.',
    ],
  )
})

test('a test that asks nothing is a failure, not a pass', () => {
  assert.deepEqual(
    failures(
      `{ "src": "alice@example.com", ${wiki} }`,
      `{ "src": "alice@example.com", ${wiki}, "deny": ["wirte"] }`,
      '{ "src": "alice@example.com", "app": "authorize", "dst": "resource:wikki", "deny": ["*"] }',
      `{ "src": "group:eng", ${wiki}, "deny": ["*"] }`,
      `{ "src": "alice@example.com", ${wiki}, "client": "client:ap", "deny": ["*"] }`,
      `{ "src": "alice@example.com", ${exchange}, "deny": ["*"] }`,
      '{ "src": "client:nobody", "app": "introspect", "dst": "resource:wiki", "deny": ["*"] }',
    ).map((one) => one.replace(/^(\d+):\d+/, '$1')),
    [
      '21 This test expects nothing; it needs "accept" or "deny".',
      '22 "authorize" knows no "wirte" here. It knows *, read, write, openid, profile, email, groups, offline_access.',
      '23 "dst" names nothing of this file that "authorize" could be about.',
      '24 "authorize" is asked for a login name or a tag; group:eng is neither.',
      '25 client:ap is neither a client of this file nor autogroup:registered.',
      '26 "exchange" needs an "actor": a client of this file, a tag or a SPIFFE ID.',
      '27 "introspect" is for a client of this file, a tagged node or a SPIFFE ID; client:nobody is none of them.',
    ],
  )
})

test('misspelt facts are failures, for with them a test that expects a denial would pass', () => {
  assert.deepEqual(
    failures(
      `{ "src": "dave@example.com", ${wiki}, "given": { "groups": ["group:mehs"] }, "deny": ["*"] }`,
      `{ "src": "alice@example.com", ${exchange}, "actor": "client:gateway", "with": ["cal"], "deny": ["*"] }`,
      `{ "src": "dave@example.com", ${wiki}, "given": { "tags": ["tag:ci"] }, "deny": ["*"] }`,
      `{ "src": "dave@example.com", "app": "register", "given": { "address": "100.64.0" }, "deny": ["dcr"] }`,
      `{ "src": "dave@example.com", "app": "register", "redirect_uris": ["https://app.example.com/cb"], "deny": ["dcr"] }`,
      `{ "src": "dave@example.com", ${wiki}, "redirect_uris": ["app.example.com"], "deny": ["*"] }`,
    ).map((one) => one.replace(/^(\d+):\d+/, '$1')),
    [
      '21 "group:mehs" is not defined.',
      '22 "cal" is not a scope of resource:gateway.',
      '23 Only a tagged node has tags, and dave@example.com is none.',
      '24 "100.64.0" is no IP address.',
      '25 "https://app.example.com/cb" is no host; write "app.example.com", or "com.example.app:" for a scheme.',
      '26 "redirect_uris" goes with "register" alone.',
    ],
  )
})

test('the example policy passes its own tests', () => {
  const compiled = compile(readFileSync(new URL('../../policy/example.hujson', import.meta.url), 'utf8'))
  assert.ok(compiled.ok)
  assert.deepEqual(runTests(compiled.policy), [])
})
