/** The daemon looks at itself every two seconds, so that somebody hears of what no request shows, or shows too late. */
import { readdirSync, readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import type { Deps, Trouble } from './deps.ts'
import { inWords } from './http/duration.ts'
import { type Rounds, startRounds } from './rounds.ts'

export type SelfCheck = Rounds & {
  /** What keeps the daemon from its work now. */
  troubles: () => readonly Trouble[]
}

const everyMs = 2000
/** A round that comes so much too late says that nothing else could be done meanwhile. */
const lateMs = 2000
/** The share of the file descriptors in use from which it is said. */
const nearly = 0.9

const scarce = (words: string): Trouble => ({
  name: 'descriptors',
  brief: 'nearly all file descriptors are in use',
  sentence: `${words}: connections beyond are closed unheard. Raise LimitNOFILE= (ulimit -n), or find out who opens so many (ss -tnp).`,
})

/** Of this process's file descriptors; null where there are enough, or where nobody tells. */
function descriptors(): Trouble | null {
  try {
    const open = readdirSync('/proc/self/fd').length
    const [, limit = 'unlimited'] = /^Max open files +(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return open >= nearly * (limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit))
      ? scarce(`${open} of ${limit} file descriptors are in use`)
      : null
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EMFILE' ? scarce('All file descriptors are in use') : null
  }
}

/** What is wrong is logged when it begins, and when it is over. */
export function startSelfCheck({ store, log }: Pick<Deps, 'store' | 'log'>): SelfCheck {
  let few: Trouble | null = null
  let told = new Map<Trouble['name'], string>()
  let round = performance.now()

  function troubles(): Trouble[] {
    const trouble = store.engine.trouble()
    return [...(trouble ? [{ name: 'store' as const, brief: trouble.brief, sentence: trouble.sentence }] : []), ...(few ? [few] : [])]
  }

  function tell(): void {
    const now = troubles()
    for (const { name, brief, sentence } of now) if (told.get(name) !== brief) log.error({ trouble: name }, `Not ready. ${sentence}`)
    for (const name of told.keys())
      if (!now.some((trouble) => trouble.name === name)) log.info({ trouble: name }, `${name}: all is well again`)
    told = new Map(now.map(({ name, brief }) => [name, brief]))
  }

  function tellOfStandstill(): void {
    const now = performance.now()
    const late = now - round - everyMs
    if (late > lateMs)
      log.warn(
        { milliseconds: Math.round(late) },
        `For ${inWords(Math.ceil(late / 1000))} nobody was answered: the event loop stood still.`,
      )
    round = now
  }

  const rounds = startRounds(everyMs, async () => {
    tellOfStandstill()
    store.engine.examine()
    few = descriptors()
    tell()
  })
  return { ...rounds, troubles }
}
