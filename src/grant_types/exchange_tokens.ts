/** The tokens that an exchange is shown: whose they are, and what they say (RFC 8693 §2.1, §3). */
import type { Client } from '../clients/client.ts'
import type { Deps } from '../deps.ts'
import { OAuthError } from '../oauth/error.ts'
import { optional, required } from '../oauth/parse.ts'
import type { Principal } from '../oauth/principal.ts'
import { quoted } from '../oauth/shown_text.ts'
import type { Denied } from '../policy/index.ts'
import type { Authorization } from '../store/authorizations.ts'
import { livesWhole } from '../tokens/ancestors.ts'
import type { Actor } from '../tokens/exchanged.ts'
import { liveScopes } from '../tokens/live_scopes.ts'
import { resolveAccessToken } from '../tokens/resolve.ts'
import type { TokenRequest } from './index.ts'

export const tokenType = (name: string) => `urn:ietf:params:oauth:token-type:${name}`

/** What a subject token comes to. `jti`: null for an ID token. `exp`: seconds. */
export type SubjectToken = {
  authorization: Authorization
  jti: string | null
  scopes: readonly string[]
  exp: number
  /** The one client that it lets act (RFC 8693 §4.4); null for whoever the policy lets. */
  may_act: string | null
}

type Reader = (deps: Deps, client: Client, token: string) => Promise<SubjectToken | undefined>

async function accessToken(deps: Deps, _client: Client, token: string): Promise<SubjectToken | undefined> {
  const found = await resolveAccessToken(deps, token)
  if (!found) return undefined
  const { claims, authorization } = found
  return { authorization, jti: claims.jti, scopes: claims.scope.split(' '), exp: claims.exp, may_act: claims.may_act?.sub ?? null }
}

/** An ID token is worth something in the hands of the client that it was issued to, and holds the identity scopes that it says. */
async function idToken(deps: Deps, client: Client, token: string): Promise<SubjectToken | undefined> {
  const claims = deps.jwts.open('JWT', token) as { iss: string; aud: string; exp: number; sid: string; scope?: string } | undefined
  const now = deps.now()
  if (!claims || claims.iss !== deps.config.issuer || claims.aud !== client.client_id || claims.exp <= now) return undefined
  const authorization = await deps.store.authorizations.find(claims.sid)
  if (authorization?.client_id !== client.client_id || !(await livesWhole(deps, authorization, now))) return undefined
  const scopes = (claims.scope ?? 'openid').split(' ') // one from before they said it
  return { authorization, jti: null, scopes, exp: claims.exp, may_act: null }
}

/** What each type of `subject_token_type` is read by; a token that is not of the type that it is said to be is none (RFC 8693 §3). */
const subjectTypes = new Map<string, Reader>([
  [tokenType('access_token'), accessToken],
  [
    tokenType('jwt'),
    async (deps, client, token) => (token.includes('.') && token.startsWith('ey') ? accessToken(deps, client, token) : undefined),
  ],
  [tokenType('id_token'), idToken],
])

const refuse = (sentence: string) => new OAuthError('invalid_request', sentence)

const unsupported = (name: string, value: string, known: Iterable<string>) =>
  refuse(`The ${name} ${quoted(value, 100)} is not supported. Use ${[...known].join(' or ')}.`)

/** For whom the new token shall speak. Throws `invalid_request` (RFC 8693 §2.2.2). */
export async function subjectTokenOf(deps: Deps, { client, params }: TokenRequest): Promise<SubjectToken> {
  const token = required(params, 'subject_token')
  const type = required(params, 'subject_token_type')
  const read = subjectTypes.get(type)
  if (!read) throw unsupported('subject_token_type', type, subjectTypes.keys())
  const found = await read(deps, client, token)
  if (!found) throw refuse('The subject_token is not a living token of this server, or not of the type that it is said to be.')
  return found
}

/** How a request is refused once it is known what it is about: the denial is on disk before it is thrown. */
export type Refuse = (reason: Denied['reason'], sentence: string, principal?: Principal | null) => Promise<OAuthError>

/** The other client, the tagged machine that it is proven by, and its token: which authorization that is of, its name, and its end in seconds. */
export type ShownActor = Actor & { authorization: Authorization; jti: string; exp: number }

/**
 * The other client that acted before this one, where the request shows an `actor_token` of it: an access token that it got for itself, for the very server
 * that the subject token `shown` is for, and that is worth something today. Every server has its callers' tokens: so one for elsewhere says nothing about who
 * called here, and none makes its bearer that caller. Null where there is none, or it is the client's own. Throws `invalid_request` (RFC 8693 §2.1).
 */
export async function otherActorOf(
  deps: Deps,
  { policy, client, params }: TokenRequest,
  shown: SubjectToken,
  denied: Refuse,
): Promise<ShownActor | null> {
  const token = optional(params, 'actor_token')
  const type = optional(params, 'actor_token_type')
  if ((token === undefined) !== (type === undefined)) throw refuse('actor_token and actor_token_type go together (RFC 8693 §2.1).')
  if (token === undefined) return null
  if (type !== tokenType('access_token')) throw unsupported('actor_token_type', type ?? '', [tokenType('access_token')])
  const found = await resolveAccessToken(deps, token)
  if (!found) throw refuse('The actor_token is not a living access token of this server.')
  const { workload, parent_id } = found.authorization
  if (workload === null || parent_id !== null)
    throw refuse('The actor_token speaks for somebody else. It must be one that a client got for itself, by client_credentials.')
  const actor = await liveScopes(deps, policy, found.authorization, found.claims.scope.split(' '))
  if ('dead' in actor) throw await denied(actor.dead.why.reason, `The actor_token is worth nothing now. ${actor.dead.why.sentence}`)
  if (workload === client.client_id) return null
  if (shown.jti === null || found.authorization.resource !== shown.authorization.resource)
    throw refuse('The actor_token is for another server than the subject_token. Both must be for the one that the exchange leads from.')
  const { client: other, principal } = actor.live
  const { jti, exp } = found.claims
  return { client: other, node: principal?.kind === 'node' ? principal : null, authorization: found.authorization, jti, exp }
}
