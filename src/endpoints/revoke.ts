import { orGiveBack } from '../client_auth/give_back.ts'
import { authenticateClient } from '../client_auth/index.ts'
import type { Credentials } from '../client_auth/method.ts'
import type { Deps } from '../deps.ts'
import { type Endpoint, formOf, type Reply } from '../http/endpoint.ts'
import { credentialsOf } from '../http/same_origin.ts'
import { type Params, required } from '../oauth/parse.ts'
import { familyOf } from '../oauth/secret.ts'
import { endAuthorization, endExchanged } from '../store/authorizations.ts'
import { revokeToken } from '../store/revoked_tokens.ts'
import { readAccessToken } from '../tokens/access_token.ts'

const done: Reply = { status: 200, headers: { 'cache-control': 'no-store' }, body: '' }

/**
 * RFC 7009. A refresh token ends its whole authorization, spent or not (§2.1); an access token itself, and what it was exchanged
 * for (RFC 8693), also when it has expired. What is not the client's own, or not known, is answered with 200 and left alone (§2.2). The mesh is not asked, but for who a client is that is proven by its machine: so this works while it is dark.
 */
export const revoke: Endpoint = {
  path: '/revoke',
  methods: ['POST'],
  cost: 'first',
  body: 'form',
  funnel: true,
  cors: 'anyone',

  handle(deps, request) {
    const credentials = credentialsOf(deps, request)
    return orGiveBack(deps, credentials, () => revoked(deps, formOf(request), credentials))
  },
}

async function revoked(deps: Deps, params: Params, credentials: Credentials): Promise<Reply> {
  const { client } = await authenticateClient(deps, deps.policy(), credentials, params)
  const token = required(params, 'token')
  const now = deps.now()
  const family = familyOf(token, deps.keys.succession)
  if (family !== undefined) {
    const authorization = await deps.store.authorizations.find(family)
    if (authorization?.client_id === client.client_id)
      await deps.store.commit([endAuthorization(authorization.id, now, 'revoked by its client')])
    return done
  }
  const claims = await readAccessToken(deps, token)
  if (claims?.client_id === client.client_id)
    await deps.store.commit([
      // One that has expired is dead by itself; what it was exchanged for may go on without it.
      ...(claims.exp > now ? [revokeToken(claims.jti, claims.exp)] : []),
      endExchanged(claims.sid, claims.jti, now, 'the token that it was exchanged for was revoked by its client'),
    ])
  return done
}
