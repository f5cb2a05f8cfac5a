import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Figures, quantile } from '../../bench/load/drive.ts'
import { type Measured, median, together } from '../../bench/measured.ts'
import { verdicts } from '../../bench/targets.ts'

const figures = (rate: number, p99: number): Figures => ({
  operations: rate,
  rate,
  p50: 1,
  p99,
  errors: 0,
  first_error: null,
  server_busy: null,
  others_busy: null,
  generator_busy: 0,
})

const measured = (workload: string, of: Figures, start: number): Measured => ({
  name: 'any',
  version: '1',
  setup: '',
  signatures: null,
  starts: [start],
  memory_at_rest: 90,
  memory_after: 200,
  workloads: new Map([[workload, of]]),
})

test('a workload that writes may have a p99 of 15 ms, or the p99 of the neighbour where that is larger', () => {
  const p99 = (ours: number, theirs: number) =>
    verdicts(measured('code', figures(3, ours), 1), measured('code', figures(2, theirs), 1), new Map()).find(
      ({ what }) => what === 'code, p99',
    )
  assert.equal(p99(14, 5)?.met, true)
  assert.equal(p99(16, 5)?.met, false)
  assert.equal(p99(16, 17)?.met, true)
})

test('ratios, the start and memory are held against their bounds, and what was not measured is not judged', () => {
  const judged = verdicts(measured('code', figures(3, 1), 11), measured('code', figures(2, 1), 10), new Map([['code', 1.5]]))
  assert.deepEqual(
    judged.map(({ what, met }) => [what, met]),
    [
      ['code, ratio', true],
      ['code, p99', true],
      ['start', false],
      ['memory at rest', true],
      ['memory after the run', false],
    ],
  )
})

test('rounds become one figure by their median, errors by their sum', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 3, 2]), 2.5)
  const one = together([figures(10, 5), { ...figures(30, 9), errors: 2, first_error: 'broken', server_busy: 0.5 }, figures(20, 7)])
  assert.deepEqual([one.rate, one.p99, one.errors, one.first_error, one.server_busy], [20, 7, 2, 'broken', 0.5])
})

test('a quantile is a value that was seen', () => {
  const sorted = Float64Array.from({ length: 100 }, (_, index) => index)
  assert.equal(quantile(sorted, 0.5), 50)
  assert.equal(quantile(sorted, 0.99), 99)
  assert.equal(Number.isNaN(quantile(new Float64Array(), 0.5)), true)
})
