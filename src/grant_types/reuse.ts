/** A code or refresh token that comes back after it was spent: one of its two holders is a thief, so nothing that came from it may live. */
import { type Entry, recordDenial } from '../decide.ts'
import type { Deps } from '../deps.ts'
import { OAuthError } from '../oauth/error.ts'
import { type Authorization, endAuthorization } from '../store/authorizations.ts'
import type { TokenRequest } from './index.ts'

/** Ends the authorization (OAuth 2.1 §4.1.3, RFC 9700 §4.14.2); resolves with the refusal, after both are on disk. `sentence`: what was used again. */
export async function endForReuse(
  deps: Deps,
  { policy, client, now }: TokenRequest,
  entry: Entry,
  authorization: Authorization,
  sentence: string,
): Promise<OAuthError> {
  const { id, login, resource } = authorization
  await deps.store.commit([endAuthorization(id, now, sentence)])
  const facts = { entry, client_id: client.client_id, resource, authorization_id: id, detail: { login } }
  const decision_id = await recordDenial(deps, policy, null, facts, 'reuse', sentence)
  return new OAuthError('invalid_grant', `${sentence} All tokens of this sign-in are revoked. Sign in again; decision ${decision_id}.`, {
    decision_id,
  })
}
