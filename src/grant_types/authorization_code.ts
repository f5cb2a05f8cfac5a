import type { Deps } from '../deps.ts'
import { OAuthError } from '../oauth/error.ts'
import { optional, required } from '../oauth/parse.ts'
import { isCodeVerifier, matchesChallenge } from '../oauth/pkce.ts'
import { authorizationOfCode, digest, sameDigest } from '../oauth/secret.ts'
import { type Authorization, isLive } from '../store/authorizations.ts'
import { type Code, consumeCode } from '../store/codes.ts'
import { newFamily } from './family.ts'
import type { GrantType, TokenRequest } from './index.ts'
import { endForReuse } from './reuse.ts'
import { decideToday } from './today.ts'

const unknown = () =>
  new OAuthError('invalid_grant', 'This authorization code is not known here, or it has expired. Start the sign-in again.')

/** RFC 6749 §4.1.3 with PKCE (RFC 7636 §4.6). */
export const authorization_code: GrantType = {
  async authorize(deps, request) {
    const { client, params, now } = request
    const text = required(params, 'code')
    const id = authorizationOfCode(text)
    const code = id === undefined ? undefined : await deps.store.codes.find(id)
    const authorization =
      code && sameDigest(code.digest, digest(text)) ? await deps.store.authorizations.find(code.authorization_id) : undefined
    if (!code || authorization?.client_id !== client.client_id) throw unknown()
    checkBinding(code, request)
    if (code.consumed_at !== null) throw await usedAgain(deps, request, authorization)
    if (code.expires_at <= now || !isLive(authorization, now)) throw unknown()

    const granted = authorization.scopes.split(' ')
    const today = await decideToday(deps, request, 'authorization_code', authorization, granted)
    const refreshes = client.grant_types.includes('refresh_token')
    return {
      ...today,
      nonce: code.nonce,
      refresh: refreshes ? newFamily(deps, authorization.id) : null,
      writes: [consumeCode(code, now), ...today.writes],
    }
  },
}

/** The code is used by whom it was made for. A failure spends and revokes nothing: it may be a stranger's guess (OAuth 2.1 §7.5.2). */
function checkBinding(code: Code, { params }: TokenRequest): void {
  const verifier = optional(params, 'code_verifier')
  if (code.code_challenge === null) {
    // OAuth 2.1 §4.1.3: a verifier for a code without challenge is a downgrade.
    if (verifier !== undefined)
      throw new OAuthError('invalid_grant', 'This code was made without a code_challenge; a code_verifier does not belong to it.')
  } else if (verifier === undefined || !isCodeVerifier(verifier) || !matchesChallenge(verifier, code.code_challenge)) {
    throw new OAuthError('invalid_grant', 'The code_verifier is not the one that the code_challenge was made from.')
  }
  const redirect_uri = optional(params, 'redirect_uri')
  if (redirect_uri !== undefined && redirect_uri !== code.redirect_uri)
    throw new OAuthError('invalid_grant', 'redirect_uri is not the one that the code was sent to.')
}

/**
 * OAuth 2.1 §4.1.3: a code that is used again ends all that came from it. A request that ran beside the first one is only refused: clients do send twice.
 */
async function usedAgain(deps: Deps, request: TokenRequest, authorization: Authorization): Promise<OAuthError> {
  const sentence = 'This authorization code was used already.'
  if (request.again || authorization.ended_at !== null) return new OAuthError('invalid_grant', `${sentence} Start the sign-in again.`)
  return endForReuse(deps, request, 'authorization_code', authorization, sentence)
}
