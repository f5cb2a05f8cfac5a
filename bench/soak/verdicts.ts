/** What must hold at the end of the soak. */
import { fixed, table, whole } from '../table.ts'
import type { Changed } from './changes.ts'
import type { Soaked } from './load_process.ts'

/** MiB. */
export type Figures = { settled: number; end: number; filled: number; size: number }

const MEMORY = 1.1
const SIZE = 1.25

/** Says it, and gives the exit code. `said`: what the daemon warned of. */
export function verdictsOf(
  { settled, end, filled, size, answers, changed, overdue }: Figures & { answers: Soaked; changed: Changed; overdue: number },
  said: string,
): number {
  const all = Object.values(answers)
  const unexpected = all.reduce((sum, { errors }) => sum + errors, 0)
  const rows: [what: string, figure: string, bound: string, met: boolean][] = [
    ['unexpected answers', whole(unexpected), 'none', unexpected === 0],
    ['changes that failed', whole(changed.failures.length), 'none', changed.failures.length === 0],
    ['resident memory, end to second minute', fixed(end / settled), `at most ${MEMORY}`, end <= MEMORY * settled],
    ['size of the database, end to when the first went', fixed(size / filled), `at most ${SIZE}`, size <= SIZE * filled],
    ['authorizations that should be gone', whole(overdue), 'none', overdue === 0],
  ]
  for (const [name, { operations, p50, p99, errors, first_error }] of Object.entries(answers))
    console.log(
      `${name}: ${whole(operations)}, p50 ${fixed(p50)} ms, p99 ${fixed(p99)} ms${errors > 0 ? `, ${errors} failed, the first: ${first_error}` : ''}`,
    )
  const { policies, certificates, rotations, failures } = changed
  console.log(`meanwhile ${policies} policies, ${certificates} certificates, ${rotations} rotations of the keys`)
  for (const failure of failures) console.log(failure)
  console.log(
    [
      '',
      ...table([
        ['what must hold', 'figure', 'bound', 'verdict'],
        ...rows.map(([what, figure, bound, met]) => [what, figure, bound, met ? 'met' : 'MISSED']),
      ]),
    ].join('\n'),
  )
  const isMet = rows.every(([, , , met]) => met)
  if (!isMet && said.trim() !== '') console.log(`\nThe daemon said last:\n${said.trim()}`)
  return isMet ? 0 : 1
}
