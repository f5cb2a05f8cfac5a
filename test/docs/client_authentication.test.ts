/** The examples of docs/client_authentication.md: each is a configuration or a policy that can be used as it stands, and its tests hold. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'jsonc-parser'
import { toConfig } from '../../src/config.ts'
import { compile, runTests } from '../../src/policy/index.ts'

const text = readFileSync(new URL('../../docs/client_authentication.md', import.meta.url), 'utf8')
const examples = [...text.matchAll(/^```jsonc\n([\s\S]*?)^```$/gm)].map(([, example = '']) => example)

test('docs/client_authentication.md: its examples are good ones', () => {
  assert.ok(examples.length >= 3)
  for (const example of examples) {
    const { spiffe } = parse(example) as { spiffe?: object }
    if (spiffe) {
      const { trust_domains } = toConfig({ state_directory: '/var/lib/meshidp', policy_file: '/etc/meshidp/policy.hujson', spiffe }).spiffe
      assert.equal(Object.keys(trust_domains).length, 3)
      continue
    }
    const compiled = compile(example)
    assert.ok(compiled.ok, JSON.stringify(compiled))
    assert.deepEqual([...compiled.policy.warnings, ...runTests(compiled.policy)], [])
  }
})
