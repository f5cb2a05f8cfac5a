/** When a key is published, signs, and goes. A key signs until the next one of its algorithm begins, and stays published until the last token it signed is dead. */
import type { SigningKey } from './keyset.ts'

/** Seconds from a key's last signature until it is taken away: no token lives longer than a day, and clocks may differ by ten minutes. */
export const afterlife = 86_400 + 600

export type Phase = 'published' | 'signing' | 'retiring'

export type Scheduled = {
  key: SigningKey
  phase: Phase
  /** When the next one begins, seconds; null where there is none yet. */
  signs_until: number | null
  /** When it is taken away. */
  published_until: number | null
}

/** Keys of one algorithm, in the order in which they sign → the one that does so `now`; before the first has begun (a clock that went back) that one. */
export const signerOf = (keys: readonly SigningKey[], now: number): SigningKey | undefined =>
  keys.findLast(({ signs_from }) => signs_from <= now) ?? keys[0]

/** How it stands with each of such keys. */
export function scheduleOf(keys: readonly SigningKey[], now: number): Scheduled[] {
  const signer = keys.indexOf(signerOf(keys, now) as SigningKey)
  return keys.map((key, at) => {
    const signs_until = keys[at + 1]?.signs_from ?? null
    const phase = at === signer ? 'signing' : at < signer ? 'retiring' : 'published'
    return { key, phase, signs_until, published_until: signs_until === null ? null : signs_until + afterlife }
  })
}
