import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inJson } from '../../src/cli/json.ts'

test('RFC 8259 §7: no control that somebody wrote into a name reaches a terminal by --json, and a program reads the same value', () => {
  const value = { name: 'a\u001b[2J\u009b2J\u007f\u0085b', 'key\u009c': [1, 'ü'], map: new Map([['scope', 2]]) }
  const printed = inJson(value)
  assert.doesNotMatch(printed.replaceAll('\n', ''), /\p{Cc}/u)
  assert.deepEqual(JSON.parse(printed), { ...value, map: { scope: 2 } })
})
