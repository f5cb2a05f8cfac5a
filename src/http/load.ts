/** How busy the process is, so that it answers "not now" at once instead of everything too late. */
import { performance } from 'node:perf_hooks'

/** `busy`: what can wait is refused. `overloaded`: everything is that costs anything. */
export type Load = 'calm' | 'busy' | 'overloaded'

const every = 100
/** Milliseconds by which the event loop is late. So long it is only where far more is asked than can be done, not where the machine has other work too. */
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
  let worst = 0
  let due = performance.now() + every
  const timer = setInterval(() => {
    const now = performance.now()
    lag = Math.max(0, now - due)
    worst = Math.max(worst, lag)
    due = now + every
  }, every)
  timer.unref()
  return {
    begin: () => void inProgress++,
    end: () => void inProgress--,
    now() {
      if (inProgress > most || lag > late.overloaded) return 'overloaded'
      return inProgress > most / 2 || lag > late.busy ? 'busy' : 'calm'
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
