import { orGiveBack } from '../client_auth/give_back.ts'
import { type Authenticated, authenticateClient } from '../client_auth/index.ts'
import type { Credentials } from '../client_auth/method.ts'
import { isPublic } from '../clients/client.ts'
import { recordDenial } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import { type Endpoint, formOf, json, type Reply } from '../http/endpoint.ts'
import { credentialsOf } from '../http/same_origin.ts'
import { OAuthError } from '../oauth/error.ts'
import { type Params, required } from '../oauth/parse.ts'
import { timed } from '../observe/trace.ts'
import { evaluate } from '../policy/index.ts'
import type { Authorization } from '../store/authorizations.ts'
import { lineageOf } from '../tokens/ancestors.ts'
import { subjectOf } from '../tokens/claims.ts'
import { liveScopes } from '../tokens/live_scopes.ts'
import { type ResolvedToken, resolveToken } from '../tokens/resolve.ts'
import { resourceByUri } from '../tokens/subject.ts'

/** RFC 7662. Answers only to clients that can prove themselves, and only about tokens that they may look at (§2.1, §4). */
export const introspect: Endpoint = {
  path: '/introspect',
  methods: ['POST'],
  cost: 'read',
  body: 'form',
  funnel: true,

  handle(deps, request) {
    const credentials = credentialsOf(deps, request)
    return orGiveBack(deps, credentials, () => looked(deps, formOf(request), credentials))
  },
}

async function looked(deps: Deps, params: Params, credentials: Credentials): Promise<Reply> {
  const policy = deps.policy()
  const caller = await authenticateClient(deps, policy, credentials, params)
  if (isPublic(caller.client))
    throw new OAuthError(
      'invalid_client',
      'A public client cannot look at tokens: introspection needs one with a credential (RFC 7662 §2.1).',
    )
  const token = await resolveToken(deps, required(params, 'token'))
  const look = token && (await mayLookAt(deps, policy, caller, token))
  if (!token || !look) return json({ active: false }) // §2.2: nothing more is said
  const answer = await introspected(deps, policy, token)
  if (!answer) return json({ active: false })
  return json(look.chain ? { ...answer, chain: await chainOf(deps, token.authorization) } : answer)
}

/**
 * A client looks at what was issued to itself; at access tokens of others where the policy gives it their resource. A server that is not given its own
 * sees nothing but dead tokens, so the row of that denial is where its admin learns why.
 */
async function mayLookAt(
  deps: Deps,
  policy: ActivePolicy,
  { client, node }: Authenticated,
  { kind, authorization }: ResolvedToken,
): Promise<{ chain: boolean } | null> {
  if (authorization.client_id === client.client_id) return { chain: false }
  const resource = authorization.resource === null ? undefined : resourceByUri(policy, authorization.resource)
  if (kind !== 'access_token' || !resource) return null
  const asked = { app: 'introspect', principal: node, client: client.facts, resource: resource.name } as const
  const verdict = timed(deps.trace, 'policy', () => evaluate(policy, asked, deps.now()))
  const facts = { entry: 'introspect', client_id: client.client_id, resource: resource.uri } as const
  if (verdict.allowed) return { chain: verdict.limits.chain }
  await recordDenial(deps, policy, node, facts, verdict.reason, [verdict.sentence, ...verdict.near].join(' '), asked)
  return null
}

/** How a token came about, for a server that the policy lets know: the sign-in first, then each exchange. Seconds. */
async function chainOf(deps: Deps, authorization: Authorization): Promise<object[]> {
  const chain = (await lineageOf(deps, authorization)).toReversed()
  return chain.map(({ id, client_id, resource, scopes, created_at, decision_id }) => ({
    sid: id,
    client_id,
    aud: resource ?? deps.config.issuer,
    scope: scopes,
    iat: created_at,
    decision_id,
  }))
}

/** RFC 7662 §2.2, of the token as it is worth now; undefined where it is worth nothing. */
async function introspected(deps: Deps, policy: ActivePolicy, token: ResolvedToken): Promise<object | undefined> {
  const { authorization } = token
  const asked = (token.kind === 'access_token' ? token.claims.scope : authorization.scopes).split(' ')
  const worth = await liveScopes(deps, policy, authorization, asked)
  if ('dead' in worth) {
    const facts = {
      entry: 'introspect',
      client_id: authorization.client_id,
      resource: authorization.resource,
      authorization_id: authorization.id,
    } as const
    const { principal, why, asked } = worth.dead
    await recordDenial(deps, policy, principal, { ...facts, detail: { login: authorization.login } }, why.reason, why.sentence, asked)
    return undefined
  }
  const { principal, scopes } = worth.live
  const common = {
    active: true,
    scope: scopes.join(' '),
    client_id: authorization.client_id,
    ...(principal?.kind === 'user' && { username: principal.login }),
    sub: subjectOf(authorization),
    iss: deps.config.issuer,
  }
  if (token.kind === 'refresh_token') return { ...common, iat: token.row.created_at, exp: token.row.expires_at }
  const { aud, exp, iat, jti, auth_time, act, may_act } = token.claims
  return { ...common, token_type: 'Bearer', aud, exp, iat, jti, auth_time, act, may_act }
}
