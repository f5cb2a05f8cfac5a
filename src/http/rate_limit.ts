/** How often somebody may ask. Counted in memory: a restart forgives, and costs nobody anything. */

/** `rate`: a second, in the long run; `burst`: at once, after a pause. */
export type Rate = { rate: number; burst: number }

export type RateLimit = {
  /** Counts one request of `key`. 0 if it may go on, else the whole seconds after which the next one may. Constant time. */
  take: (key: string) => number
}

/** So many are remembered at the most; beyond that the one that has been silent for longest begins anew. */
const mostKeys = 10_000

/**
 * The generic cell rate algorithm: one number for each key, the moment until which what was asked is paid for. `milliseconds`: a clock that never goes back.
 */
export function createRateLimit({ rate, burst }: Rate, milliseconds: () => number, most = mostKeys): RateLimit {
  const cost = 1000 / rate
  const credit = (burst - 1) * cost
  const paid = new Map<string, number>()
  return {
    take(key) {
      const now = milliseconds()
      const until = Math.max(now, paid.get(key) ?? 0)
      const wait = until - now - credit
      if (wait > 0) return Math.ceil(wait / 1000)
      paid.delete(key) // so that the order in the map is that of the last request
      if (paid.size >= most) paid.delete(paid.keys().next().value as string)
      paid.set(key, until + cost)
      return 0
    },
  }
}
