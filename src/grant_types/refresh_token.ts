import type { Deps } from '../deps.ts'
import { OAuthError } from '../oauth/error.ts'
import { required } from '../oauth/parse.ts'
import { digest, familyOf, sameDigest, successorOf } from '../oauth/secret.ts'
import { type Authorization, isLive } from '../store/authorizations.ts'
import type { Write } from '../store/engine.ts'
import { restoredReason } from '../store/epoch.ts'
import { type RefreshFamily, replayRefreshToken, rotateRefreshToken } from '../store/refresh_tokens.ts'
import type { GrantType, TokenRequest } from './index.ts'
import { endForReuse } from './reuse.ts'
import { decideToday, narrowed } from './today.ts'

/** RFC 6749 §6. Rotation and reuse detection: RFC 9700 §4.14.2. */
export const refresh_token: GrantType = {
  async authorize(deps, request) {
    const { client, params, now } = request
    const token = required(params, 'refresh_token')
    const { succession } = deps.keys
    const id = familyOf(token, succession)
    const family = id === undefined ? undefined : await deps.store.refreshTokens.find(id)
    const authorization = family && (await deps.store.authorizations.find(family.authorization_id))
    if (!family || authorization?.client_id !== client.client_id)
      throw new OAuthError('invalid_grant', 'This refresh token is not known here. Sign in again.')
    if (authorization.end_reason === restoredReason)
      throw new OAuthError('invalid_grant', `This refresh token is of the time before ${restoredReason}. Sign in again.`)
    if (family.expires_at <= now || !isLive(authorization, now))
      throw new OAuthError('invalid_grant', 'This refresh token has ended: it expired, or was revoked. Sign in again.')

    const successor = successorOf(token, authorization.id, succession)
    const scopes = narrowed(authorization.scopes.split(' '), params)
    const keep = sameDigest(family.digest, digest(token))
      ? (expires_at: number) => rotateRefreshToken(family, digest(successor), scopes.join(' '), now, expires_at)
      : await replay(deps, request, { authorization, family, spent: digest(token), scopes: scopes.join(' ') })
    const today = await decideToday(deps, request, 'refresh_token', authorization, scopes)
    return { ...today, nonce: null, refresh: { token: successor, keep } }
  },
}

const usedAgain = 'This refresh token was used already, in a way that a lost answer does not explain.'

type Spent = {
  authorization: Authorization
  family: RefreshFamily
  /** Digest of the token that was shown. */
  spent: string
  scopes: string
}

/**
 * A spent token. Within the grace, asked for the same again, and while its successor is unused, it yields that successor once more: two processes
 * of a client race, and answers get lost. Otherwise one of its two holders is a thief, and the family ends.
 */
async function replay(deps: Deps, request: TokenRequest, { authorization, family, spent, scopes }: Spent): Promise<() => Write> {
  const { refresh_grace } = deps.config.lifetimes
  const { refresh_replays } = deps.config.limits
  const isLast = family.previous_digest !== null && sameDigest(family.previous_digest, spent)
  const elapsed = request.now - (family.rotated_at ?? 0)
  if (!isLast || elapsed > refresh_grace || refresh_grace === 0)
    throw await endForReuse(deps, request, 'refresh_token', authorization, usedAgain)
  if (family.rotated_for !== scopes)
    throw new OAuthError('invalid_grant', 'This refresh token was just used for other scopes. Use its successor.')
  if (family.replays >= refresh_replays) throw new OAuthError('invalid_grant', 'This refresh token was used too often. Use its successor.')
  return () => replayRefreshToken(family, request.now, refresh_replays)
}
