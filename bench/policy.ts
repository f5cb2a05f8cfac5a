/** `npm run bench -- --policy`: how long policies of a size that few have take to compile and to ask, and what memory they take. */
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { run } from './child.ts'
import { canPin, MEASURED_CORE } from './machine.ts'
import { median } from './measured.ts'
import type { Options } from './options.ts'
import type { Asking, PolicyFigures } from './policy/process.ts'
import { HER_GRANTS, HER_GROUPS, policyText } from './policy/world.ts'
import { targetsOf } from './report.ts'
import { fixed, table, whole } from './table.ts'
import { policyVerdicts, type Verdict } from './targets.ts'
import { say, workspace } from './workspace.ts'

/** Grants that name others; the last policy has 10,000 grants in all. */
const OTHERS = [100, 1000, 10_000 - HER_GRANTS]
const GROUPS = 2000
const MEMBERS = 50_000
/** How often each policy is measured in a round, each time by a process of its own. */
const TIMES = 5

export type PolicyResult = {
  cpu: string
  node: string
  pinned: boolean
  /** Medians, by the number of grants that name others; `bytes` of the text. */
  policies: Map<number, PolicyFigures & { bytes: number }>
  verdicts: Verdict[]
}

/** Measures each policy in turn, so that what else the machine does meets all of them. */
export async function policyBench({ directory, rounds }: Options): Promise<PolicyResult> {
  await workspace(directory)
  const texts = new Map(OTHERS.map((others) => [others, policyText({ others, groups: GROUPS, members: MEMBERS })]))
  const measured = new Map<number, PolicyFigures[]>(OTHERS.map((others) => [others, []]))
  for (let time = 0; time < rounds * TIMES; time++) {
    for (const [others, text] of texts) {
      say(`${time + 1} of ${rounds * TIMES}: ${whole(others)} grants for others`)
      measured.get(others)?.push(JSON.parse(await run(MEASURED_CORE, command, text)))
    }
  }
  const policies = new Map(
    Array.from(measured, ([others, figures]) => [others, { ...together(figures), bytes: Buffer.byteLength(texts.get(others) ?? '') }]),
  )
  const [least, most] = [policies.get(Math.min(...OTHERS)), policies.get(Math.max(...OTHERS))]
  const verdicts = least && most ? policyVerdicts(least, most) : []
  return { cpu: cpus()[0]?.model ?? 'unknown processor', node: process.versions.node, pinned: canPin, policies, verdicts }
}

/** As the daemon runs, and with a collector that can be called. */
const command = [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  ...['--liftoff-only', '--max-semi-space-size=8', '--min-semi-space-size=4', '--expose-gc'],
  fileURLToPath(new URL('policy/process.ts', import.meta.url)),
]

function together(figures: readonly PolicyFigures[]): PolicyFigures {
  const of = (pick: (each: PolicyFigures) => number) => median(figures.map(pick))
  const asking = (pick: (each: PolicyFigures) => Asking): Asking => ({
    p50: of((each) => pick(each).p50),
    p99: of((each) => pick(each).p99),
  })
  return {
    compile_ms: of((each) => each.compile_ms),
    kept: of((each) => each.kept),
    resident: of((each) => each.resident),
    allowed: asking(({ allowed }) => allowed),
    denied: asking(({ denied }) => denied),
    hopeless: asking(({ hopeless }) => hopeless),
  }
}

/** Lines to print. */
export function policyReport({ cpu, node, pinned, policies, verdicts }: PolicyResult): string {
  const lines = [
    `${cpu}, Node ${node}${pinned ? '' : '; NOT pinned to a core: the figures are worth little'}`,
    `${whole(GROUPS)} groups with ${whole(MEMBERS)} members. Who asks is in ${HER_GROUPS} groups, which ${HER_GRANTS} grants at the same resource name;`,
    'half of the grants for others are at that resource too. Denied is somebody in no group, who hears of near misses; hopeless is what she asks',
    'for a scope that no grant gives.',
    '',
    ...table([
      [
        ...['grants for others', 'MiB of text', 'compile ms', 'MiB kept', 'MiB resident'],
        ...['allowed p50 µs', 'p99 µs', 'denied p50 µs', 'p99 µs', 'hopeless p50 µs', 'p99 µs'],
      ],
      ...Array.from(policies, ([others, { bytes, compile_ms, kept, resident, allowed, denied, hopeless }]) => [
        whole(others),
        fixed(bytes / 1024 / 1024),
        whole(compile_ms),
        ...[kept, resident, ...[allowed, denied, hopeless].flatMap(({ p50, p99 }) => [p50, p99])].map(fixed),
      ]),
    ]),
    '',
    ...table(targetsOf(verdicts)),
  ]
  return `${lines.join('\n')}\n`
}

/** The same for `--json`. */
export const policyForMachines = ({ policies, verdicts, ...circumstances }: PolicyResult) => ({
  ...circumstances,
  policies: Object.fromEntries(policies),
  targets: verdicts,
})
