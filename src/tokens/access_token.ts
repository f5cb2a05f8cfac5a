/** Access tokens, in both formats: a JWT (RFC 9068) says all by itself; an opaque one is a secret, and a row says what it is worth. */
import type { Deps } from '../deps.ts'
import { OAuthError } from '../oauth/error.ts'
import { authorizationOfToken, digest, newAccessToken } from '../oauth/secret.ts'
import type { Resource } from '../policy/index.ts'
import { insertAccessToken } from '../store/access_tokens.ts'
import type { Write } from '../store/engine.ts'

/** Who acts, for whom that one acts, and so on (RFC 8693 §4.1): client ids, the nearest first. */
export type Act = { sub: string; act?: Act }

/** RFC 9068 §2.2. `sid` names the authorization: revoke that, and the token is dead wherever it is asked about. One `aud`, always. Times are seconds. */
export type AccessTokenClaims = {
  iss: string
  exp: number
  aud: string
  sub: string
  iat: number
  jti: string
  client_id: string
  scope: string
  sid: string
  /** Of a person. */
  auth_time?: number
  act?: Act
  /** The one client that may act with this token (RFC 8693 §4.4). */
  may_act?: { sub: string }
}

/** A token's own name, from which its authorization can be told. */
export const jtiOf = (authorization_id: string, randomBytes: Deps['randomBytes']): string =>
  `${authorization_id}.${randomBytes(12).toString('base64url')}`

/** The authorization that a `jti` names; undefined for a text that is none of ours. */
export const authorizationOfJti = (jti: string): string | undefined => /^([0-9A-Z]{1,40})\.[\w-]{16}$/.exec(jti)?.[1]

/** Of one access token, in characters: what headers of HTTP still carry everywhere. */
export const longestAccessToken = 4096

/**
 * The text of a token that says this, in its resource's format, and the writes that make it good. A token for this server itself is a JWT. Throws
 * `invalid_request` for one that would be too long.
 */
export function makeAccessToken(deps: Deps, resource: Resource | null, claims: AccessTokenClaims): { token: string; writes: Write[] } {
  if (resource?.token_format !== 'opaque') {
    const token = deps.jwts.sign('at+jwt', resource?.signing_alg ?? 'ES256', claims)
    if (token.length <= longestAccessToken) return { token, writes: [] }
    throw new OAuthError(
      'invalid_request',
      `The access token would have ${token.length} characters, and ${longestAccessToken} is the most. Ask for fewer scopes, or exchange through fewer hands.`,
    )
  }
  const token = newAccessToken(claims.sid, deps.randomBytes)
  const row = { authorization_id: claims.sid, digest: digest(token), claims: JSON.stringify(claims), expires_at: claims.exp }
  return { token, writes: [insertAccessToken(row)] }
}

/** What an access token of ours says, of either format; undefined for every other text. Does not look at `exp`, nor at whether it was revoked. */
export async function readAccessToken(deps: Deps, token: string): Promise<AccessTokenClaims | undefined> {
  const id = authorizationOfToken(token)
  if (id === undefined) return deps.jwts.open('at+jwt', token) as AccessTokenClaims | undefined
  const row = await deps.store.accessTokens.find(id, digest(token))
  return row && (JSON.parse(row.claims) as AccessTokenClaims)
}
