/** How often we let strangers send us to other people's servers. Counted in memory, in windows of a minute that begin with the first fetch. */

/** Fetches a minute: for one person or workload, to one origin, and altogether. */
export type FetchLimits = { principal: number; origin: number; total: number }

export type FetchBudget = {
  /** Takes one fetch from all three budgets, or from none. 0 when it was there; else the seconds until the next window. `now`: seconds. */
  take(principal: string, origin: string, now: number): number
}

const windowSeconds = 60

/** The total bounds the other two counters' size: a key is only counted when a fetch follows. Around a window's end twice the budget can pass. */
export function createFetchBudget(limits: FetchLimits): FetchBudget {
  let opened = Number.NEGATIVE_INFINITY
  let total = 0
  const principals = new Map<string, number>()
  const origins = new Map<string, number>()

  return {
    take(principal, origin, now) {
      if (now < opened || now >= opened + windowSeconds) {
        opened = now
        total = 0
        principals.clear()
        origins.clear()
      }
      const byPrincipal = principals.get(principal) ?? 0
      const byOrigin = origins.get(origin) ?? 0
      if (total >= limits.total || byPrincipal >= limits.principal || byOrigin >= limits.origin) return opened + windowSeconds - now
      total += 1
      principals.set(principal, byPrincipal + 1)
      origins.set(origin, byOrigin + 1)
      return 0
    },
  }
}
