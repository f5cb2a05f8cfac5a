/** How many times as good as another server ours is, from what each round says. */
import type { Figures } from './load/drive.ts'
import { median } from './measured.ts'

export type Ratio = { /** Our operations a second to its. */ rate: number /** Its p99 to ours. */; p99: number }
/** Name of the other server → workload → ratio. */
export type Ratios = ReadonlyMap<string, ReadonlyMap<string, Ratio>>

/** Both measured in the same round. */
export const ratioOf = (ours: Figures, its: Figures): Ratio => ({ rate: ours.rate / its.rate, p99: its.p99 / ours.p99 })

/** The ratios of all rounds, told one after the other. */
export function collectRatios() {
  const told = new Map<string, Map<string, Ratio[]>>()
  return {
    add(name: string, workload: string, ratio: Ratio): void {
      const workloads = told.get(name) ?? new Map<string, Ratio[]>()
      told.set(name, workloads.set(workload, [...(workloads.get(workload) ?? []), ratio]))
    },
    /** The median of each: one disturbed round does not show. */
    medians: (): Ratios =>
      new Map(
        Array.from(told, ([name, workloads]) => [name, new Map(Array.from(workloads, ([workload, each]) => [workload, middle(each)]))]),
      ),
  }
}

const middle = (rounds: readonly Ratio[]): Ratio => ({
  rate: median(rounds.map(({ rate }) => rate)),
  p99: median(rounds.map(({ p99 }) => p99)),
})
