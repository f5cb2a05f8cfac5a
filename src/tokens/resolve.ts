/** What a token that somebody shows is: one of ours that lives, or nothing. */
import type { Deps } from '../deps.ts'
import { digest, familyOf, prefixes, sameDigest } from '../oauth/secret.ts'
import type { Authorization } from '../store/authorizations.ts'
import type { RefreshFamily } from '../store/refresh_tokens.ts'
import { type AccessTokenClaims, readAccessToken } from './access_token.ts'
import { livesWhole } from './ancestors.ts'

export type ResolvedToken =
  | { kind: 'access_token'; claims: AccessTokenClaims; authorization: Authorization }
  | { kind: 'refresh_token'; row: RefreshFamily; authorization: Authorization }

const longestToken = 8192

/** Finds a token by its text. Undefined for all that is unknown, expired, revoked, spent, or of an authorization that has ended. */
export async function resolveToken(deps: Deps, token: string): Promise<ResolvedToken | undefined> {
  if (token.length > longestToken) return undefined
  return token.startsWith(prefixes.refresh_token) ? resolveRefreshToken(deps, token) : resolveAccessToken(deps, token)
}

/** An access token of ours, of either format, that has not expired or been revoked, and whose authorization lives. */
export async function resolveAccessToken(deps: Deps, token: string): Promise<(ResolvedToken & { kind: 'access_token' }) | undefined> {
  const claims = await readAccessToken(deps, token)
  const now = deps.now()
  if (!claims || claims.exp <= now || claims.iss !== deps.config.issuer) return undefined
  const authorization = await deps.store.authorizations.findForToken(claims.sid, claims.jti)
  if (!authorization || authorization.revoked === 1 || !(await livesWhole(deps, authorization, now))) return undefined
  return { kind: 'access_token', claims, authorization }
}

async function resolveRefreshToken(deps: Deps, token: string): Promise<ResolvedToken | undefined> {
  const id = familyOf(token, deps.keys.succession)
  const row = id === undefined ? undefined : await deps.store.refreshTokens.find(id)
  const now = deps.now()
  if (!row || !sameDigest(row.digest, digest(token)) || row.expires_at <= now) return undefined
  const authorization = await deps.store.authorizations.find(row.authorization_id)
  return authorization && (await livesWhole(deps, authorization, now)) ? { kind: 'refresh_token', row, authorization } : undefined
}
