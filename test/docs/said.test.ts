/** What the documents quote is what the program says and takes. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseConfig } from '../../src/config.ts'
import { nobody } from '../../src/identity/nobody.ts'
import type { NoIdentityReason } from '../../src/oauth/principal.ts'

const document = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

test('docs/identity.md: each reason for having no identity stands there with its own sentence', () => {
  const told = [...document('identity.md').matchAll(/^\| `(\w+)` +\| ([A-Z].*?\.) +\|$/gm)]
  assert.equal(told.length, 10)
  for (const [, reason, sentence] of told) assert.equal(nobody(reason as NoIdentityReason, '100.64.0.5').sentence, sentence)
})

test('docs/operations.md: each example is a configuration that the daemon takes', () => {
  const examples = [...document('operations.md').matchAll(/^```jsonc\n([\s\S]*?)^```$/gm)].map(([, text = '']) => parseConfig(text))
  assert.deepEqual(
    examples.map(({ mesh }) => mesh.identity),
    ['tun', 'serve', 'userspace'],
  )
})
