/**
 * People who are gone from the mesh: their authorizations are suspended within a minute, and end after `removal_grace`. The table of those who are
 * there is compared with the table of those who are remembered; nobody is asked for one by one but who is missing and seems to be back, or is about to end.
 */
import { performance } from 'node:perf_hooks'
import { setImmediate as breathe } from 'node:timers/promises'
import { sweptRow } from './decide.ts'
import type { ActivePolicy, Deps } from './deps.ts'
import { momentInWords } from './http/duration.ts'
import type { Present } from './identity/identity.ts'
import { Unavailable } from './oauth/error.ts'
import { type Rounds, startRounds } from './rounds.ts'
import {
  type Authorization,
  endLongGone,
  isLive,
  personFound,
  personMissing,
  sureAfter,
  suspendAuthorization,
} from './store/authorizations.ts'
import { GuardFailed, type Write } from './store/engine.ts'

/** Between steps requests have their turn. */
const rowsAStep = 50
const peopleAStep = 100

/** What a round needs: the mesh, the policy and the time, of one moment. */
type Round = { deps: Deps; policy: ActivePolicy; present: Present; now: number }

/**
 * One round: who is not in the mesh is noted, who was noted 30 s ago or more is suspended, who is back is healed. Resolves with the time (seconds) at
 * which looking again is worth while even if the mesh says nothing; null for never. Throws `Unavailable` while the mesh is dark: then nobody is gone.
 */
export async function sweep(deps: Deps): Promise<number | null> {
  const round = { deps, policy: deps.policy(), present: await deps.identity.present(), now: deps.now() }
  await noteMissing(round)
  const unsure = await settleMissing(round)
  const times = [unsure, round.present.next_expiry].filter((time) => time !== null)
  return times.length === 0 ? null : Math.min(...times)
}

/** Since when somebody is missing is of no use where it lies ahead: it was noted by a clock that was set back since. */
const isNoted = ({ missing_since }: Authorization, now: number) => missing_since !== null && missing_since <= now

/** Notes who is remembered and not there, person by person; and machine by machine for what is bound to one. */
async function noteMissing({ deps, present, now }: Round): Promise<void> {
  const { authorizations } = deps.store
  let found: string[] = []
  async function note(atLeast: number): Promise<void> {
    if (found.length < atLeast) return
    const ids = found
    found = []
    await deps.store.commit(ids.map((id) => personMissing(id, now)))
    await breathe()
  }
  async function lookAtAllOf(user_id: string): Promise<void> {
    const next = (after: string) => authorizations.ofPerson(user_id, after, rowsAStep)
    for (let rows = await next(''); rows.length > 0; rows = rows.length < rowsAStep ? [] : await next(lastOf(rows))) {
      const missing = rows.filter((row) => !isNoted(row, now) && isLive(row, now) && !present.has(row))
      found.push(...missing.map(({ id }) => id))
      await note(rowsAStep)
    }
  }

  let steps = 0
  for (let one = await authorizations.nextPerson(''); one; one = await authorizations.nextPerson(one.user_id)) {
    if (!present.has({ ...one, node_id: '', bind: 'user' })) await lookAtAllOf(one.user_id)
    if (++steps % peopleAStep === 0) await breathe()
  }
  const nowhere = { user_id: '', node_id: '' }
  for (let one = await authorizations.nextBound(nowhere); one; one = await authorizations.nextBound(one)) {
    if (!present.has({ ...one, bind: 'node' })) await lookAtAllOf(one.user_id)
    if (++steps % peopleAStep === 0) await breathe()
  }
  await note(1)
}

