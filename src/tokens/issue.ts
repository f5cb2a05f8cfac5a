/** The one mint. It signs first and commits then: what is spent, what is issued and what was decided land together or not at all. */
import type { Client } from '../clients/client.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import type { Claims } from '../keys/jwt.ts'
import { acrOf } from '../oauth/authentication_context.ts'
import type { Principal, UserPrincipal } from '../oauth/principal.ts'
import { timed } from '../observe/trace.ts'
import { evaluate, isIdentityScope, type Limits, type Resource } from '../policy/index.ts'
import { type Authorization, authorizationLives } from '../store/authorizations.ts'
import { clientUsed, isUseDue } from '../store/clients.ts'
import type { Write } from '../store/engine.ts'
import { type AccessTokenClaims, jtiOf, makeAccessToken } from './access_token.ts'
import { lineageOf } from './ancestors.ts'
import { claimsOf, subjectOf } from './claims.ts'
import { exchangedOf } from './exchanged.ts'
import type { RequestedClaims } from './requested_claims.ts'

/** What a grant type has found to be right; all that is left is to make it so. */
export type Issuable = {
  authorization: Authorization
  /** Null for a workload that is no machine. */
  principal: Principal | null
  client: Client
  /** Null where only identity scopes were granted: then the token is for this server's own userinfo. */
  resource: Resource | null
  scopes: readonly string[]
  /** Claims that the request named and that today's policy gives. */
  claims: RequestedClaims
  limits: Limits
  /** From the authorization request; null where there was none. */
  nonce: string | null
  /** What only an exchange says: what was issued (RFC 8693 §2.2.1), and when the token that was shown ends (seconds). */
  exchanged?: { issued_token_type: string; until: number }
  /** The refresh token to hand out, and the write that keeps it until then (seconds); its guard also says that the authorization lives. */
  refresh: { token: string; keep: (expires_at: number) => Write } | null
  /** What this spends, and the decision's row. Guards in it that fail run the grant type once more. */
  writes: readonly Write[]
}

/** RFC 6749 §5.1 and OpenID Connect Core §3.1.3.3. `expires_in` in seconds. */
export type TokenResponse = {
  access_token: string
  token_type: 'Bearer'
  issued_token_type?: string
  expires_in: number
  scope: string
  refresh_token?: string
  id_token?: string
}

/** Signs and commits. Throws GuardFailed where somebody else was first (nothing is issued then), `Unavailable` where the disk fails. */
export async function issueTokens(deps: Deps, policy: ActivePolicy, issuable: Issuable): Promise<TokenResponse> {
  const { authorization, client, principal, scopes, refresh, exchanged } = issuable
  const now = deps.now()
  const expires_in = Math.max(
    1,
    Math.min(
      issuable.limits.access_token_ttl ?? deps.config.lifetimes.access_token,
      Math.min(authorization.expires_at, exchanged?.until ?? authorization.expires_at) - now,
    ),
  )
  const access = makeAccessToken(deps, issuable.resource, accessTokenClaims(deps, issuable, now, expires_in))
  const id_token =
    principal?.kind === 'user' && scopes.includes('openid')
      ? deps.jwts.sign('JWT', client.id_token_alg, idTokenClaims(deps, policy, { ...issuable, principal }, now))
      : undefined

  const idle = issuable.limits.refresh_token_ttl ?? deps.config.lifetimes.refresh_token_idle
  const writes = [
    ...issuable.writes,
    refresh ? refresh.keep(Math.min(now + idle, authorization.expires_at)) : authorizationLives(authorization.id, now),
    ...(await lineageOf(deps, authorization)).flatMap(({ parent_id }) => (parent_id === null ? [] : authorizationLives(parent_id, now))),
    ...access.writes,
  ]
  if (client.stored && isUseDue(client.stored, now)) writes.push(clientUsed(client.client_id, now))
  await deps.store.commit(writes)
  deps.metrics.issued('access_token')
  if (refresh) deps.metrics.issued('refresh_token')
  if (id_token !== undefined) deps.metrics.issued('id_token')

  return {
    access_token: access.token,
    token_type: 'Bearer',
    ...(exchanged && { issued_token_type: exchanged.issued_token_type }),
    expires_in,
    scope: scopes.join(' '),
    ...(refresh && { refresh_token: refresh.token }),
    ...(id_token !== undefined && { id_token }),
  }
}

function accessTokenClaims(
  deps: Deps,
  { authorization, resource, client, scopes }: Issuable,
  now: number,
  expires_in: number,
): AccessTokenClaims {
  const act = exchangedOf(authorization)?.act
  return {
    iss: deps.config.issuer,
    exp: now + expires_in,
    aud: resource?.uri ?? deps.config.issuer,
    sub: subjectOf(authorization),
    iat: now,
    jti: jtiOf(authorization.id, deps.randomBytes),
    client_id: client.client_id,
    scope: scopes.join(' '),
    sid: authorization.id,
    ...(authorization.workload === null && { auth_time: authorization.auth_time }),
    ...(act && { act }),
    ...(resource?.may_act && { may_act: { sub: resource.may_act } }),
  }
}

/** OpenID Connect Core §2, with the claims of the granted scopes (§5.4). */
function idTokenClaims(
  deps: Deps,
  policy: ActivePolicy,
  { authorization, principal, client, scopes, claims, nonce }: Issuable & { principal: UserPrincipal },
  now: number,
): Claims {
  return {
    ...claimsOf(principal, { scopes, named: claims.id_token }, releasedTo(deps, policy, principal, client), deps.config),
    iss: deps.config.issuer,
    exp: now + deps.config.lifetimes.id_token,
    aud: client.client_id,
    sub: subjectOf(authorization),
    iat: now,
    sid: authorization.id,
    // RFC 8693 §4.2. At a refresh it may be less than the authorization has, and an exchange must not take the one for the other.
    scope: scopes.filter(isIdentityScope).join(' '),
    auth_time: authorization.auth_time,
    amr: authorization.amr.split(' '),
    acr: acrOf(authorization.amr),
    ...(nonce !== null && { nonce }),
  }
}

/** What the policy's `claims` grants let out about this person to this client. */
export function releasedTo(deps: Deps, policy: ActivePolicy, principal: UserPrincipal, client: Client): Pick<Limits, 'groups' | 'claims'> {
  const asked = { app: 'claims', principal, client: client.facts, resource: null } as const
  const verdict = timed(deps.trace, 'policy', () => evaluate(policy, asked, deps.now()))
  return verdict.allowed ? verdict.limits : { groups: [], claims: {} }
}
