/** Assertions by which clients prove themselves (RFC 7521 §4.2): what all kinds of them share. */
import { type ForeignJwt, readForeignJwt } from '../keys/foreign_jwt.ts'
import { optional, type Params } from '../oauth/parse.ts'

/** How they show in a request, whatever their kind: so two kinds at once are one way too many. */
export const assertionWire = 'client_assertion'

const typePrefix = 'urn:ietf:params:oauth:client-assertion-type:'

/** Seconds by which clocks may differ. */
const skew = 60

/** Whether the request holds an assertion, or a part of one. */
export const asserts = (params: Params): boolean =>
  optional(params, 'client_assertion') !== undefined || optional(params, 'client_assertion_type') !== undefined

/**
 * What the request presents of this kind: undefined where it is of another kind. The JWT is undefined where it is none. `client_id`: as the request says, or
 * else the JWT (RFC 7521 §4.2: it need not be there twice).
 */
export function assertionOf(
  params: Params,
  kind: 'jwt-bearer' | 'jwt-spiffe',
): { jwt: ForeignJwt | undefined; client_id: string | undefined } | undefined {
  const text = optional(params, 'client_assertion')
  if (text === undefined || optional(params, 'client_assertion_type') !== typePrefix + kind) return undefined
  const jwt = readForeignJwt(text)
  const sub = typeof jwt?.claims.sub === 'string' ? jwt.claims.sub : undefined
  return { jwt, client_id: optional(params, 'client_id') ?? sub }
}

/** What is missing where a request holds parts of an assertion, and yet none that we know. */
export function notAnAssertion(params: Params): string {
  if (optional(params, 'client_assertion') === undefined) return 'There is a client_assertion_type, but no client_assertion.'
  if (optional(params, 'client_assertion_type') === undefined) return 'There is a client_assertion, but no client_assertion_type.'
  return `This client_assertion_type is not supported here. Use ${typePrefix}jwt-bearer, or ${typePrefix}jwt-spiffe with a JWT-SVID.`
}

/** RFC 7523 §3 and draft-ietf-oauth-rfc7523bis §4: for one of these, and for nobody else beside it. */
export function isFor(aud: unknown, accepted: readonly string[]): boolean {
  const all = Array.isArray(aud) ? aud : [aud]
  return all.length > 0 && all.every((one) => accepted.includes(one))
}

/** RFC 7519 §2, of which we take whole seconds only. */
const isTime = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

/** What is wrong with its times (RFC 7523 §3, 4. to 6.), as the end of a sentence. `longest`: seconds that it may have left, and that it may be old. */
export function wrongTimes({ exp, nbf, iat }: Readonly<Record<string, unknown>>, now: number, longest = Number.POSITIVE_INFINITY) {
  if (!isTime(exp) || (nbf !== undefined && !isTime(nbf)) || (iat !== undefined && !isTime(iat)))
    return 'needs an exp, and exp, nbf and iat must be whole seconds'
  if (exp <= now - skew) return 'has expired'
  if (exp > now + longest + skew) return `lives too long: its exp may be ${longest} s ahead at the most`
  if ((nbf ?? 0) > now + skew) return 'is not valid yet (nbf)'
  if ((iat ?? 0) > now + skew) return 'is of the future (iat): look at the clocks'
  return iat !== undefined && iat < now - longest - skew ? 'is too old (iat)' : undefined
}

/** The earliest time, in seconds, at which an assertion with right times can have been used. `longest`: as above. */
export const firstUse = ({ exp, iat }: Readonly<Record<string, unknown>>, longest: number): number =>
  Math.max((exp as number) - longest, (iat as number | undefined) ?? 0) - skew
