/** Whether a person must be asked before an authorization request goes on. */
import type { Client } from '../clients/client.ts'
import type { Decided } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import { OAuthError } from '../oauth/error.ts'
import type { UserPrincipal } from '../oauth/principal.ts'
import type { AuthorizationRequest } from './request.ts'

/** A request of a person who is there, judged already. */
export type Situation = {
  request: AuthorizationRequest
  client: Client
  principal: UserPrincipal
  decided: Decided
  authTime: number | undefined
  policy: ActivePolicy
}

/**
 * Whether a page must be shown: because the client asks for it (`prompt`, `max_age`: OpenID Connect Core §3.1.2.1), or because the policy wants this person
 * to agree to this software, these scopes and this way back, and they have not yet. Throws `login_required` or `consent_required` under `prompt=none`.
 */
export async function needsPage(deps: Deps, { request, client, principal, decided, authTime }: Situation): Promise<boolean> {
  const age = authTime === undefined ? 0 : deps.now() - authTime
  const tooOld = request.max_age !== null && (request.max_age === 0 || age > request.max_age) // 0 is prompt=login
  if (tooOld || request.prompt.some((prompt) => prompt === 'login' || prompt === 'select_account')) {
    if (request.prompt.includes('none'))
      throw new OAuthError('login_required', 'The sign-in is older than max_age; a person must confirm it.')
    return true
  }
  const { consent } = decided.verdict.limits
  if (consent === 'never' && client.verified && !request.prompt.includes('consent')) return false
  if (consent !== 'always' && !request.prompt.includes('consent')) {
    const agreed = await agreedScopes(deps, principal, client, request.resource)
    if (decided.verdict.scopes.every((scope) => agreed.includes(scope))) return false
  }
  if (request.prompt.includes('none'))
    throw new OAuthError('consent_required', 'A person must agree to this first, and prompt=none forbids to ask them.')
  return true
}

/** What this person has agreed to, for this software as it is now: of changed software they have not heard. */
export async function agreedScopes(deps: Deps, { user_id }: UserPrincipal, client: Client, resource: string | null): Promise<string[]> {
  const agreed = await deps.store.consents.find(user_id, client.client_id, resource ?? '')
  return agreed?.software_digest === client.software_digest ? agreed.scopes.split(' ') : []
}
