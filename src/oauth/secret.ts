/** Credentials: made of 256 random bits, kept as SHA-256, compared in constant time. No slow hash: there is nothing to guess. */
import { createHmac, hash, timingSafeEqual } from 'node:crypto'

type RandomBytes = (size: number) => Buffer

/** What a credential is, as its first letters say (so that a leaked one is recognised). */
export const prefixes = {
  code: 'mic_',
  refresh_token: 'mir_',
  client_secret: 'mis_',
  registration_access_token: 'mia_',
  ticket: 'mit_',
} as const

/** A fresh credential: prefix and 256 bits in base64url. RFC 6749 §10.10. */
export const newSecret = (kind: keyof typeof prefixes, randomBytes: RandomBytes): string =>
  prefixes[kind] + randomBytes(32).toString('base64url')

/** What is stored of a credential: SHA-256 in base64url. Whole text in, so a near twin never shares a digest. */
export const digest = (secret: string): string => hash('sha256', secret, 'base64url')

/** Whether two digests of equal kind are equal, in constant time. */
export function sameDigest(left: string, right: string): boolean {
  const a = Buffer.from(left)
  const b = Buffer.from(right)
  return a.length === b.length && timingSafeEqual(a, b)
}

/** The one successor of a refresh token: so a grace needs nothing stored, and survives a restart. */
export const successorOf = (refreshToken: string, key: Buffer): string =>
  prefixes.refresh_token + createHmac('sha256', key).update(refreshToken).digest('base64url')
