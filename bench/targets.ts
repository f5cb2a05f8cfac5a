/** What meshidp, on disk, has to reach beside oidc-provider, in memory. One table; `verdicts` holds the figures against it. */
import { type Measured, median } from './measured.ts'

/** Workload → least ratio of the rates. */
const RATIOS = new Map([
  ['discovery', 2.5],
  ['jwks', 1.5],
  ['code', 1.5],
  ['refresh', 1],
  ['introspect', 1.2],
  ['introspect_first', 0.6],
  ['register', 0.7],
])

/** The workloads that write, for which there is a bound of the slowest answers as well. */
const WRITING = new Set(['code', 'refresh', 'register'])
const P99_ALWAYS_ALLOWED_MS = 15
const MEMORY_AT_REST_MIB = 100
const MEMORY_AFTER_MIB = 170

export type Verdict = { what: string; figure: number; bound: 'at least' | 'at most'; target: number; unit: '' | 'ms' | 'MiB'; met: boolean }

/** `ours` against `theirs`; what was not measured has no verdict. `ratios`: workload → median of the rounds' ratios. */
export function verdicts(ours: Measured, theirs: Measured, ratios: ReadonlyMap<string, number>): Verdict[] {
  const found: Verdict[] = []
  const atLeast = (what: string, figure: number, target: number) =>
    found.push({ what, figure, bound: 'at least', target, unit: '', met: figure >= target })
  const atMost = (what: string, figure: number, target: number, unit: 'ms' | 'MiB') =>
    found.push({ what, figure, bound: 'at most', target, unit, met: figure <= target })

  for (const [workload, target] of RATIOS) {
    const ratio = ratios.get(workload)
    if (ratio !== undefined) atLeast(`${workload}, ratio`, ratio, target)
  }
  for (const workload of WRITING) {
    const [own, other] = [ours.workloads.get(workload), theirs.workloads.get(workload)]
    if (own && other) atMost(`${workload}, p99`, own.p99, Math.max(other.p99, P99_ALWAYS_ALLOWED_MS), 'ms')
  }
  if (ours.starts.length > 0 && theirs.starts.length > 0) atMost('start', median(ours.starts), median(theirs.starts), 'ms')
  if (ours.memory_at_rest !== null) atMost('memory at rest', ours.memory_at_rest, MEMORY_AT_REST_MIB, 'MiB')
  if (ours.memory_after !== null) atMost('memory after the run', ours.memory_after, MEMORY_AFTER_MIB, 'MiB')
  return found
}

/** The least ratio for a workload, if there is one. */
export const ratioTarget = (workload: string): number | undefined => RATIOS.get(workload)
