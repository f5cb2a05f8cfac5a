/** How busy the process is, so that it answers "not now" at once instead of everything too late. */
import { performance } from 'node:perf_hooks'

/** `busy`: what can wait is refused. `overloaded`: everything is that costs anything. */
export type Load = 'calm' | 'busy' | 'overloaded'

const every = 100
/**
 * Milliseconds by which the event loop is late, twice in a row: so long, and again, it is only where far more is asked than can be done. Once it is so after a
 * start, or a disk that took its time, on a machine that has other work too; and then it is over when somebody could be refused for it.
 */
const late = { busy: 1000, overloaded: 4000 }

export type LoadMeter = {
  begin: () => void
  end: () => void
  now: () => Load
  /** By how much the event loop was late at worst since this was asked, seconds. */
  lag: () => number
  inProgress: () => number
  stop: () => void
}

/** @param most requests in progress; with half of them the process is busy */
export function createLoadMeter(most: number): LoadMeter {
  let inProgress = 0
  let lag = 0
  let lagBefore = 0
  let worst = 0
  let due = performance.now() + every
  const timer = setInterval(() => {
    const now = performance.now()
    lagBefore = lag
    lag = Math.max(0, now - due)
    worst = Math.max(worst, lag)
    due = now + every
  }, every)
  timer.unref()
  return {
    begin: () => void inProgress++,
    end: () => void inProgress--,
    now() {
      const lasting = Math.min(lag, lagBefore)
      if (inProgress > most || lasting > late.overloaded) return 'overloaded'
      return inProgress > most / 2 || lasting > late.busy ? 'busy' : 'calm'
    },
    lag() {
      const seconds = worst / 1000
      worst = 0
      return seconds
    },
    inProgress: () => inProgress,
    stop: () => clearInterval(timer),
  }
}
