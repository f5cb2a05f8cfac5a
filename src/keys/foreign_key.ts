/** Keys of others, by which they sign what they send us: a client's assertions, the identity documents of a trust domain. */
import type { KeyObject } from 'node:crypto'
import { importPublicJwk } from '../oauth/public_jwk.ts'
import type { SignatureAlgorithm } from '../oauth/signature_algorithms.ts'
import { verifierOf } from './foreign_signature.ts'

export type ForeignKey = {
  kid: string | undefined
  key: KeyObject
  /** What may be signed with it: what its `alg` says, else what fits its type. Never what a token says (RFC 8725 §3.1). */
  algorithms: ReadonlySet<SignatureAlgorithm>
}

/** More keys than this are nobody's: what comes after them is not looked at. */
const mostKeys = 100

/** Without a `kid` so many are tried. */
const mostTried = 4

/** RFC 7517 §4.2; a key that does not say what it is for may be for this. */
export const isForSignatures = (use: unknown): boolean => use === undefined || use === 'sig'

/**
 * The keys of a JWK set that are meant for signatures (`use`: RFC 7517 §4.2, or the word that a profile has for it). What is not understood, or not fit to be
 * trusted, is left out (§5). Undefined where `document` is no key set.
 */
export function foreignKeysOf(document: unknown, meant: (use: unknown) => boolean): readonly ForeignKey[] | undefined {
  const keys = typeof document === 'object' && document !== null ? (document as { keys?: unknown }).keys : undefined
  return Array.isArray(keys) ? keys.slice(0, mostKeys).flatMap((jwk) => foreignKeyOf(jwk, meant) ?? []) : undefined
}

function foreignKeyOf(jwk: unknown, meant: (use: unknown) => boolean): ForeignKey | undefined {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) return undefined
  const { kid, alg, use, key_ops } = jwk as Record<string, unknown>
  if (kid !== undefined && typeof kid !== 'string') return undefined
  if (!meant(use) || (key_ops !== undefined && !(Array.isArray(key_ops) && key_ops.includes('verify')))) return undefined
  const imported = importPublicJwk(jwk)
  if ('wrong' in imported) return undefined
  const { key } = imported
  const algorithms = new Set(
    [...verifierOf].filter(([name, { fits }]) => (alg === undefined || alg === name) && fits(key)).map(([name]) => name),
  )
  return algorithms.size > 0 ? { kid, key, algorithms } : undefined
}

/**
 * Of these keys those that may have signed with this algorithm. With a `kid` one at the most; where several share it, nobody can say which is meant, and
 * without a `kid` only a few are tried: null then.
 */
export function keysFor(keys: readonly ForeignKey[], alg: SignatureAlgorithm, kid: string | undefined): readonly ForeignKey[] | null {
  const fitting = keys.filter((one) => (kid === undefined || one.kid === kid) && one.algorithms.has(alg))
  return fitting.length > (kid === undefined ? mostTried : 1) ? null : fitting
}
