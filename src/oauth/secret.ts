/** Credentials: made of 256 random bits, kept as SHA-256, compared in constant time. No slow hash: there is nothing to guess. */
import { createHmac, hash, type KeyObject, timingSafeEqual } from 'node:crypto'

type RandomBytes = (size: number) => Buffer

/** What a credential is, as its first letters say (so that a leaked one is recognised). */
export const prefixes = {
  code: 'mic_',
  access_token: 'mio_',
  refresh_token: 'mir_',
  client_secret: 'mis_',
  registration_access_token: 'mia_',
  initial_access_token: 'mii_',
  ticket: 'mit_',
} as const

/** A fresh credential: prefix and 256 bits in base64url. RFC 6749 §10.10. */
export const newSecret = (
  kind: Exclude<keyof typeof prefixes, 'code' | 'access_token' | 'refresh_token'>,
  randomBytes: RandomBytes,
): string => prefixes[kind] + randomBytes(32).toString('base64url')

/** A fresh authorization code, `mic_AUTHORIZATION.SECRET`: it says where its row is, and proves it by 256 bits. */
export const newCode = (authorization_id: string, randomBytes: RandomBytes): string =>
  `${prefixes.code}${authorization_id}.${randomBytes(32).toString('base64url')}`

/** The authorization that a code names; undefined for a text that is no code. */
export const authorizationOfCode = (code: string): string | undefined => /^mic_([0-9A-Z]{1,40})\.[\w-]{43}$/.exec(code)?.[1]

/** A fresh opaque access token, `mio_AUTHORIZATION.SECRET`, like a code. */
export const newAccessToken = (authorization_id: string, randomBytes: RandomBytes): string =>
  `${prefixes.access_token}${authorization_id}.${randomBytes(32).toString('base64url')}`

/** The authorization that an opaque access token names; undefined for a text that is none. */
export const authorizationOfToken = (token: string): string | undefined => /^mio_([0-9A-Z]{1,40})\.[\w-]{43}$/.exec(token)?.[1]

/** What is stored of a credential: SHA-256 in base64url. Whole text in, so a near twin never shares a digest. */
export const digest = (secret: string): string => hash('sha256', secret, 'base64url')

/** Whether two digests of equal kind are equal, in constant time. */
export function sameDigest(left: string, right: string): boolean {
  const a = Buffer.from(left)
  const b = Buffer.from(right)
  return a.length === b.length && timingSafeEqual(a, b)
}

const hmac = (key: KeyObject, text: string) => createHmac('sha256', key).update(text).digest()

const markOf = (unmarked: string, key: KeyObject) => hmac(key, `mark of ${unmarked}`).toString('base64url', 0, 16)

/**
 * `mir_FAMILY.SECRET.MARK`: the authorization that it descends from, 256 bits that nobody can guess, and 128 that only we can put there. So a spent
 * token is known for what it is as long as its family lives, without a row of its own (RFC 9700 §4.14.2).
 */
function refreshToken(family: string, secret: Buffer, key: KeyObject): string {
  const unmarked = `${prefixes.refresh_token}${family}.${secret.toString('base64url')}`
  return `${unmarked}.${markOf(unmarked, key)}`
}

/** The first refresh token of a family. `family`: the authorization's id. */
export const firstRefreshToken = (family: string, randomBytes: RandomBytes, key: KeyObject): string =>
  refreshToken(family, randomBytes(32), key)

/** The one successor of a refresh token: so a grace needs nothing stored, and survives a restart. */
export const successorOf = (token: string, family: string, key: KeyObject): string => refreshToken(family, hmac(key, token), key)

/** The family of a refresh token that we made, spent or not; undefined for every other text. */
export function familyOf(token: string, key: KeyObject): string | undefined {
  const [, unmarked = '', family, mark = ''] = /^(mir_([0-9A-Z]{1,40})\.[\w-]{43})\.([\w-]{22})$/.exec(token) ?? []
  return family !== undefined && sameDigest(mark, markOf(unmarked, key)) ? family : undefined
}
