import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Figures, quantile } from '../../bench/load/drive.ts'
import { type Measured, median, together } from '../../bench/measured.ts'
import { floodVerdicts, notJudged, policyVerdicts, verdicts } from '../../bench/targets.ts'

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

const measured = (name: string, workload: string, of: Figures, start: number): Measured => ({
  name,
  version: '1',
  setup: '',
  filled: null,
  signatures: null,
  size: null,
  starts: [start],
  memory_at_rest: 90,
  memory_after: 200,
  workloads: new Map([[workload, of]]),
})

test('a workload that writes may have a p99 of 15 ms, or the p99 of the neighbour where that is larger', () => {
  const p99 = (ours: number, theirs: number) =>
    verdicts(
      [measured('meshidp', 'code', figures(3, ours), 1), measured('oidc-provider', 'code', figures(2, theirs), 1)],
      new Map(),
      'RS256',
    ).find(({ what }) => what === 'code, p99')
  assert.equal(p99(14, 5)?.met, true)
  assert.equal(p99(16, 5)?.met, false)
  assert.equal(p99(16, 17)?.met, true)
})

test('ratios, the start and memory are held against their bounds, and what was not measured is not judged', () => {
  const servers = [
    measured('meshidp', 'code', figures(3, 1), 11),
    measured('oidc-provider', 'code', figures(2, 1), 10),
    measured('oidc-provider-sqlite', 'code', figures(1, 9), 30),
    measured('meshidp-full', 'code', figures(3, 2), 12),
  ]
  const ratios = new Map([
    ['oidc-provider', new Map([['code', { rate: 1.5, p99: 1 }]])],
    ['oidc-provider-sqlite', new Map([['code', { rate: 5.9, p99: 9 }]])],
    ['meshidp-full', new Map([['code', { rate: 1, p99: 1.31 }]])],
  ])
  assert.deepEqual(
    verdicts(servers, ratios, 'ES256').map(({ what, met }) => [what, met]),
    [
      ['code, times oidc-provider', true],
      ['code, p99', true],
      ['start', false],
      ['code, times oidc-provider-sqlite', false],
      ['code, p99 of meshidp-full to ours', false],
      ['memory at rest', true],
      ['memory after the run', false],
    ],
  )
})

test('beside SQLite, what signs ID tokens is judged with ES256 only, and with RS256 the report says so; what signs nothing always is', () => {
  const sqlite = measured('oidc-provider-sqlite', 'code', figures(1, 9), 30)
  sqlite.workloads.set('register', figures(1, 9))
  const servers = [measured('meshidp', 'code', figures(7, 1), 11), sqlite]
  const ratios = new Map([
    [
      sqlite.name,
      new Map([
        ['code', { rate: 7, p99: 9 }],
        ['register', { rate: 3.9, p99: 9 }],
      ]),
    ],
  ])
  const judged = (alg: 'RS256' | 'ES256') =>
    verdicts(servers, ratios, alg)
      .filter(({ what }) => what.includes('times'))
      .map(({ what, met }) => [what, met])
  assert.deepEqual(judged('RS256'), [['register, times oidc-provider-sqlite', false]])
  assert.deepEqual(judged('ES256'), [
    ['register, times oidc-provider-sqlite', false],
    ['code, times oidc-provider-sqlite', true],
  ])
  assert.match(notJudged(servers, 'RS256').join(), /^Not judged with RS256: code beside oidc-provider-sqlite\./)
  assert.deepEqual(notJudged(servers, 'ES256'), [])
})

test('under a flood the workload that suffered most is judged, for each stranger; so are failures and memory', () => {
  const share = (workload: string, ratio: number, errors: number) => {
    const times = { p50: 1, p99: 1 }
    return { workload, quiet: times, flooded: times, ratio, operations: 1000 - errors, errors, first_error: null }
  }
  const strangers = new Map([
    ['a', [share('code', 4.9, 0), share('refresh', 5.1, 1)]],
    ['b', [share('code', 4.9, 2), share('refresh', 1, 1)]],
  ])
  assert.deepEqual(
    floodVerdicts(strangers, 251).map(({ figure, met }) => [figure, met]),
    [
      [5.1, false],
      [0.05, true],
      [4.9, true],
      [0.15, false],
      [251, false],
    ],
  )
  assert.equal(floodVerdicts(strangers, null).length, 4)
})

test('a large policy is judged by what it takes, and by what grants for others cost whoever asks', () => {
  const policy = (allowed: number, denied: number, compile_ms: number) => {
    const asking = (p50: number) => ({ p50, p99: p50 })
    return { compile_ms, kept: 1, resident: 99, allowed: asking(allowed), denied: asking(denied), hopeless: asking(51) }
  }
  assert.deepEqual(
    policyVerdicts(policy(20, 5, 1), policy(29, 8, 1001)).map(({ figure, met }) => [figure, met]),
    [
      [1001, false],
      [99, true],
      [29, true],
      [8, true],
      [51, false],
      [1.45, true],
      [1.6, false],
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
