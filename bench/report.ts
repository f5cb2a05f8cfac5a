/** The result for people: an aligned table, and which targets are met. */
import { type Circumstances, inWords } from './circumstances.ts'
import { type Measured, median } from './measured.ts'
import type { Ratios } from './ratios.ts'
import { fixed, percent, table, whole } from './table.ts'
import type { Verdict } from './targets.ts'

export type Result = {
  circumstances: Circumstances
  servers: Measured[]
  /** Ours to each of the others, medians over the rounds. Empty with one server. */
  ratios: Ratios
  verdicts: Verdict[]
  /** Sentences about what has a target elsewhere. */
  not_judged: string[]
  /** What could not be measured, and why. */
  failures: string[]
}

/** Above this something else on the machine makes the figures worse than they are. */
export const OTHERS_LIMIT = 0.1
/** Above this the generator, not the server, may be what limits the rate. */
const GENERATOR_LIMIT = 0.9

/** Lines to print. */
export function report({ circumstances, servers, ratios, verdicts, not_judged, failures }: Result): string {
  const lines = [...inWords(circumstances), '']
  for (const { name, version, setup, signatures, filled } of servers) {
    lines.push(`${name} ${version}: ${setup}`)
    for (const more of [signatures, filled]) if (more !== null) lines.push(`${' '.repeat(name.length)} ${more}`)
  }
  lines.push('', ...table(figuresOf(servers, ratios)), '', ...table(processesOf(servers)))
  const remarks = [...remarksOf(servers), ...failures.map((failure) => `Not measured: ${failure}`)]
  if (remarks.length > 0) lines.push('', ...remarks)
  if (verdicts.length > 0) lines.push('', ...table(targetsOf(verdicts)), ...not_judged)
  return `${lines.join('\n')}\n`
}

/** The same for `--json`. */
export const forMachines = ({ circumstances, servers, ratios, verdicts, not_judged, failures }: Result) => ({
  ...circumstances,
  servers: servers.map(({ workloads, ...measured }) => ({
    ...measured,
    start_ms: measured.starts.length === 0 ? null : median(measured.starts),
    workloads: Object.fromEntries(workloads),
  })),
  ratios: Object.fromEntries(Array.from(ratios, ([name, workloads]) => [name, Object.fromEntries(workloads)])),
  targets: verdicts,
  not_judged,
  failures,
})

/** The two ratios are said in the row of the other server: ours is so many times as fast, and its p99 is so many times as long. */
function figuresOf(servers: readonly Measured[], ratios: Ratios): string[][] {
  const names = new Set(servers.flatMap(({ workloads }) => [...workloads.keys()]))
  const rows = [
    ['workload', 'server', 'per second', 'p50 ms', 'p99 ms', 'errors', 'server cpu', 'others', 'load cpu', 'ours is ×', 'its p99 is ×'],
  ]
  for (const workload of names) {
    for (const [index, { name, workloads }] of servers.entries()) {
      const figures = workloads.get(workload)
      const ratio = ratios.get(name)?.get(workload)
      rows.push([
        index === 0 ? workload : '',
        name,
        ...(figures
          ? [
              whole(figures.rate),
              fixed(figures.p50),
              fixed(figures.p99),
              whole(figures.errors),
              percent(figures.server_busy),
              percent(figures.others_busy),
              percent(figures.generator_busy),
            ]
          : ['–', '–', '–', '–', '–', '–', '–']),
        ratio ? fixed(ratio.rate) : '',
        ratio ? fixed(ratio.p99) : '',
      ])
    }
  }
  return rows
}

const processesOf = (servers: readonly Measured[]): string[][] => [
  ['process', 'start ms', 'MiB at rest', 'MiB after', 'MiB file'],
  ...servers.map(({ name, starts, memory_at_rest, memory_after, size }) => [
    name,
    starts.length === 0 ? '–' : whole(median(starts)),
    memory_at_rest === null ? '–' : whole(memory_at_rest),
    memory_after === null ? '–' : whole(memory_after),
    size === null ? '–' : whole(size),
  ]),
]

export const targetsOf = (verdicts: readonly Verdict[]): string[][] => [
  ['target', 'figure', 'bound', 'verdict'],
  ...verdicts.map(({ what, figure, bound, target, unit, met }) => [
    what,
    unit === '' ? fixed(figure) : `${fixed(figure)} ${unit}`,
    `${bound} ${unit === '' ? target : `${fixed(target)} ${unit}`}`,
    met ? 'met' : 'MISSED',
  ]),
]

function remarksOf(servers: readonly Measured[]): string[] {
  const remarks: string[] = []
  for (const { name, workloads } of servers) {
    for (const [workload, figures] of workloads) {
      if (figures.errors > 0) remarks.push(`${name}, ${workload}: ${figures.errors} errors, the first: ${figures.first_error}`)
      if (figures.generator_busy > GENERATOR_LIMIT) remarks.push(`${name}, ${workload}: the load generator was the limit, not the server.`)
    }
  }
  const disturbed = servers.flatMap(({ workloads }) => [...workloads.values()].map(({ others_busy }) => others_busy ?? 0))
  const worst = Math.max(0, ...disturbed)
  if (worst > OTHERS_LIMIT) remarks.push(`Others used up to ${percent(worst)} of the measured core: repeat this on a quiet machine.`)
  return remarks
}
