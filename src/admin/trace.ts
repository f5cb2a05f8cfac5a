/** What came of one sign-in, or of what a workload got for itself: the tree of its exchanges (RFC 8693), who acts in each, and what of it is still worth something. */
import { setImmediate as breathe } from 'node:timers/promises'
import { OAuthError, Unavailable } from '../oauth/error.ts'
import { type Authorization, endAuthorization, endExchanged } from '../store/authorizations.ts'
import { revokeToken } from '../store/revoked_tokens.ts'
import { authorizationOfJti } from '../tokens/access_token.ts'
import { lineageOf, livesWhole } from '../tokens/ancestors.ts'
import { subjectOf } from '../tokens/claims.ts'
import { exchangedOf } from '../tokens/exchanged.ts'
import { liveScopes } from '../tokens/live_scopes.ts'
import type { AdminDeps } from './actions.ts'

/** One authorization. Times in seconds; `worth`: its scopes that today's policy still gives, null where nobody can say now; `dead`: why it is. */
export type Traced = {
  authorization: string
  subject: string
  who: string
  client_id: string
  resource: string | null
  scopes: string
  acts: string | null
  /** The client whose `actor_token` was shown with it, and with which it ends. */
  actor_token_of: string | null
  depth: number
  decision: string | null
  created_at: number
  expires_at: number
  alive: boolean
  worth: string | null
  dead: string | null
  /** Whether this is what was asked about; `token`: the one token of it that was. */
  asked: boolean
  token: { jti: string; revoked: boolean } | null
  children: Traced[]
}

/** Of what is asked about, and of what is beside it: more is told in part. */
const mostTraced = 1000
const rowsAStep = 100
/** Of an access token, in seconds: no policy gives more. */
const longestLifetime = 86_400

type Found = { authorization: Authorization; jti: string | null }

/** What an id names: an authorization, or the `jti` of a token of one. Throws `not_found`. */
async function find({ store }: AdminDeps, id: string): Promise<Found> {
  const named = authorizationOfJti(id)
  const authorization = await store.authorizations.find(named ?? id)
  if (!authorization)
    throw new OAuthError(
      'not_found',
      `There is no authorization ${id}, and no token whose "jti" that is; what has ended is forgotten after some days. See: meshidp authorizations list`,
    )
  return { authorization, jti: named === undefined ? null : id }
}

/** The whole tree in which `id` is: always that itself, and what it descends from. `more`: whether there are branches that are not told. Throws `not_found`. */
export async function trace(deps: AdminDeps, id: string): Promise<{ tree: Traced; more: boolean }> {
  const found = await find(deps, id)
  const lineage = await lineageOf(deps, found.authorization)
  const line = new Set(lineage.map(({ id }) => id))
  const left = { below: mostTraced, beside: mostTraced }
  let more = false

  async function traced(one: Authorization, within: 'below' | 'beside'): Promise<Traced> {
    const exchanged = exchangedOf(one)
    const asked = one.id === found.authorization.id
    const part = asked ? 'below' : within
    left[part]--
    const children: Traced[] = []
    for await (const child of childrenOf(deps, one.id)) {
      if (left[part] > 0 || line.has(child.id)) children.push(await traced(child, part))
      else more = true
    }
    return {
      authorization: one.id,
      subject: subjectOf(one),
      who: one.login,
      client_id: one.client_id,
      resource: one.resource,
      scopes: one.scopes,
      acts: exchanged?.act?.sub ?? null,
      actor_token_of: exchanged?.other?.client_id ?? null,
      depth: exchanged?.depth ?? 0,
      decision: one.decision_id,
      created_at: one.created_at,
      expires_at: one.expires_at,
      ...(await standing(deps, one)),
      asked,
      token: asked && found.jti !== null ? { jti: found.jti, revoked: await deps.store.revokedTokens.has(found.jti) } : null,
      children,
    }
  }
  return { tree: await traced(lineage.at(-1) ?? found.authorization, 'beside'), more }
}

/** All children, a step at a time, so that requests have their turn. */
async function* childrenOf({ store }: AdminDeps, id: string): AsyncGenerator<Authorization> {
  for (let after = ''; ; ) {
    const rows = await store.authorizations.children(id, after, rowsAStep)
    yield* rows
    const last = rows.at(-1)
    if (!last || rows.length < rowsAStep) return
    after = last.id
    await breathe()
  }
}

/** Whether it lives by the store; and what it is worth by today's mesh and policy, where there is a daemon that can ask them. */
async function standing(deps: AdminDeps, one: Authorization): Promise<Pick<Traced, 'alive' | 'worth' | 'dead'>> {
  const now = deps.now()
  if (one.ended_at !== null) return { alive: false, worth: '', dead: `ended: ${one.end_reason ?? 'nobody wrote down why'}` }
  if (one.expires_at <= now) return { alive: false, worth: '', dead: 'expired' }
  if (!(await livesWhole(deps, one, now))) return { alive: false, worth: '', dead: 'what it was exchanged from has ended' }
  if (!deps.live) return { alive: true, worth: null, dead: null }
  try {
    const worth = await liveScopes(deps.live, deps.live.policy(), one, one.scopes.split(' '))
    if ('dead' in worth) return { alive: false, worth: '', dead: worth.dead.why.sentence }
    return { alive: true, worth: worth.live.scopes.join(' '), dead: null }
  } catch (thrown) {
    if (!(thrown instanceof Unavailable)) throw thrown
    return { alive: true, worth: null, dead: null }
  }
}

export type Ended = { authorization: string; who: string; client_id: string; resource: string | null; scopes: string }

/**
 * Ends what `id` names, and all that was exchanged from it: of an authorization everything, of a `jti` that token. `preview`: says what would end, and ends
 * nothing. Throws `not_found`.
 */
export async function revokeSubtree(deps: AdminDeps, id: string, preview: boolean) {
  const { authorization, jti } = await find(deps, id)
  const now = deps.now()
  const ended: Ended[] = []
  const reason = 'revoked by an admin (local:control)'
  const isLiving = (one: Authorization) => one.ended_at === null && one.expires_at > now
  const shown = ({ id, login, client_id, resource, scopes }: Authorization) => ({
    authorization: id,
    who: login,
    client_id,
    resource,
    scopes,
  })

  async function below(one: Authorization): Promise<void> {
    if (isLiving(one)) ended.push(shown(one))
    for await (const child of childrenOf(deps, one.id)) await below(child)
  }
  if (jti === null) await below(authorization)
  else for await (const child of childrenOf(deps, authorization.id)) if (child.subject_jti === jti) await below(child)
  if (preview) return { preview, revoked: id, ended }

  // The uppermost first: with it all others are dead, whatever comes between.
  await deps.store.commit(
    jti === null
      ? [endAuthorization(authorization.id, now, reason)]
      : [revokeToken(jti, Math.min(authorization.expires_at, now + longestLifetime)), endExchanged(authorization.id, jti, now, reason)],
  )
  for (let at = 0; at < ended.length; at += rowsAStep)
    await deps.store.commit(ended.slice(at, at + rowsAStep).map((one) => endAuthorization(one.authorization, now, reason)))
  return { preview, revoked: id, ended }
}
