/** Clients' keys that are published at an address of theirs (`jwks_uri`, RFC 7591 §2): fetched when they are needed, and kept for a while. */
import { type ForeignKey, foreignKeysOf, isForSignatures } from '../keys/foreign_key.ts'
import { Unavailable } from '../oauth/error.ts'
import { parseStrictObject } from '../oauth/strict_json.ts'
import { createFetchBudget, type FetchLimits } from './fetch_budget.ts'
import type { GuardedFetch } from './guarded_fetch.ts'
import { freshFor } from './http_cache.ts'

export type ClientKeys = {
  /**
   * The keys at `url`. Those that are kept are looked for again where none has this `kid`, since keys change, though not more often than once a minute.
   * Throws `Unavailable` where they cannot be had: a client whose keys nobody can see is never believed. `now`: seconds.
   */
  at(url: string, asked: { client_id: string; kid: string | undefined; now: number }): Promise<readonly ForeignKey[]>
}

/** Seconds. Whatever the origin says: a key that was taken back is not believed for hours, and nobody makes us fetch all the time. */
const kept = { least: 60, most: 3600 }
const pauseAfterFailure = 10
const mostUrls = 1000

type Known = { keys: readonly ForeignKey[]; fresh_until: number; mayTry: number }

const unavailable = (cause: unknown, retryAfter: number) =>
  new Unavailable('The keys of this client could not be fetched from its jwks_uri.', { cause, retryAfter })

/** Requests for one address at the same time share one fetch. */
export function createClientKeys({ fetch, limits }: { fetch: GuardedFetch; limits: FetchLimits }): ClientKeys {
  const budget = createFetchBudget(limits)
  const known = new Map<string, Known>()
  const underWay = new Map<string, Promise<readonly ForeignKey[]>>()

  function remember(url: string, one: Known): void {
    known.delete(url)
    if (known.size >= mostUrls) known.delete(known.keys().next().value as string)
    known.set(url, one)
  }

  async function load(url: string, now: number): Promise<readonly ForeignKey[]> {
    try {
      const { headers, body } = await fetch(url, { accept: 'application/jwk-set+json, application/json' })
      const keys = foreignKeysOf(parseStrictObject(body), isForSignatures)
      if (!keys || keys.length === 0) throw new Error('not a JWK set with keys that can be used')
      const fresh = Math.max(kept.least, Math.min(kept.most, freshFor(headers, now)))
      remember(url, { keys, fresh_until: now + fresh, mayTry: now + kept.least })
      return keys
    } catch (cause) {
      remember(url, { keys: [], fresh_until: 0, ...known.get(url), mayTry: now + pauseAfterFailure })
      throw unavailable(cause, pauseAfterFailure)
    } finally {
      underWay.delete(url)
    }
  }

  function start(url: string, client_id: string, now: number): Promise<readonly ForeignKey[]> {
    const retryAfter = budget.take(client_id, new URL(url).origin, now)
    if (retryAfter > 0) throw unavailable(new Error('too many fetches within a minute'), retryAfter)
    const loading = load(url, now)
    underWay.set(url, loading)
    return loading
  }

  return {
    async at(url, { client_id, kid, now }) {
      const before = known.get(url)
      // A clock that was set back makes nothing fresh for longer.
      const fresh = before !== undefined && now < before.fresh_until && before.fresh_until - now <= kept.most
      if (fresh && (kid === undefined || before.keys.some((key) => key.kid === kid))) return before.keys
      if (before && now < before.mayTry && before.mayTry - now <= kept.least) {
        if (fresh) return before.keys
        throw unavailable(new Error('it could not be fetched a moment ago'), before.mayTry - now)
      }
      return underWay.get(url) ?? start(url, client_id, now)
    },
  }
}
