/** What both grant types of a person share: is the authorization alive, is its person there, and what does today's policy give? */
import { decide, type Entry, recordDenial } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import { OAuthError } from '../oauth/error.ts'
import { optional, type Params } from '../oauth/parse.ts'
import type { Principal } from '../oauth/principal.ts'
import { quoted } from '../oauth/shown_text.ts'
import type { DenialReason, Resource } from '../policy/index.ts'
import type { Authorization } from '../store/authorizations.ts'
import type { Issuable } from '../tokens/issue.ts'
import { liveScopes } from '../tokens/live_scopes.ts'
import { claimsFromStore, claimsWithin, withScopesBehind } from '../tokens/requested_claims.ts'
import { askedFor, findSubject, resourceByUri } from '../tokens/subject.ts'
import type { TokenRequest } from './index.ts'

/** What of an authorization may go on today: all that a grant type has to add is what it spends. */
export type Today = Omit<Issuable, 'nonce' | 'refresh' | 'exchanged'>

/**
 * Decides on today's identity and today's policy whether `scopes` of the authorization may go on. What is no longer allowed is dropped;
 * where nothing is left: `invalid_grant`, and nothing was spent, so that a mistake undone heals.
 * Throws `invalid_target` where the request names another resource than the authorization's (RFC 8707 §2.2).
 */
export async function decideToday(
  deps: Deps,
  { policy, client, params, caller }: TokenRequest,
  entry: Entry,
  authorization: Authorization,
  scopes: readonly string[],
): Promise<Today> {
  const facts = {
    entry,
    client_id: client.client_id,
    resource: authorization.resource,
    authorization_id: authorization.id,
  }
  const denied = async (reason: DenialReason, sentence: string, principal: Principal | null = null) => {
    const decision_id = await recordDenial(deps, policy, principal, { ...facts, detail: { login: authorization.login } }, reason, sentence)
    return new OAuthError('invalid_grant', `${sentence} Mention decision ${decision_id} to an admin.`, { decision_id })
  }

  const resource = authorization.resource === null ? null : resourceByUri(policy, authorization.resource)
  if (resource === undefined) throw await denied('target', `The policy has no resource ${authorization.resource} any more.`)
  refuseOther(policy, authorization, resource, params)
  if (authorization.parent_id !== null) {
    const worth = await liveScopes(deps, policy, authorization, scopes)
    if ('dead' in worth) throw await denied(worth.dead.why.reason, worth.dead.why.sentence, worth.dead.principal)
    const { verdict, writes } = await decide(deps, policy, worth.live.asked, facts)
    if (!verdict.limits.refresh_token)
      throw await denied(
        'no_grant',
        `The policy gives ${client.client_id} no refresh token for exchanges like this any more.`,
        worth.live.principal,
      )
    return { ...worth.live, authorization, limits: verdict.limits, writes }
  }
  const subject = await findSubject(deps, authorization)
  if (!subject.there) throw await denied('identity', subject.sentence)
  const { principal } = subject
  const requested = claimsFromStore(authorization.claims)
  const decided = await decide(deps, policy, askedFor(principal, client, resource, withScopesBehind(scopes, requested)), facts)
  const bound = authorization.bind === 'node' || decided.verdict.limits.bind === 'node'
  if (bound && !(await isAtItsNode(authorization, caller)))
    throw await denied(
      'identity',
      `This sign-in is bound to the machine on which ${authorization.login} made it, and this request came from another one.`,
      principal,
    )
  const { verdict, writes } = decided
  const left = verdict.scopes.filter((scope) => scopes.includes(scope)) // the others only stood for claims
  if (left.length === 0) throw await denied('scope', `The policy gives ${principal.login} none of these scopes any more.`, principal)
  const claims = claimsWithin(requested, verdict.scopes)
  return { authorization, principal, client, resource, scopes: left, claims, limits: verdict.limits, writes }
}

/** RFC 8707 §2.2: a token request may name the resource again; never another one. */
function refuseOther(policy: ActivePolicy, authorization: Authorization, resource: Resource | null, params: Params): void {
  const named = (params.get('resource') ?? []).filter((uri) => uri !== '') // RFC 6749 §3.1: without a value it is left out
  if (named.some((uri) => resourceByUri(policy, uri) !== resource))
    throw new OAuthError(
      'invalid_target',
      `This authorization is for ${authorization.resource ?? 'this server itself'}, and for no other resource.`,
    )
}

/** With `bind: node`, by the policy of then or of today, a token is worth something only on the machine where its person signed in. */
async function isAtItsNode({ user_id, node_id }: Authorization, caller: TokenRequest['caller']): Promise<boolean> {
  const { principal } = await caller()
  return principal?.kind === 'user' && principal.user_id === user_id && principal.node.id === node_id
}

/** The scopes to ask for: those granted, or fewer of them. RFC 6749 §6: never more; where none is named, those granted. Throws `invalid_scope`. */
export function narrowed(granted: readonly string[], params: Params): readonly string[] {
  const wanted = (optional(params, 'scope') ?? '').split(' ').filter((scope) => scope !== '')
  if (wanted.length === 0) return granted
  const beyond = wanted.find((scope) => !granted.includes(scope))
  if (beyond !== undefined) throw new OAuthError('invalid_scope', `The scope ${quoted(beyond, 100)} was not granted by this authorization.`)
  return granted.filter((scope) => wanted.includes(scope))
}
