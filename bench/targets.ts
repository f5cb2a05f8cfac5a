/** What meshidp, on disk, has to reach beside the others. One table; `verdicts` holds the figures against it. */
import { type Measured, median } from './measured.ts'
import type { PolicyFigures } from './policy/process.ts'
import type { Ratio, Ratios } from './ratios.ts'
import type { IdTokenAlg } from './servers/server.ts'

/** The name of meshidp with a database that is not empty. */
export const FULL = 'meshidp-full'
/** The name of meshidp as a single executable. */
export const BINARY = 'meshidp-binary'

type Target = {
  /** Workload → how many times as many operations a second as the other does, at least. */
  rates?: Readonly<Record<string, number>>
  /** The same where ID tokens are signed with ES256: an RSA signature takes both longer than all else, so with RS256 it is OpenSSL that is compared. */
  rates_es256?: Readonly<Record<string, number>>
  /** Workloads whose p99 may not be longer than the other's, unless it is 15 ms or less. */
  slowest?: readonly string[]
  /** Whether it may not start later than the other. */
  start?: true
  /** How many times as long as ours the other's p99 may be, in any workload. */
  p99?: number
  /** How many times as many operations a second as it we may do, in any workload: it is to be as fast. */
  faster?: number
}

/** By the name of the other server. */
const TARGETS: ReadonlyMap<string, Target> = new Map([
  [
    'oidc-provider',
    {
      // `exchange` is held against its refresh, which does less; `client_credentials` against JWTs, which it does not store.
      rates: {
        ...{ discovery: 2.5, jwks: 1.5, code: 1.5, refresh: 1, introspect: 1.2, introspect_first: 0.6, register: 0.7 },
        ...{ client_credentials: 0.5, exchange: 0.9 },
      },
      slowest: ['code', 'refresh', 'register'], // those that write
      start: true,
    },
  ],
  ['oidc-provider-sqlite', { rates: { introspect: 1.5, register: 4, client_credentials: 1.3 }, rates_es256: { code: 6, refresh: 3 } }],
  [FULL, { p99: 1.3 }],
  [BINARY, { faster: 1 / 0.95 }],
])

const P99_ALWAYS_ALLOWED_MS = 15
const MEMORY_AT_REST_MIB = 100
const MEMORY_AFTER_MIB = 170
const BINARY_MIB = { size: 125, at_rest: 110 }

export type Verdict = {
  what: string
  figure: number
  bound: 'at least' | 'at most'
  target: number
  unit: '' | 'ms' | 'µs' | 'MiB' | '%'
  met: boolean
}

/** The first of `servers`, which is ours, against the others; what was not measured has no verdict. */
export function verdicts([ours, ...others]: readonly Measured[], ratios: Ratios, idTokenAlg: IdTokenAlg): Verdict[] {
  const found: Verdict[] = []
  const atLeast = (what: string, figure: number, target: number) =>
    found.push({ what, figure, bound: 'at least', target, unit: '', met: figure >= target })
  const atMost = (what: string, figure: number, target: number, unit: '' | 'ms' | 'MiB') =>
    found.push({ what, figure, bound: 'at most', target, unit, met: figure <= target })

  for (const other of others) {
    const { rates, rates_es256, slowest = [], start, p99, faster } = TARGETS.get(other.name) ?? {}
    const between = ratios.get(other.name) ?? new Map<string, Ratio>()
    for (const [workload, target] of Object.entries({ ...rates, ...(idTokenAlg === 'ES256' && rates_es256) })) {
      const ratio = between.get(workload)
      if (ratio) atLeast(`${workload}, times ${other.name}`, ratio.rate, target)
    }
    for (const workload of slowest) {
      const [own, its] = [ours?.workloads.get(workload), other.workloads.get(workload)]
      if (own && its) atMost(`${workload}, p99`, own.p99, Math.max(its.p99, P99_ALWAYS_ALLOWED_MS), 'ms')
    }
    if (p99 !== undefined) for (const [workload, ratio] of between) atMost(`${workload}, p99 of ${other.name} to ours`, ratio.p99, p99, '')
    if (faster !== undefined) for (const [workload, ratio] of between) atMost(`${workload}, times ${other.name}`, ratio.rate, faster, '')
    if (start && ours && ours.starts.length > 0 && other.starts.length > 0) atMost('start', median(ours.starts), median(other.starts), 'ms')
  }
  if (ours && ours.memory_at_rest !== null) atMost('memory at rest', ours.memory_at_rest, MEMORY_AT_REST_MIB, 'MiB')
  if (ours && ours.memory_after !== null) atMost('memory after the run', ours.memory_after, MEMORY_AFTER_MIB, 'MiB')
  const binary = others.find(({ name }) => name === BINARY)
  if (binary)
    found.push(
      ...ofBinary(
        binary,
        others.find(({ name }) => name === 'oidc-provider'),
      ),
    )
  return found
}

