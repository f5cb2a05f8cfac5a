/** What an authorization was exchanged from, and what that came from (RFC 8693): all of it must live, or nothing of it does. */
import type { Deps } from '../deps.ts'
import { type Authorization, isLive } from '../store/authorizations.ts'

/** It, and all that it descends from: itself first, its root last. Where a row is gone, the last is one that names a parent. */
export async function lineageOf(
  { store }: Pick<Deps, 'store'>,
  authorization: Authorization,
): Promise<[Authorization, ...Authorization[]]> {
  const line: [Authorization, ...Authorization[]] = [authorization]
  for (let { parent_id } = authorization; parent_id !== null; ) {
    const parent = await store.authorizations.find(parent_id)
    if (!parent) break
    line.push(parent)
    parent_id = parent.parent_id
  }
  return line
}

/** Whether it lives, and all that it descends from. @param now seconds */
export async function livesWhole(deps: Pick<Deps, 'store'>, authorization: Authorization, now: number): Promise<boolean> {
  const line = await lineageOf(deps, authorization)
  return line.every((one) => isLive(one, now)) && line.at(-1)?.parent_id === null
}
