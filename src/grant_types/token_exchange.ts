import { isPublic } from '../clients/client.ts'
import { decide, recordDenial } from '../decide.ts'
import { OAuthError } from '../oauth/error.ts'
import { optional } from '../oauth/parse.ts'
import { type Authorization, freshly, insertAuthorization, subjectLives } from '../store/authorizations.ts'
import type { Act } from '../tokens/access_token.ts'
import { type Exchanged, exchangeAsked, exchangedOf, placeOf, whyNoActor } from '../tokens/exchanged.ts'
import { liveScopes } from '../tokens/live_scopes.ts'
import { noClaims } from '../tokens/requested_claims.ts'
import { otherActorOf, type Refuse, subjectTokenOf, tokenType } from './exchange_tokens.ts'
import { newFamily } from './family.ts'
import type { GrantType } from './index.ts'
import { refuseDropped, scopesAsked, targetOf } from './target.ts'

/** What can be asked for (RFC 8693 §2.1). */
const requestable = new Set([tokenType('access_token')])

/**
 * RFC 8693: a token for one resource becomes one for another, which says for whom it speaks and who acts. Only an edge of the policy allows it, asked of
 * today's policy, people and machines; and the new authorization is a child of the one that the shown token came from.
 */
export const token_exchange: GrantType = {
  async authorize(deps, request) {
    const { policy, client, node, params, now } = request
    if (isPublic(client))
      throw new OAuthError('unauthorized_client', 'A public client exchanges no tokens: anybody could say that they are it (RFC 8693 §5).')
    const requested = optional(params, 'requested_token_type') ?? tokenType('access_token')
    if (!requestable.has(requested))
      throw new OAuthError('invalid_request', `The requested_token_type is not supported. Use ${[...requestable].join(' or ')}.`)
    const shown = await subjectTokenOf(deps, request)
    const resource = targetOf(policy, client, params)
    const { authorization: parent } = shown
    const facts = { entry: 'token_exchange', client_id: client.client_id, resource: resource.uri, authorization_id: parent.id } as const
    const denied: Refuse = async (reason, sentence, principal = null) => {
      const decision_id = await recordDenial(deps, policy, principal, { ...facts, detail: { login: parent.login } }, reason, sentence)
      return new OAuthError('invalid_request', `${sentence} Mention decision ${decision_id} to an admin.`, { decision_id })
    }

    const other = await otherActorOf(deps, request, shown, denied)
    const subject = await liveScopes(deps, policy, parent, shown.scopes)
    if ('dead' in subject) throw await denied(subject.dead.why.reason, subject.dead.why.sentence, subject.dead.principal)
    const { principal } = subject.live
    if (shown.may_act !== null && shown.may_act !== client.client_id)
      throw await denied('client', `This subject_token lets ${shown.may_act} act, and nobody else (RFC 8693 §4.4).`, principal)
    const isIdToken = shown.jti === null
    const forbidden = whyNoActor(isIdToken ? null : subject.live.resource, client)
    if (forbidden !== undefined) throw await denied('client', forbidden, principal)

    const before = exchangedOf(parent)
    const depth = (before?.depth ?? 0) + 1
    const impersonate = optional(params, 'impersonate') === 'true'
    const wanted = { resource, scopes: scopesAsked(params), depth, impersonate }
    const asked = exchangeAsked(subject.live, isIdToken, { client, node, other }, wanted)
    if (!asked) throw await denied('from', 'This subject_token is for this server itself, and no exchange leads from there.', principal)

    const id = deps.newId()
    const act = impersonate ? (before?.act ?? null) : actOf([client.client_id, ...(other ? [other.client.client_id] : [])], before?.act)
    const detail = { login: parent.login, from: parent.id, depth, ...(act && { act }) }
    const { verdict, decision_id, writes } = await decide(deps, policy, asked, facts, { authorization_id: id, detail })
    await refuseDropped(deps, policy, asked, facts, verdict)

    const { limits } = verdict
    if (limits.bind === 'node' && principal?.node.id !== parent.node_id)
      throw await denied(
        'identity',
        `The policy binds this to the machine on which ${parent.login} signed in, and that is gone.`,
        principal,
      )
    const refreshes = limits.refresh_token && client.grant_types.includes('refresh_token')
    const exchanged: Exchanged = {
      held: shown.scopes,
      depth,
      impersonate,
      node: node && placeOf(node),
      other: other && { client_id: other.client.client_id, jti: other.jti },
      act,
    }
    const until = Math.min(shown.exp, other?.exp ?? shown.exp)
    const authorization: Authorization = {
      ...parent,
      ...freshly,
      id,
      client_id: client.client_id,
      bind: parent.bind === 'node' ? 'node' : limits.bind,
      resource: resource.uri,
      scopes: verdict.scopes.join(' '),
      claims: null,
      created_at: now,
      expires_at: Math.min(parent.expires_at, refreshes ? (other?.exp ?? parent.expires_at) : until),
      parent_id: parent.id,
      subject_jti: shown.jti,
      exchange: JSON.stringify(exchanged),
      decision_id,
    }
    return {
      authorization,
      principal,
      client,
      resource,
      scopes: verdict.scopes,
      claims: noClaims,
      limits,
      nonce: null,
      exchanged: { issued_token_type: requested, until },
      refresh: refreshes ? newFamily(deps, id) : null,
      writes: [
        subjectLives(parent.id, shown.jti, now),
        ...(other ? [subjectLives(other.authorization.id, other.jti, now)] : []),
        insertAuthorization(authorization, client.stored !== null),
        ...writes,
      ],
    }
  },
}

/** RFC 8693 §4.1: who acts, the nearest first. The client that asks always is: no token that it shows stands before it. */
const actOf = (clients: readonly string[], before: Act | null | undefined): Act | null =>
  clients.reduceRight<Act | null>((act, sub) => ({ sub, ...(act && { act }) }), before ?? null)
