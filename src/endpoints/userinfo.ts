import { admitFromInternet, recordDenial } from '../decide.ts'
import { bearerError, bearerOf, type Endpoint, json } from '../http/endpoint.ts'
import { credentialsOf } from '../http/same_origin.ts'
import { claimsOf, subjectOf } from '../tokens/claims.ts'
import { releasedTo } from '../tokens/issue.ts'
import { liveScopes } from '../tokens/live_scopes.ts'
import { resolveAccessToken } from '../tokens/resolve.ts'

/** OpenID Connect Core §5.3: today's claims of today's person, for a token that is for this very server. */
export const userinfo: Endpoint = {
  path: '/userinfo',
  methods: ['GET', 'POST'],
  cost: 'read',
  body: 'form',
  funnel: true,
  cors: 'anyone',

  async handle(deps, request) {
    const text = readBearer(request)
    const policy = deps.policy()
    const token = await resolveAccessToken(deps, text)
    if (!token) throw bearerError('invalid_token', 'This access token is not known here, or it has ended.')
    const { claims, authorization } = token
    if (claims.aud !== deps.config.issuer) throw bearerError('invalid_token', `This access token is for ${claims.aud}, not for userinfo.`)
    const scopes = claims.scope.split(' ')
    if (!scopes.includes('openid')) throw bearerError('insufficient_scope', 'Userinfo needs the scope openid.', { scope: 'openid' })

    const worth = await liveScopes(deps, policy, authorization, scopes)
    if ('dead' in worth) {
      const { principal, why, asked } = worth.dead
      const facts = { entry: 'userinfo', client_id: authorization.client_id, authorization_id: authorization.id } as const
      const detail = { login: authorization.login }
      const id = await recordDenial(deps, policy, principal, { ...facts, detail }, why.reason, why.sentence, asked)
      throw bearerError('invalid_token', `${why.sentence} Decision ${id}.`)
    }
    const { principal, client, scopes: granted, claims: requested } = worth.live
    if (credentialsOf(deps, request).funnelled) await admitFromInternet(deps, policy, client)
    if (principal?.kind !== 'user') throw bearerError('invalid_token', 'This access token speaks for no person.')
    return json({
      ...claimsOf(principal, { scopes: granted, named: requested.userinfo }, releasedTo(deps, policy, principal, client), deps.config),
      sub: subjectOf(authorization),
    })
  },
}

/** RFC 6750 §2.1; a token in the body or the query is not looked at. Throws the bare challenge where there is none (§3.1). */
function readBearer(request: Parameters<typeof bearerOf>[0]): string {
  const token = bearerOf(request)
  if (token === undefined)
    throw bearerError('invalid_token', 'Send the access token in the Authorization header, as a bearer token.', { bare: true })
  return token
}
