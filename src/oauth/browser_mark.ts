/** What a browser keeps so that its person is not asked again who they are. It proves nothing by itself: only beside the same person's call does it count. */
import { createHmac, type KeyObject } from 'node:crypto'
import { sameDigest } from './secret.ts'

/** Whose browser it is. */
export type Whose = { user_id: string; node_id: string }

const mac = (key: KeyObject, { user_id, node_id }: Whose, issued: number) =>
  createHmac('sha256', key)
    .update(`browser of ${JSON.stringify([user_id, node_id, issued])}`)
    .digest('base64url')

/** `ISSUED.MAC`. `issued`: seconds. */
export const browserMark = (key: KeyObject, whose: Whose, issued: number): string => `${issued}.${mac(key, whose, issued)}`

/** Whether `mark` was made for this person at this node less than `lifetime` ago (seconds, as is `now`). Compared in constant time. */
export function isBrowserMark(key: KeyObject, whose: Whose, mark: string, { now, lifetime }: { now: number; lifetime: number }): boolean {
  const [, issued, given] = /^([1-9]\d{0,11})\.([\w-]{43})$/.exec(mark) ?? []
  if (issued === undefined || given === undefined) return false
  const at = Number(issued)
  return at <= now && now < at + lifetime && sameDigest(given, mac(key, whose, at))
}
