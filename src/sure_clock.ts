/**
 * Whether the clock can be relied on for what cannot be undone, such as removing what has ended: when it went on for an hour of uptime without a leap. The
 * hour is of all daemons of this state together, so that a restart neither cuts it short nor, where each of them ends soon, keeps it from ever being over.
 */
import { performance } from 'node:perf_hooks'
import type { Deps } from './deps.ts'
import { inWords } from './http/duration.ts'
import { type Rounds, startRounds } from './rounds.ts'
import { type ClockSeen, clockSeen, steadyEnough } from './store/meta.ts'

export type SureClock = Rounds & { isSure: () => boolean }

/** Smaller steps than this are those of a clock that is kept right. Seconds. */
const leastLeap = 60
/** How far the clock may have come while no daemon ran. Who was off for longer waits an hour too, which costs nothing. Seconds. */
const longestBreak = 3600
/** How often is written down what the clock says: in doubt so that the wait is not lost, later so that a restart finds it. Seconds. */
const noteEvery = { unsure: 60, sure: 600 }

/** Where seconds come from: `wall` is the machine's clock, which can be set, `steady` one that nobody sets. */
export type Readings = { wall: () => number; steady: () => number }

const ofThisMachine: Readings = { wall: () => Date.now() / 1000, steady: () => performance.now() / 1000 }

const nothingIsRemoved = 'In case that it is wrong, nothing is removed for an hour.'

/** By how much (seconds) the clock is away from where the last daemon left it; 0 for what a break explains. */
function away(seen: ClockSeen, now: number): number {
  const since = now - seen.at
  return since > longestBreak || since < -leastLeap ? since : 0
}

/**
 * `now` is what rows are dated by, seconds; leaps while the daemon runs are those of the machine's own clock. Looks every `everyMs` milliseconds. Resolves when
 * the state has said what it has seen of the clock; one that says nothing was last used by a version that did not note it, and its clock is not sure.
 */
export async function startSureClock(
  { store, log, now }: Pick<Deps, 'store' | 'log' | 'now'>,
  { wall, steady }: Readings = ofThisMachine,
  everyMs = 2000,
): Promise<SureClock> {
  const seen = await store.meta.clock()
  const leapt = seen === null ? 0 : away(seen, now())
  if (seen !== null && leapt !== 0)
    log[leapt < 0 ? 'warn' : 'info'](
      { seconds: leapt },
      `The clock is ${inWords(Math.abs(leapt))} ${leapt < 0 ? 'behind' : 'ahead of'} the time at which this state was last in use. ${nothingIsRemoved}`,
    )
  let last = { wall: wall(), steady: steady() }
  let since = last.steady - (seen === null || leapt !== 0 ? 0 : seen.steady)
  let noted = Number.NEGATIVE_INFINITY
  const isSure = () => steady() - since >= steadyEnough

  function look(): void {
    const read = { wall: wall(), steady: steady() }
    const leap = Math.round(read.wall - last.wall - (read.steady - last.steady))
    last = read
    if (Math.abs(leap) < leastLeap) return
    since = read.steady
    noted = Number.NEGATIVE_INFINITY
    log.warn(
      { seconds: leap },
      `The clock was set ${leap > 0 ? 'forward' : 'back'} by ${inWords(Math.abs(leap))}. Codes, tokens and keys end by the clock. ${nothingIsRemoved}`,
    )
  }

  const rounds = startRounds(everyMs, async () => {
    look()
    if (last.steady - noted < (isSure() ? noteEvery.sure : noteEvery.unsure)) return
    noted = last.steady
    // A store that takes nothing tells so itself (`self_check`).
    await store.commit([clockSeen({ at: now(), steady: Math.min(steadyEnough, Math.floor(last.steady - since)) })]).catch(() => undefined)
  })
  return { ...rounds, isSure }
}
