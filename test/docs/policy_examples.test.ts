/** The examples of docs/policy.md: each policy is compiled, its tests are run, and what the document says that comes of it is compared with what comes of it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { inWords } from '../../src/load_policy.ts'
import type { UserPrincipal } from '../../src/oauth/principal.ts'
import { compile, evaluate, type Policy, runTests } from '../../src/policy/index.ts'

const text = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8')
const examples = [...text.matchAll(/^```jsonc\n([\s\S]*?)^```\n+```text\n([\s\S]*?)^```$/gm)]

const person = (login: string): UserPrincipal => ({
  kind: 'user',
  user_id: '1',
  login,
  display_name: null,
  picture: null,
  groups: null,
  capabilities: new Map(),
  node: { id: 'n', name: 'laptop', addresses: ['100.64.0.1'], key_expiry: null, os: null, os_version: null },
  address: '100.64.0.1',
})

/** "who, software, resource, scopes" → the same with its answer, as the document writes it. */
function answered(policy: Policy, question: string): string {
  const [login = '', software = '', resource = '', scopes = ''] = question.split(', ')
  const name = software.startsWith('client:') ? software : null
  const verdict = evaluate(policy, {
    app: 'authorize',
    principal: person(login),
    client: { client_id: name ?? 'dcr_1', name },
    resource: resource === '–' ? null : resource,
    scopes: scopes.split(' '),
  })
  if (!verdict.allowed) return `${question} → no (${verdict.reason}): ${[verdict.sentence, ...verdict.near].join(' ')}`
  const { consent, access_token_ttl } = verdict.limits
  return `${question} → ${verdict.scopes.join(' ')}; consent ${consent}${access_token_ttl === null ? '' : `; access token ${access_token_ttl} s`}`
}

test('docs/policy.md: its examples come out as it says', () => {
  assert.equal(examples.length, text.match(/^```jsonc$/gm)?.length)
  assert.ok(examples.length >= 8)
  for (const [, policy = '', said = ''] of examples) {
    const lines = said.trimEnd().split('\n')
    const compiled = compile(policy)
    const problems = compiled.ok ? [...compiled.policy.warnings, ...runTests(compiled.policy)] : compiled.problems
    const asks = lines.every((line) => line.includes(' → '))
    const comes =
      compiled.ok && asks
        ? lines.map((line) => answered(compiled.policy, line.split(' → ')[0] ?? ''))
        : problems.map((problem) => inWords('policy.hujson', problem))
    assert.deepEqual(lines, comes)
    if (asks) assert.deepEqual(problems, [])
  }
})
