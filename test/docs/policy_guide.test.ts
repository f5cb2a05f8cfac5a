/** The policies of docs/policy_guide.md: each compiles without a warning, and its tests hold, and would fail without any of its grants. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'jsonc-parser'
import type { PolicyDocument } from '../../src/policy/document.ts'
import { compile, runTests } from '../../src/policy/index.ts'

const guide = readFileSync(new URL('../../docs/policy_guide.md', import.meta.url), 'utf8')
const sections = guide.split(/^## /m).slice(1)

function failuresOf(text: string): string[] {
  const compiled = compile(text)
  assert.ok(compiled.ok, JSON.stringify(compiled))
  return [...compiled.policy.warnings, ...runTests(compiled.policy)].map(({ message }) => message)
}

test('the policy guide starts from at least ten things that an admin wants, each with one policy', () => {
  assert.ok(sections.length >= 10)
  for (const [index, section] of sections.entries()) assert.ok(section.startsWith(`${index + 1}. `), section.slice(0, 60))
})

for (const section of sections)
  test(`policy guide, ${section.slice(0, section.indexOf('\n'))}: its tests hold, each of its grants is needed for them, and one is a denial`, () => {
    const policies = [...section.matchAll(/^```jsonc\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text)
    assert.equal(policies.length, 1)
    const [text = ''] = policies
    assert.deepEqual(failuresOf(text), [])

    const document = parse(text) as PolicyDocument
    assert.ok(document.tests?.some(({ deny }) => deny))
    for (const [index] of (document.grants ?? []).entries()) {
      const without = { ...document, grants: document.grants?.toSpliced(index, 1) }
      assert.notDeepEqual(failuresOf(JSON.stringify(without)), [], `grant ${index + 1} is not missed`)
    }
  })