/** Resolves with the time at which the first of those who were just noted can be gone for sure; null for none. */
async function settleMissing({ deps, policy, present, now }: Round): Promise<number | null> {
  let unsure: number | null = null
  const grace = deps.config.lifetimes.removal_grace

  async function settle(authorization: Authorization): Promise<void> {
    const { id, login, missing_since, suspended_at } = authorization
    if (!isLive(authorization, now) || missing_since === null) return
    // The table may name somebody whom whois does not, such as one whose machine is not signed.
    if (present.has(authorization) && (await deps.identity.stillThere(authorization)).there) {
      const sentence = `${login} is back in the mesh, so this sign-in goes on.`
      const audit = suspended_at === null ? [] : [await sweptRow(deps, policy, authorization, 'allowed', sentence)]
      await commitUnlessOvertaken(deps, [personFound(id), ...audit])
      return
    }
    if (suspended_at !== null) return
    if (missing_since > now - sureAfter) {
      unsure = Math.min(unsure ?? Number.POSITIVE_INFINITY, missing_since + sureAfter)
      return
    }
    const sentence = `${login} is gone from the mesh, so this sign-in is suspended. Unless they are back before, it ends on ${momentInWords(now + grace)}.`
    if (await commitUnlessOvertaken(deps, [suspendAuthorization(id, now), await sweptRow(deps, policy, authorization, 'denied', sentence)]))
      deps.log.info({ authorization: id, login }, sentence)
  }

  await inSteps((after) => deps.store.authorizations.missing(after, rowsAStep), eachOf(settle))
  return unsure
}

/**
 * Authorizations whose person has been gone for `removal_grace` end, after the mesh was asked once more: a peer hidden by an access rule looks like a
 * removed one, and may be back. Throws `Unavailable` while the mesh is dark.
 */
export async function endSuspended(deps: Deps): Promise<void> {
  const since = deps.now() - deps.config.lifetimes.removal_grace
  if ((await deps.store.authorizations.longGone(since, 1)).length === 0) return
  const [policy, now] = [deps.policy(), deps.now()]

  async function settle(authorization: Authorization): Promise<void> {
    const { id, login } = authorization
    if ((await deps.identity.stillThere(authorization)).there) {
      const sentence = `${login} is back in the mesh, so this sign-in goes on.`
      await commitUnlessOvertaken(deps, [personFound(id), await sweptRow(deps, policy, authorization, 'allowed', sentence)])
      return
    }
    const sentence = `${login} has been gone from the mesh for too long, so this sign-in has ended.`
    const audit = await sweptRow(deps, policy, authorization, 'denied', sentence)
    if (await commitUnlessOvertaken(deps, [endLongGone(authorization, now, `${login} is gone from the mesh`), audit]))
      deps.log.info({ authorization: id, login }, sentence)
  }

  // Each step takes all its rows away from the next one.
  await inSteps(() => deps.store.authorizations.longGone(since, rowsAStep), eachOf(settle))
}

/** Those of a step at once: their commits share a transaction. */
const eachOf = (settle: (row: Authorization) => Promise<void>) => async (rows: readonly Authorization[]) => {
  await Promise.all(rows.map(settle))
}

const lastOf = (rows: readonly Authorization[]) => (rows.at(-1) as Authorization).id

async function inSteps(next: (after: string) => Promise<Authorization[]>, step: (rows: readonly Authorization[]) => Promise<void>) {
  for (let rows = await next(''); rows.length > 0; rows = await next(lastOf(rows))) {
    await step(rows)
    await breathe()
  }
}

/** A request may have found, or ended, the same at this moment; then that counts, and this resolves with false. */
async function commitUnlessOvertaken({ store }: Deps, writes: Write[]): Promise<boolean> {
  try {
    await store.commit(writes)
    return true
  } catch (error) {
    if (error instanceof GuardFailed) return false
    throw error
  }
}

/**
 * Looks every `every` milliseconds whether a round is due, until stopped; stopped it is when the last round is over. A round is due after the mesh said
 * something (`pace` milliseconds after the last one at the least), when somebody may be gone for sure or a key expires, when the clock was set back, and at
 * the start. Failures are logged, and tried again.
 */
export function startSweep(deps: Deps, every = 5000, pace = 15_000): Rounds {
  let heard = -1
  let swept = Number.NEGATIVE_INFINITY
  let at = Number.NEGATIVE_INFINITY
  let due: number | null = null

  async function look(): Promise<void> {
    try {
      const [now, mono, changes] = [deps.now(), performance.now(), deps.identity.changes()]
      // What was due by a clock that was ahead may be years away.
      if (now < at || (due !== null && now >= due) || (changes !== heard && mono >= swept + pace)) {
        due = await sweep(deps)
        heard = changes
        swept = mono
        at = now
      }
      if (deps.isClockSure()) await endSuspended(deps) // by one that is ahead everybody has been gone for long
    } catch (error) {
      if (!(error instanceof Unavailable)) deps.log.warn({ err: error }, 'could not look for people who are gone; trying again in a moment')
    }
  }
  return startRounds(every, look)
}
