import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { policyDocument } from '../../src/policy/document.ts'
import { compile } from '../../src/policy/index.ts'

const example = readFileSync(new URL('../../policy/example.hujson', import.meta.url), 'utf8')

test('the example policy compiles without a warning', () => {
  const compiled = compile(example)
  assert.ok(compiled.ok, JSON.stringify(compiled))
  assert.deepEqual(compiled.policy.warnings, [])
  assert.equal(compiled.policy.hash, hash('sha256', example))
  assert.deepEqual([...compiled.policy.clients.keys()], ['client:grafana', 'client:wiki-server', 'client:notes-server', 'client:gateway'])
})

test('what a resource and a client leave out gets its default', () => {
  const compiled = compile(`{
    "resources": { "resource:closed": { "uri": "https://closed.example.com", "scopes": { "closed:read": "Read" } } },
    "clients": { "client:app": { "redirect_uris": ["https://app.example.com/cb"], "client_secret_file": "app" } }
  }`)
  assert.ok(compiled.ok)
  assert.deepEqual(compiled.policy.resources.get('resource:closed'), {
    name: 'resource:closed',
    uri: 'https://closed.example.com',
    title: 'closed',
    description: null,
    scopes: new Map([['closed:read', 'Read']]),
    default: false,
    token_format: 'jwt',
    check: 'local',
    unverified_scopes: new Set(),
    signing_alg: 'ES256',
    may_act: null,
  })
  assert.deepEqual(compiled.policy.clients.get('client:app'), {
    name: 'client:app',
    client_id: 'client:app',
    title: 'app',
    redirect_uris: ['https://app.example.com/cb'],
    client_secret_file: 'app',
    default_resource: null,
    node: [],
    jwks: null,
    jwks_uri: null,
    spiffe_id: null,
    compat: { assertion_aud: false },
    require_pkce: true,
    id_token_signed_response_alg: null,
    post_logout_redirect_uris: [],
  })
})

test('the smallest policy is {}', () => assert.ok(compile('{}').ok))

test('the schema can be written as JSON Schema, for editors', () => {
  assert.equal(z.toJSONSchema(policyDocument, { io: 'input' }).type, 'object')
})

test('whatever the text, compile answers with a policy or with problems that have a place [threats 373, 374]', () => {
  const check = (text: string) => {
    const compiled = compile(text)
    if (compiled.ok) return
    assert.ok(compiled.problems.some((problem) => problem.severity === 'error'))
    for (const { line, column, message } of compiled.problems)
      assert.ok(line >= 1 && column >= 1 && message.endsWith('.'), JSON.stringify(compiled.problems))
  }
  const token = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '//',
    '/*',
    '*/',
    '\n',
    '"grants"',
    '"src"',
    '"*"',
    '1',
    'null',
    '\\u',
    '\0',
    '\uFEFF',
    '"__proto__"',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(token, { maxLength: 30 }).map((tokens) => tokens.join('')),
      ),
      check,
    ),
    { numRuns: 2000 },
  )
  fc.assert(fc.property(fc.json({ maxDepth: 5 }), check), { numRuns: 500 })
  // The example with a piece cut out, or something put in: close to a policy, and seldom one.
  const cut = fc.tuple(fc.nat(example.length), fc.nat(60), fc.oneof(token, fc.constant('')))
  fc.assert(
    fc.property(cut, ([at, length, put]) => check(example.slice(0, at) + put + example.slice(at + length))),
    { numRuns: 500 },
  )
})

test('any JSON in place of any part of a policy gives problems, never an exception [threats 355, 376, 377]', () => {
  const parts = ['groups', 'mesh_groups', 'resources', 'clients', 'grants', 'tests'] as const
  const key = fc.constantFrom(
    'group:a',
    'resource:a',
    'client:a',
    'src',
    'dst',
    'app',
    'authorize',
    'claims',
    'exchange',
    'scopes',
    'uri',
    'expires',
    'posture',
    'constructor',
    'toString',
    'hasOwnProperty',
  )
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 6 },
      fc.constantFrom<unknown>('*', 'group:a', 'resource:a', 'client:a', 'a', '30d', 1, true, null, 'x y', '100.64.0.0/10'),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4 }),
    ),
  }))
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...parts), value), (document) => {
      const compiled = compile(JSON.stringify(document))
      assert.ok(compiled.ok || compiled.problems.length > 0)
    }),
    { numRuns: 1500 },
  )
})
