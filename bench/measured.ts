/** What was measured of one server, and how rounds become one figure. */
import type { Figures } from './load/drive.ts'

export type Measured = {
  name: string
  version: string
  setup: string
  /** What its database began with, in a sentence; null where that was nothing. */
  filled: string | null
  /** What it signs with, as seen in its tokens; null while unknown. */
  signatures: string | null
  /** MiB of the file that it is; null where it is more than one. */
  size: number | null
  /** Milliseconds from spawn to the first 200. */
  starts: number[]
  /** Of the whole process group, MiB. */
  memory_at_rest: number | null
  memory_after: number | null
  /** The figures of all rounds, put together. */
  workloads: Map<string, Figures>
}

/** The middle value; the mean of the two in the middle where they are an even number; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  if (sorted.length === 0) return Number.NaN
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle) - 1] ?? 0)) / 2
}

/** Rounds of the same workload as one: medians, and all operations and errors. */
export function together(rounds: readonly Figures[]): Figures {
  const of = (pick: (figures: Figures) => number) => median(rounds.map(pick))
  const sum = (pick: (figures: Figures) => number) => rounds.reduce((total, each) => total + pick(each), 0)
  const known = (values: (number | null)[]) => {
    const numbers = values.filter((value) => value !== null)
    return numbers.length === 0 ? null : median(numbers)
  }
  return {
    operations: sum((each) => each.operations),
    rate: of((each) => each.rate),
    p50: of((each) => each.p50),
    p99: of((each) => each.p99),
    errors: sum((each) => each.errors),
    first_error: rounds.find(({ first_error }) => first_error !== null)?.first_error ?? null,
    server_busy: known(rounds.map(({ server_busy }) => server_busy)),
    others_busy: known(rounds.map(({ others_busy }) => others_busy)),
    generator_busy: of((each) => each.generator_busy),
  }
}
