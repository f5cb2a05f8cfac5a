import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Area, areas, gapsOf, threatsTable } from '../../scripts/threats.ts'

const list: Area[] = [
  { title: 'A. Doors', later: { 3: 'a third door' }, cases: { 1: 'One is shut.', 2: 'Two is shut.', 3: 'Three is shut.' } },
  { title: 'B. Windows', waits: 'glass', cases: { 4: 'Four is shut.' } },
]
const covering = (number: number) => ({ number, title: 'it is shut', file: 'house.test.ts' })

test('a due threat without a test is a gap, and so is a number that nobody listed; what waits is none', () => {
  assert.deepEqual(gapsOf(list, [covering(1), covering(2)]), [])
  assert.deepEqual(gapsOf(list, [covering(1)]), ['No test covers threat 2: Two is shut.'])
  assert.deepEqual(gapsOf(list, [covering(1), covering(2), covering(9)]), [
    'house.test.ts covers threat 9, which is not in scripts/threats.ts.',
  ])
})

test('the table counts what is covered, what is missing and what waits', () => {
  const table = threatsTable(list, [covering(1), covering(4)], (...cells) => cells.join('|'))
  assert.match(table, /^A\. Doors\|3\|1\|1\|1$/m)
  assert.match(table, /^B\. Windows\|1\|1\|0\|0$/m)
  assert.match(table, /\*\*2\*\* Two is shut\. \*\*No test\.\*\*/)
  assert.match(table, /\*\*3\*\* Three is shut\. Not due yet: waits for a third door\./)
  assert.match(table, /it is shut \(\[house\.test\.ts\]\(\.\.\/test\/house\.test\.ts\)\)/)
})

test('no number is in two areas', () => {
  const numbers = areas.flatMap(({ cases }) => Object.keys(cases))
  assert.equal(new Set(numbers).size, numbers.length)
})
