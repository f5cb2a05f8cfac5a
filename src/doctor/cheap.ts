/** The doctor's checks that cost next to nothing, for a daemon that asks itself whether it is well. */
import { performance } from 'node:perf_hooks'
import type { Subject } from './check.ts'
import { stateChecks } from './state_checks.ts'

/** Milliseconds for which an answer is good. */
const fresh = 5000

const cheap = stateChecks.flatMap(({ id, cheap }) => (cheap ? [{ id, run: cheap }] : []))

/** Gives the ids of the checks that find a fault. One that fails itself is one, too. */
export function createCheapChecks(subject: Pick<Subject, 'config'>): () => readonly string[] {
  let found: readonly string[] = []
  let until = Number.NEGATIVE_INFINITY
  const isFault = (run: (typeof cheap)[number]['run']) => {
    try {
      return run(subject).outcome === 'fault'
    } catch {
      return true
    }
  }
  return () => {
    const now = performance.now()
    if (now < until) return found
    found = cheap.filter(({ run }) => isFault(run)).map(({ id }) => id)
    until = now + fresh
    return found
  }
}
