import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inWords, momentInWords } from '../../src/http/duration.ts'

test('a length of time in words: the two largest units, none that is nought', () => {
  const said = [0, 1, 60, 90, 3600, 5400, 3601, 86_400, 90_061, 90 * 86_400].map(inWords)
  assert.deepEqual(said, [
    '0 seconds',
    '1 second',
    '1 minute',
    '1 minute and 30 seconds',
    '1 hour',
    '1 hour and 30 minutes',
    '1 hour',
    '1 day',
    '1 day and 1 hour',
    '90 days',
  ])
})

test('a moment in words says which zone it is in', () => assert.equal(momentInWords(1_795_700_400), '26 November 2026 at 13:40 UTC'))
