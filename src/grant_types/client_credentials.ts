import { isPublic } from '../clients/client.ts'
import { decide } from '../decide.ts'
import { OAuthError } from '../oauth/error.ts'
import { freshly, insertAuthorization } from '../store/authorizations.ts'
import { noClaims } from '../tokens/requested_claims.ts'
import type { GrantType } from './index.ts'
import { refuseDropped, scopesAsked, targetOf } from './target.ts'

/** RFC 6749 §4.4: a token of a workload's own. No refresh token (§4.4.3): it can ask again. */
export const client_credentials: GrantType = {
  async authorize(deps, { policy, client, node, params, now }) {
    if (isPublic(client))
      throw new OAuthError(
        'unauthorized_client',
        'A public client gets no tokens of its own: anybody could say that they are it (RFC 6749 §4.4).',
      )
    const resource = targetOf(policy, client, params)
    const { client_id } = client
    const id = deps.newId()
    const asked = {
      app: 'client_credentials',
      principal: node,
      client: client.facts,
      resource: resource.name,
      scopes: scopesAsked(params),
    } as const
    const facts = { entry: 'client_credentials', client_id, resource: resource.uri } as const
    const { verdict, decision_id, writes } = await decide(deps, policy, asked, facts, { authorization_id: id })
    await refuseDropped(deps, policy, asked, facts, verdict)
    const lifetime = verdict.limits.access_token_ttl ?? deps.config.lifetimes.access_token
    const authorization = {
      id,
      client_id,
      user_id: '',
      login: client_id,
      node_id: node?.node.id ?? '',
      address: node?.address ?? '',
      bind: 'user' as const,
      resource: resource.uri,
      scopes: verdict.scopes.join(' '),
      auth_time: now,
      amr: 'mesh' as const,
      claims: null,
      created_at: now,
      expires_at: now + lifetime,
      ...freshly,
      workload: client_id,
      parent_id: null,
      subject_jti: null,
      exchange: null,
      decision_id,
    }
    return {
      authorization,
      principal: node,
      client,
      resource,
      scopes: verdict.scopes,
      claims: noClaims,
      limits: verdict.limits,
      nonce: null,
      refresh: null,
      writes: [insertAuthorization(authorization, client.stored !== null), ...writes],
    }
  },
}
