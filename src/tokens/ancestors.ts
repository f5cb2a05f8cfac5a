/** What an authorization was exchanged from, and what that came from (RFC 8693): all of it must live, or nothing of it does. */
import type { Deps } from '../deps.ts'
import { type Authorization, isLive } from '../store/authorizations.ts'

/** Ids of all that it descends from, the nearest first. A row that is gone is the last. */
export async function ancestorsOf(deps: Pick<Deps, 'store'>, authorization: Authorization): Promise<string[]> {
  const ids: string[] = []
  for (let { parent_id } = authorization; parent_id !== null; ) {
    ids.push(parent_id)
    parent_id = (await deps.store.authorizations.find(parent_id))?.parent_id ?? null
  }
  return ids
}

/** Whether it lives, and all that it descends from. @param now seconds */
export async function livesWhole(deps: Pick<Deps, 'store'>, authorization: Authorization, now: number): Promise<boolean> {
  for (let one: Authorization | undefined = authorization; ; ) {
    if (!one || !isLive(one, now)) return false
    if (one.parent_id === null) return true
    one = await deps.store.authorizations.find(one.parent_id)
  }
}