/** What only the single executable is held against; its start is compared with that of oidc-provider on plain Node. */
function ofBinary({ name, size, memory_at_rest, starts }: Measured, neighbour: Measured | undefined): Verdict[] {
  const found: Verdict[] = []
  const atMost = (what: string, figure: number, target: number, unit: Verdict['unit']) =>
    found.push({ what: `${name}, ${what}`, figure, bound: 'at most', target, unit, met: figure <= target })
  if (size !== null) atMost('size', size, BINARY_MIB.size, 'MiB')
  if (memory_at_rest !== null) atMost('memory at rest', memory_at_rest, BINARY_MIB.at_rest, 'MiB')
  if (starts.length > 0 && neighbour && neighbour.starts.length > 0) atMost('start', median(starts), median(neighbour.starts), 'ms')
  return found
}

/** Sentences about what was measured and has a target, but not with these ID tokens. */
export function notJudged(servers: readonly Measured[], idTokenAlg: IdTokenAlg): string[] {
  if (idTokenAlg === 'ES256') return []
  return servers.flatMap(({ name, workloads }) => {
    const without = Object.keys(TARGETS.get(name)?.rates_es256 ?? {}).filter((workload) => workloads.has(workload))
    return without.length === 0
      ? []
      : [`Not judged with RS256: ${without.join(' and ')} beside ${name}. Their targets are for --id-token ES256.`]
  })
}

/** What others noticed of a flood, in one workload; times in milliseconds. */
export type Share = {
  workload: string
  quiet: { p50: number; p99: number }
  flooded: { p50: number; p99: number }
  /** p99 under the flood to the quiet one. */
  ratio: number
  operations: number
  errors: number
  first_error: string | null
}

const FLOODED_P99 = 5
const FLOODED_ERRORS_PERCENT = 0.1
const FLOODED_MEMORY_MIB = 250

/** Of each kind of stranger the workload that suffered most; and memory. */
export function floodVerdicts(strangers: ReadonlyMap<string, readonly Share[]>, memoryPeak: number | null): Verdict[] {
  const found: Verdict[] = []
  const atMost = (what: string, figure: number, target: number, unit: Verdict['unit']) =>
    found.push({ what, figure, bound: 'at most', target, unit, met: figure <= target })
  for (const [what, shares] of strangers) {
    const worst = shares.toSorted((a, b) => b.ratio - a.ratio)[0]
    if (worst) atMost(`stranger ${what}: p99 of others, flooded to quiet (${worst.workload})`, worst.ratio, FLOODED_P99, '')
    const sum = (pick: (share: Share) => number) => shares.reduce((total, share) => total + pick(share), 0)
    const errors = sum((share) => share.errors)
    const failed = (100 * errors) / (errors + sum((share) => share.operations))
    atMost(`stranger ${what}: operations of others that failed`, failed, FLOODED_ERRORS_PERCENT, '%')
  }
  if (memoryPeak !== null) atMost('most memory', memoryPeak, FLOODED_MEMORY_MIB, 'MiB')
  return found
}

const COMPILE_MS = 1000
const POLICY_MIB = 100
const EVALUATE_US = 50
/** "Does not depend on" leaves room for the noise of a machine: ninety times as many grants may not even take half as long again. */
const GRANTS_OF_OTHERS = 1.5

/** Of the policy with the fewest and of that with the most grants for others. */
export function policyVerdicts(least: PolicyFigures, most: PolicyFigures): Verdict[] {
  const atMost = (what: string, figure: number, target: number, unit: Verdict['unit']): Verdict => ({
    ...{ what, figure, bound: 'at most', target, unit },
    met: figure <= target,
  })
  return [
    atMost('compile, 10,000 grants', most.compile_ms, COMPILE_MS, 'ms'),
    atMost('memory that it adds, with what is left to sweep up', most.resident, POLICY_MIB, 'MiB'),
    atMost('evaluate, allowed, p50', most.allowed.p50, EVALUATE_US, 'µs'),
    atMost('evaluate, denied, p50', most.denied.p50, EVALUATE_US, 'µs'),
    atMost('evaluate, hopeless, p50', most.hopeless.p50, EVALUATE_US, 'µs'),
    atMost('allowed, p50, most grants of others to fewest', most.allowed.p50 / least.allowed.p50, GRANTS_OF_OTHERS, ''),
    atMost('denied, p50, most grants of others to fewest', most.denied.p50 / least.denied.p50, GRANTS_OF_OTHERS, ''),
  ]
}
