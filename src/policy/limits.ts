/** What capabilities allow beyond yes and no, and how it adds up: the most lenient a scope, the strictest of a request's scopes. Seconds. */
import type { Limits } from './verdict.ts'

/** What `authorize` and `client_credentials` say of the scopes they give. Null where a capability says nothing. */
export type Terms = Pick<Limits, 'consent' | 'bind' | 'access_token_ttl' | 'refresh_token_ttl'>

const day = 24 * 60 * 60

/**
 * The lifetimes that "nothing said" stands for when two capabilities are compared: those that a daemon uses when no grant names one.
 * Consent is asked each time unless a grant says otherwise (RFC 8252 §8.6).
 */
export const defaults = { access_token_ttl: 300, refresh_token_ttl: 30 * day, client_ttl: 90 * day, max_clients: 20 } as const
export const defaultTerms: Terms = { consent: 'always', bind: 'user', access_token_ttl: null, refresh_token_ttl: null }

export const noLimits: Limits = {
  ...defaultTerms,
  client_ttl: null,
  max_clients: null,
  metadata: 'lenient',
  groups: [],
  claims: {},
  refresh_token: false,
  chain: false,
}

const consents: readonly Terms['consent'][] = ['always', 'once', 'never']

/** Positive where `a` is more lenient than `b`: by consent, then what it is bound to, then lifetimes. The last two only make the order total. */
export const compareLeniency = (a: Terms, b: Terms): number =>
  consents.indexOf(a.consent) - consents.indexOf(b.consent) ||
  Number(a.bind === 'user') - Number(b.bind === 'user') ||
  (a.access_token_ttl ?? defaults.access_token_ttl) - (b.access_token_ttl ?? defaults.access_token_ttl) ||
  (a.refresh_token_ttl ?? defaults.refresh_token_ttl) - (b.refresh_token_ttl ?? defaults.refresh_token_ttl) ||
  Number(a.access_token_ttl === null) - Number(b.access_token_ttl === null) ||
  Number(a.refresh_token_ttl === null) - Number(b.refresh_token_ttl === null)

/** The strictest of each term; `all` is not empty. */
export const strictest = (all: readonly Terms[]): Terms => ({
  consent: consents.find((consent) => all.some((terms) => terms.consent === consent)) ?? 'always',
  bind: all.some((terms) => terms.bind === 'node') ? 'node' : 'user',
  access_token_ttl: shortest(
    all.map((terms) => terms.access_token_ttl),
    defaults.access_token_ttl,
  ),
  refresh_token_ttl: shortest(
    all.map((terms) => terms.refresh_token_ttl),
    defaults.refresh_token_ttl,
  ),
})

/** A lifetime that is said counts as stricter than an equal one that is not. */
function shortest(lifetimes: readonly (number | null)[], unsaid: number): number | null {
  const said = lifetimes.filter((lifetime) => lifetime !== null)
  if (said.length === 0) return null
  const least = Math.min(...said)
  return said.length < lifetimes.length && unsaid < least ? null : least
}
