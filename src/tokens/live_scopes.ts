/** What a token is worth now: its scopes that today's policy still gives to whom it speaks for, as they are today. */
import { type Client, isProvenBy, isPublic } from '../clients/client.ts'
import { findKnownClient } from '../clients/find.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import type { NodePrincipal, Principal, UserPrincipal } from '../oauth/principal.ts'
import { timed } from '../observe/trace.ts'
import { type Asked, type ClientFacts, type Denied, evaluate, type Resource } from '../policy/index.ts'
import { type Authorization, isLive } from '../store/authorizations.ts'
import { authorizationOfJti } from './access_token.ts'
import { type Actor, type Exchanged, exchangeAsked, exchangedOf, type Place, whyNoActor } from './exchanged.ts'
import { claimsFromStore, claimsWithin, noClaims, type RequestedClaims, withScopesBehind } from './requested_claims.ts'
import { askedFor, findSubject, resourceByUri } from './subject.ts'

export type Live = {
  /** The person; of a workload its tagged machine, or null. */
  principal: Principal | null
  /** The client that it speaks for, where that is no person. */
  workload: ClientFacts | null
  client: Client
  resource: Resource | null
  scopes: readonly string[]
  /** Claims that the authorization request named one by one. */
  claims: RequestedClaims
  /** What the policy was asked. */
  asked: Asked
}

/** `asked`: what the policy refused; null where it was not the policy. */
export type Dead = { why: Denied; principal: Principal | null; asked: Asked | null }

type Judged = { live: Live } | { dead: Dead }
type Judge = (deps: Deps, policy: ActivePolicy, authorization: Authorization, its: Its) => Judged | Promise<Judged>
/** What every authorization has. `scopes`: those of the token. */
type Its = Pick<Live, 'client' | 'resource' | 'scopes'>

/** By what an authorization came about. */
const judges: Record<'person' | 'workload' | 'exchange', Judge> = {
  async person(deps, policy, authorization, its) {
    const subject = await findSubject(deps, authorization)
    if (!subject.there) return dead('identity', subject.sentence)
    const { principal } = subject
    return timed(deps.trace, 'policy', () => worth(policy, authorization, { ...its, principal }, deps.now()))
  },

  /** RFC 6749 §4.4. */
  async workload(deps, policy, authorization, { client, resource, scopes }) {
    if (!resource) return deadResource(authorization)
    const machine = await provingMachine(deps, client, authorization.node_id === '' ? null : authorization)
    if ('dead' in machine) return machine
    const { principal } = machine
    const asked: Asked = { app: 'client_credentials', principal, client: client.facts, resource: resource.name, scopes }
    const common = { principal, workload: client.facts, client, resource, claims: noClaims, asked }
    return timed(deps.trace, 'policy', () => judged(policy, authorization, common, deps.now()))
  },

  /** RFC 8693: what was exchanged is worth no more than what it was exchanged for, today. */
  async exchange(deps, policy, authorization, { client, resource, scopes }) {
    if (!resource) return deadResource(authorization)
    const exchanged = exchangedOf(authorization) as Exchanged
    const parent = await deps.store.authorizations.find(authorization.parent_id ?? '')
    if (!parent || !isLive(parent, deps.now())) return dead('identity', 'What this token was exchanged for has ended.')
    const subject = await liveScopes(deps, policy, parent, exchanged.held)
    if ('dead' in subject) return subject
    const { principal, workload } = subject.live
    const isIdToken = authorization.subject_jti === null
    const forbidden = whyNoActor(isIdToken ? null : subject.live.resource, client)
    if (forbidden !== undefined) return dead('client', forbidden, principal)
    const machine = await provingMachine(deps, client, exchanged.node)
    if ('dead' in machine) return machine
    const other = await otherActor(deps, policy, exchanged.other)
    if (other && 'dead' in other) return other
    const acting = { client, node: machine.principal, other }
    const asked = exchangeAsked(subject.live, isIdToken, acting, { ...exchanged, resource, scopes })
    if (!asked) return dead('target', 'The policy does not name any more what this token was exchanged from.')
    const common = { principal, workload, client, resource, claims: noClaims, asked }
    return timed(deps.trace, 'policy', () => judged(policy, authorization, common, deps.now()))
  },
}

/** The tagged machine that proved a client, if it was one: today it must be in the mesh, and still prove it. Throws `Unavailable` while the mesh is dark. */
async function provingMachine(
  { identity }: Deps,
  client: Client,
  remembered: Place | null,
): Promise<{ principal: NodePrincipal | null } | { dead: Dead }> {
  if (remembered === null) return { principal: null }
  const machine = await identity.machineThere(remembered)
  if (!machine.there) return dead('identity', machine.sentence)
  if (isProvenBy(client, machine.principal)) return { principal: machine.principal }
  return dead('identity', `${machine.principal.node.name} does not prove the client ${client.client_id} any more: its tag is another one.`)
}

