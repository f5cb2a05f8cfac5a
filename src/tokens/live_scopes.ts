/** What a token is worth now: its scopes that today's policy still gives to today's person. */
import type { Client } from '../clients/client.ts'
import { findKnownClient } from '../clients/find.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import type { Principal, UserPrincipal } from '../oauth/principal.ts'
import { type Asked, type Denied, evaluate, type Resource } from '../policy/index.ts'
import type { Authorization } from '../store/authorizations.ts'
import { claimsFromStore, claimsWithin, type RequestedClaims, withScopesBehind } from './requested_claims.ts'
import { askedFor, findSubject, resourceByUri } from './subject.ts'

export type Live = {
  principal: UserPrincipal
  client: Client
  resource: Resource | null
  scopes: readonly string[]
  /** Claims that the authorization request named one by one. */
  claims: RequestedClaims
}

/** `asked`: what the policy refused; null where it was not the policy. */
export type Dead = { why: Denied; principal: Principal | null; asked: Asked | null }

/**
 * Asks the mesh and the policy anew (RFC 7662 §2.2: the token's current state). Throws `Unavailable` while the mesh is dark.
 * @param scopes of the token
 */
export async function liveScopes(
  deps: Deps,
  policy: ActivePolicy,
  authorization: Authorization,
  scopes: readonly string[],
): Promise<{ live: Live } | { dead: Dead }> {
  const client = await findKnownClient(deps, policy, authorization.client_id)
  if (!client) return deadClient(authorization)
  const resource = authorization.resource === null ? null : resourceByUri(policy, authorization.resource)
  if (resource === undefined) return deadResource(authorization)
  const subject = await findSubject(deps, authorization)
  if (!subject.there) return dead('identity', subject.sentence)
  return worth(policy, authorization, { principal: subject.principal, client, resource, scopes }, deps.now())
}

/** The same of a client, a resource and a person that are found already: what `policy` gives of the scopes at `now` (seconds). */
export function worth(
  policy: ActivePolicy,
  authorization: Authorization,
  { principal, client, resource, scopes }: Omit<Live, 'claims'>,
  now: number,
): { live: Live } | { dead: Dead } {
  const claims = claimsFromStore(authorization.claims)
  const asked = askedFor(principal, client, resource, withScopesBehind(scopes, claims))
  const verdict = evaluate(policy, asked, now)
  if (verdict.allowed && verdict.limits.bind === 'node' && principal.node.id !== authorization.node_id)
    return dead('identity', `The machine on which ${authorization.login} signed in is gone, and the policy binds tokens to it.`)
  if (!verdict.allowed) return { dead: { why: verdict, principal, asked } }
  const left = verdict.scopes.filter((scope) => scopes.includes(scope))
  if (left.length === 0) return dead('scope', `The policy gives ${authorization.login} none of this token's scopes any more.`, principal)
  return { live: { principal, client, resource, scopes: left, claims: claimsWithin(claims, verdict.scopes) } }
}

/** Of an authorization whose client, or whose resource, is known no more. */
export const deadClient = ({ client_id }: Authorization) => dead('client', `The client ${client_id} is not known any more.`)
export const deadResource = ({ resource }: Authorization) => dead('target', `The policy has no resource ${resource} any more.`)

const dead = (reason: Denied['reason'], sentence: string, principal: Principal | null = null) => ({
  dead: { why: { allowed: false, reason, sentence, near: [], reasons: [] } as Denied, principal, asked: null },
})
