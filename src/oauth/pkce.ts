/** RFC 7636, with S256 only (OAuth 2.1 §4.1.1): `plain` protects nobody. */
import { hash, timingSafeEqual } from 'node:crypto'

/** For the metadata documents. */
export const codeChallengeMethods: readonly string[] = ['S256']

/** RFC 7636 §4.1: 43 to 128 unreserved characters. */
export const isCodeVerifier = (value: string): boolean => /^[A-Za-z0-9\-._~]{43,128}$/.test(value)

/** RFC 7636 §4.2 with S256: base64url of 32 bytes is 43 characters, without padding. No other text could ever be matched. */
export const isCodeChallenge = (value: string): boolean => /^[A-Za-z0-9\-_]{43}$/.test(value)

/** RFC 7636 §4.6: whether `verifier` is well-formed and is what `challenge` was made from. Compared in constant time. */
export function matchesChallenge(verifier: string, challenge: string): boolean {
  if (!isCodeVerifier(verifier)) return false
  const made = Buffer.from(hash('sha256', verifier, 'base64url'))
  const given = Buffer.from(challenge)
  return made.length === given.length && timingSafeEqual(made, given)
}