/** The other client that an exchange was shown a token of, by what that token is worth today. Throws `Unavailable` while the mesh is dark. */
async function otherActor(deps: Deps, policy: ActivePolicy, remembered: Exchanged['other']): Promise<Actor | { dead: Dead } | null> {
  if (remembered === null) return null
  const { client_id, jti = '' } = remembered
  const authorization = await deps.store.authorizations.findForToken(authorizationOfJti(jti) ?? '', jti)
  if (!authorization || authorization.revoked === 1 || !isLive(authorization, deps.now()))
    return dead('identity', `The token of ${client_id} that was shown as actor_token has ended.`)
  const actor = await liveScopes(deps, policy, authorization, authorization.scopes.split(' '))
  if ('dead' in actor) return { dead: { ...actor.dead, principal: null, asked: null } }
  const { client, principal } = actor.live
  return { client, node: principal?.kind === 'node' ? principal : null }
}

const kindOf = ({ parent_id, workload }: Authorization) => (parent_id !== null ? 'exchange' : workload !== null ? 'workload' : 'person')

/**
 * Asks the mesh and the policy anew (RFC 7662 §2.2: the token's current state). Throws `Unavailable` while the mesh is dark.
 * @param scopes of the token
 */
export async function liveScopes(
  deps: Deps,
  policy: ActivePolicy,
  authorization: Authorization,
  scopes: readonly string[],
): Promise<Judged> {
  const client = await findKnownClient(deps, policy, authorization.client_id)
  if (!client) return deadClient(authorization)
  const resource = authorization.resource === null ? null : resourceByUri(policy, authorization.resource)
  if (resource === undefined) return deadResource(authorization)
  const kind = kindOf(authorization)
  if (kind !== 'person' && isPublic(client)) return deadUnproven(authorization)
  return judges[kind](deps, policy, authorization, { client, resource, scopes })
}

function judged(policy: ActivePolicy, authorization: Authorization, common: Omit<Live, 'scopes'>, now: number): Judged {
  const verdict = evaluate(policy, common.asked, now)
  if (!verdict.allowed) return { dead: { why: verdict, principal: common.principal, asked: common.asked } }
  const bound = authorization.bind === 'node' || verdict.limits.bind === 'node'
  if (bound && common.principal?.node.id !== authorization.node_id)
    return dead('identity', `This token is bound to the machine on which ${authorization.login} signed in, and that is gone.`)
  return { live: { ...common, scopes: verdict.scopes } }
}

/** What `policy` gives of the scopes at `now` (seconds) to a person who gave this authorization, all of whom and of which is found already. */
export function worth(
  policy: ActivePolicy,
  authorization: Authorization,
  { principal, client, resource, scopes }: Its & { principal: UserPrincipal },
  now: number,
): Judged {
  const claims = claimsFromStore(authorization.claims)
  const asked = askedFor(principal, client, resource, withScopesBehind(scopes, claims))
  const verdict = evaluate(policy, asked, now)
  if (verdict.allowed && verdict.limits.bind === 'node' && principal.node.id !== authorization.node_id)
    return dead('identity', `The machine on which ${authorization.login} signed in is gone, and the policy binds tokens to it.`)
  if (!verdict.allowed) return { dead: { why: verdict, principal, asked } }
  const left = verdict.scopes.filter((scope) => scopes.includes(scope))
  if (left.length === 0) return dead('scope', `The policy gives ${authorization.login} none of this token's scopes any more.`, principal)
  const common = { principal, workload: null, client, resource, asked }
  return { live: { ...common, scopes: left, claims: claimsWithin(claims, verdict.scopes) } }
}

/** Of an authorization whose client, or whose resource, is known no more. */
export const deadClient = ({ client_id }: Pick<Authorization, 'client_id'>) =>
  dead('client', `The client ${client_id} is not known any more.`)
/** Of what a client got by proving itself, and would not get today. */
export const deadUnproven = ({ client_id }: Pick<Authorization, 'client_id'>) =>
  dead('client', `The client ${client_id} proves itself no more, so anybody could say that they are it.`)
export const deadResource = ({ resource }: Authorization) => dead('target', `The policy has no resource ${resource} any more.`)

/** Dead, not by what the policy was asked. */
export const dead = (reason: Denied['reason'], sentence: string, principal: Principal | null = null) => ({
  dead: { why: { allowed: false, reason, sentence, near: [], reasons: [] } as Denied, principal, asked: null },
})
