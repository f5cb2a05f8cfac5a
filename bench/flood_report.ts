/** What came of a flood, for people and for machines. */
import { inWords } from './circumstances.ts'
import type { FloodResult } from './flood.ts'
import { median } from './measured.ts'
import { OTHERS_LIMIT, targetsOf } from './report.ts'
import { fixed, percent, table, whole } from './table.ts'

/** Lines to print. */
export function floodReport({ circumstances, version, offered, strangers, memory_peak, verdicts }: FloodResult): string {
  const lines = [
    ...inWords(circumstances),
    '',
    `meshidp ${version} with the limits that it comes with; ${whole(offered)} requests a second of one stranger to /authorize, /register, /token.`,
    'The stranger shares the core of the load generator and of the mesh, but gives way to both (nice 19).',
    'Times of the others are counted from when each operation was due.',
    '',
    ...table([
      ['stranger', 'others do', 'quiet p50 ms', 'p99 ms', 'flooded p50 ms', 'p99 ms', 'p99 is ×', 'operations', 'failed'],
      ...Array.from(strangers, ([what, { shares }]) =>
        shares.map(({ workload, quiet, flooded, ratio, operations, errors }, index) => [
          index === 0 ? what : '',
          workload,
          ...[quiet.p50, quiet.p99, flooded.p50, flooded.p99, ratio].map(fixed),
          whole(operations),
          whole(errors),
        ]),
      ).flat(),
    ]),
    '',
    ...table([
      ['stranger', 'due/s', 'sent/s', 'answered/s', 'connections ended', 'statuses', 'server cpu', 'quiet', 'others'],
      ...Array.from(strangers, ([what, { rounds }]) => {
        const rate = (pick: 'due' | 'sent' | 'answered') => whole(median(rounds.map(({ flood }) => flood[pick])) / circumstances.seconds)
        const busy = (spell: 'quiet' | 'flooded', whose: 'server_busy' | 'others_busy') =>
          percent(median(rounds.map((round) => round[spell][whose] ?? Number.NaN)))
        return [
          what,
          rate('due'),
          rate('sent'),
          rate('answered'),
          whole(rounds.reduce((sum, { flood }) => sum + flood.ended, 0)),
          statusesOf(rounds.map(({ flood }) => flood.statuses)),
          busy('flooded', 'server_busy'),
          busy('quiet', 'server_busy'),
          busy('flooded', 'others_busy'),
        ]
      }),
    ]),
    '',
    `most memory of the server: ${memory_peak === null ? '?' : whole(memory_peak)} MiB`,
  ]
  for (const [what, { shares, rounds }] of strangers) {
    for (const { workload, errors, first_error } of shares)
      if (errors > 0) lines.push(`${what}, ${workload}: ${errors} failed, the first: ${first_error}`)
    const disturbed = Math.max(...rounds.flatMap(({ quiet, flooded }) => [quiet.others_busy ?? 0, flooded.others_busy ?? 0]))
    if (disturbed > OTHERS_LIMIT)
      lines.push(`${what}: others used up to ${percent(disturbed)} of the measured core: repeat this on a quiet machine.`)
  }
  return `${[...lines, '', ...table(targetsOf(verdicts))].join('\n')}\n`
}

/** The same for `--json`. */
export const floodForMachines = ({ circumstances, version, offered, strangers, memory_peak, verdicts }: FloodResult) => ({
  ...circumstances,
  version,
  offered,
  strangers: Object.fromEntries(strangers),
  memory_peak,
  targets: verdicts,
})

/** "429: 59,000, 403: 700": the most frequent first. */
function statusesOf(rounds: readonly Record<string, number>[]): string {
  const sums = new Map<string, number>()
  for (const statuses of rounds) for (const [status, count] of Object.entries(statuses)) sums.set(status, (sums.get(status) ?? 0) + count)
  return Array.from(sums)
    .toSorted(([, a], [, b]) => b - a)
    .map(([status, count]) => `${status}: ${whole(count)}`)
    .join(', ')
}
