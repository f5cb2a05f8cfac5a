/** Access tokens, in both formats: a JWT (RFC 9068) says all by itself; an opaque one is a secret, and a row says what it is worth. */
import type { Deps } from '../deps.ts'
import { authorizationOfToken, digest, newAccessToken } from '../oauth/secret.ts'
import type { Resource } from '../policy/index.ts'
import { insertAccessToken } from '../store/access_tokens.ts'
import type { Write } from '../store/engine.ts'

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
  auth_time: number
}

/** The text of a token that says this, in its resource's format, and the writes that make it good. A token for this server itself is a JWT. */
export function makeAccessToken(deps: Deps, resource: Resource | null, claims: AccessTokenClaims): { token: string; writes: Write[] } {
  if (resource?.token_format !== 'opaque') return { token: deps.jwts.sign('at+jwt', resource?.signing_alg ?? 'ES256', claims), writes: [] }
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
