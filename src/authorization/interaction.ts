/** Whether a person must be asked before an authorization request goes on, and what. */
import type { Client } from '../clients/client.ts'
import type { Decided } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import { OAuthError } from '../oauth/error.ts'
import type { UserPrincipal } from '../oauth/principal.ts'
import type { Recognised } from '../store/consents.ts'
import type { AuthorizationRequest } from './request.ts'

/** A request of a person who is there, judged already. */
export type Situation = {
  request: AuthorizationRequest
  client: Client
  principal: UserPrincipal
  decided: Decided
  /** When this person was last seen at this node; undefined for the first time. */
  recognised: Recognised | undefined
  /** Whether this browser need not be asked who sits before it (`sign_in`). */
  browserKnown: boolean
  policy: ActivePolicy
}

/** What a page asks. An answer to either is a person's click, so there is never more than one. */
export type Question = 'consent' | 'confirmation'

/**
 * What the person must be asked: whether they agree, because the policy or the client wants that; or just whether they are there, because the client
 * (`prompt`, `max_age`, `acr`: OpenID Connect Core §3.1.2.1) or the configuration (`sign_in`) wants that. Throws `login_required` or `consent_required`
 * under `prompt=none`.
 */
export async function questionFor(deps: Deps, situation: Situation): Promise<Question | null> {
  const silent = situation.request.prompt.includes('none')
  const confirmation = isConfirmationDue(deps, situation)
  if (confirmation && silent)
    throw new OAuthError('login_required', 'A person must confirm that they are there, and prompt=none forbids to ask them.')
  const consent = await isConsentDue(deps, situation)
  if (consent && silent) throw new OAuthError('consent_required', 'A person must agree to this first, and prompt=none forbids to ask them.')
  if (consent) return 'consent'
  return confirmation ? 'confirmation' : null
}

function isConfirmationDue(deps: Deps, { request: { prompt, context, max_age }, recognised, browserKnown }: Situation): boolean {
  if (!browserKnown || prompt.includes('login') || prompt.includes('select_account')) return true
  if (context === 'person' && recognised?.confirmed !== 1) return true
  const age = recognised === undefined ? 0 : deps.now() - recognised.auth_time
  return max_age !== null && age >= max_age // in whole seconds, so as old as that may be older; 0 is prompt=login
}

/** Whether the policy wants this person to agree to this software, these scopes and this way back, and they have not yet; or the client wants them asked. */
export async function isConsentDue(deps: Deps, { request, client, principal, decided }: Omit<Situation, 'policy'>): Promise<boolean> {
  const { consent } = decided.verdict.limits
  if (request.prompt.includes('consent')) return true
  if (consent === 'never' && client.verified) return false
  if (consent === 'always') return true
  const agreed = await agreedScopes(deps, principal, client, request.resource)
  return !decided.verdict.scopes.every((scope) => agreed.includes(scope))
}

/** What this person has agreed to, for this software as it is now: of changed software they have not heard. */
export async function agreedScopes(deps: Deps, { user_id }: UserPrincipal, client: Client, resource: string | null): Promise<string[]> {
  const agreed = await deps.store.consents.find(user_id, client.client_id, resource ?? '')
  return agreed?.software_digest === client.software_digest ? agreed.scopes.split(' ') : []
}

/** Whether `login_hint` (OpenID Connect Core §3.1.2.1) plainly names another person: worth a word on a page, and no more. */
export const expectsSomebodyElse = ({ request: { login_hint }, principal: { login } }: Pick<Situation, 'request' | 'principal'>): boolean =>
  login_hint?.includes('@') === true && login_hint.toLowerCase() !== login.toLowerCase()
