/** The access modes of policy/modes: each compiles, passes its own tests, and those tests notice when the door stands open or shut. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'jsonc-parser'
import type { PolicyDocument } from '../../src/policy/document.ts'
import { compile, format, runTests } from '../../src/policy/index.ts'

const directory = new URL('../../policy/modes/', import.meta.url)
const guide = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8')
const modes = readdirSync(directory)

function failuresOf(text: string): string[] {
  const compiled = compile(text)
  assert.ok(compiled.ok, JSON.stringify(compiled))
  assert.deepEqual(compiled.policy.warnings, [])
  return runTests(compiled.policy).map(({ message }) => message)
}

/** The document with these `register` capabilities for these callers instead of its own. */
function withDoor(text: string, src: string[], app: object | null): string {
  const document = parse(text) as PolicyDocument
  const others = (document.grants ?? []).filter((grant) => !grant.app.register)
  return JSON.stringify({ ...document, grants: [...others, ...(app ? [{ src, app }] : [])] })
}

test('there is a mode for each way to say who registers software, and the documentation names each', () => {
  assert.equal(modes.length, 8)
  for (const name of modes) assert.ok(guide.includes(`(../policy/modes/${name})`), name)
})

for (const name of modes)
  test(`access mode ${name}: it passes its own tests, and they fail where everybody may register, or nobody`, () => {
    const text = readFileSync(new URL(name, directory), 'utf8')
    assert.deepEqual(failuresOf(text), [])
    const laidOut = format(text)
    assert.equal(laidOut.ok && laidOut.text, text, 'in the one layout')

    const open = withDoor(text, ['*', 'autogroup:tagged'], { register: [{ via: ['dcr', 'cimd', 'initial_access_token'] }] })
    const shut = withDoor(text, [], null)
    const [opened, closed] = [failuresOf(open), failuresOf(shut)]
    if (name === 'anyone_contained.hujson') assert.deepEqual(opened, [])
    else assert.notDeepEqual(opened, [])
    if (['nobody.hujson', 'admin_made.hujson'].includes(name)) assert.deepEqual(closed, [])
    else assert.notDeepEqual(closed, [])
  })
