import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sharedReading } from '../../src/identity/socket_owner.ts'

test('S3: an answer was always read after it was asked for, and many who ask share a reading', async () => {
  let readings = 0
  const gates: (() => void)[] = []
  const read = sharedReading(async () => {
    const which = ++readings
    await new Promise<void>((open) => gates.push(open))
    return which
  })
  const first = read()
  const during = Array.from({ length: 100 }, read)
  assert.equal(readings, 1, 'nobody reads beside another')
  gates[0]?.()
  assert.equal(await first, 1)
  await new Promise(setImmediate)
  gates[1]?.()
  assert.deepEqual(new Set(await Promise.all(during)), new Set([2]), 'who asked during the first did not get what it read')
  assert.equal(readings, 2)
  const after = read()
  gates[2]?.()
  assert.equal(await after, 3)
})

test('a reading that fails fails for those who asked for it, and for nobody else', async () => {
  let fails = true
  const read = sharedReading(async () => {
    await new Promise(setImmediate)
    if (fails) throw new Error('no table')
    return 'table'
  })
  const first = read()
  const second = read()
  await assert.rejects(first, /no table/)
  fails = false
  assert.equal(await second, 'table')
})
