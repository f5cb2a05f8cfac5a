/**
 * Which authorizations a policy would not give, each judged as a refresh would judge it, but for the mesh: who somebody is, is what was last recorded of
 * them with a decision. In small steps, so that requests have their turn.
 */
import { setImmediate as breathe } from 'node:timers/promises'
import { type Client, isPublic } from '../clients/client.ts'
import { findKnownClient } from '../clients/find.ts'
import { appliedRow } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import { Unavailable } from '../oauth/error.ts'
import type { UserPrincipal } from '../oauth/principal.ts'
import { type Asked, askedAgain, evaluate, principalFrom } from '../policy/index.ts'
import { type Authorization, endAuthorization } from '../store/authorizations.ts'
import { forgetConsent } from '../store/consents.ts'
import { GuardFailed } from '../store/engine.ts'
import { whyNoActor } from '../tokens/exchanged.ts'
import { type Dead, dead, deadClient, deadResource, deadUnproven, type Live, worth } from '../tokens/live_scopes.ts'
import { resourceByUri } from '../tokens/subject.ts'

/** What a policy takes from one authorization; scopes separated by spaces. `keeps` is empty where it ends, null where nobody knows who its person is. */
export type Loss = {
  authorization: string
  login: string
  client_id: string
  resource: string | null
  loses: string
  keeps: string | null
  why: string
}

export type Losses = {
  /** How many authorizations live; how many of them end, lose only some of their scopes, and cannot be judged. */
  living: number
  end: number
  narrow: number
  unknown: number
  /** The first of all these. */
  losses: Loss[]
  more: boolean
}

const rowsAStep = 50
const decisionsAStep = 500
const mostRemembered = 10_000

/**
 * Looks at every authorization that lives; with `end`, those of which the policy gives nothing end, each in a commit with its audit row. Throws
 * `Unavailable` where the daemon stops meanwhile; what has ended by then has ended.
 * @param listed how many losses are told one by one
 */
export async function noLongerGiven(
  deps: Deps & { stopping: () => boolean },
  policy: ActivePolicy,
  { end, listed }: { end: boolean; listed: number },
): Promise<Losses> {
  const judge = await judgeOf(deps, policy)
  const found: Losses = { living: 0, end: 0, narrow: 0, unknown: 0, losses: [], more: false }
  const note = (loss: Loss) => {
    if (found.losses.length < listed) found.losses.push(loss)
    else found.more = true
  }

  async function settle(authorization: Authorization): Promise<void> {
    const { id, login, client_id, resource, scopes } = authorization
    const lossOf = (loses: string, keeps: string | null, why: string) => ({
      authorization: id,
      login,
      client_id,
      resource,
      loses,
      keeps,
      why,
    })
    const judged = await judge(authorization)
    if (judged === null) {
      found.unknown++
      note(lossOf('', null, 'No decision on record says who it is for.'))
    } else if ('dead' in judged) {
      if (end && !(await endNow(deps, policy, authorization, judged.dead))) return
      found.end++
      note(lossOf(scopes, '', judged.dead.why.sentence))
    } else {
      const lost = scopes.split(' ').filter((scope) => !judged.live.scopes.includes(scope))
      if (lost.length === 0) return
      found.narrow++
      note(lossOf(lost.join(' '), judged.live.scopes.join(' '), 'The other scopes are still given.'))
    }
  }

  await eachLiving(deps, async (rows) => {
    found.living += rows.length
    await Promise.all(rows.map(settle))
  })
  return found
}

async function eachLiving({ store, now, stopping }: Deps & { stopping: () => boolean }, step: (rows: Authorization[]) => Promise<void>) {
  const at = now()
  const next = (after: string) => store.authorizations.living(at, after, rowsAStep)
  for (let rows = await next(''); rows.length > 0; rows = await next(rows.at(-1)?.id ?? '~')) {
    if (stopping()) throw new Unavailable('The daemon is stopping, so not all authorizations were looked at. Say it again when it runs.')
    await step(rows)
    await breathe()
  }
}

/** Whether it was this that ended it: somebody may have been faster. */
async function endNow(deps: Deps, policy: ActivePolicy, authorization: Authorization, dead: Dead): Promise<boolean> {
  const ended = { ...endAuthorization(authorization.id, deps.now(), 'the policy no longer gives it (local:control)'), expect: 1 }
  const writes = [ended, forgetConsent(authorization), await appliedRow(deps, policy, authorization, dead)]
  return deps.store.commit(writes).then(
    () => true,
    (error: unknown) => {
      if (error instanceof GuardFailed) return false
      throw error
    },
  )
}

type Judged = { live: Pick<Live, 'scopes'> } | { dead: Dead }
type Judge = (authorization: Authorization) => Promise<Judged | null>

/** Judges one by one; null where nobody is on record for it. */
async function judgeOf(deps: Deps & { stopping: () => boolean }, policy: ActivePolicy): Promise<Judge> {
  const personOf = await recordedPeople(deps)
  const clients = new Map<string, Promise<Client | undefined>>()
  return async (authorization) => {
    const { client_id } = authorization
    if (!clients.has(client_id)) clients.set(client_id, findKnownClient(deps, policy, client_id))
    const client = await clients.get(client_id)
    if (!client) return deadClient(authorization)
    const resource = authorization.resource === null ? null : resourceByUri(policy, authorization.resource)
    if (resource === undefined) return deadResource(authorization)
    if (authorization.parent_id !== null || authorization.workload !== null)
      return isPublic(client) ? deadUnproven(authorization) : askedAnew(deps, policy, authorization)
    const principal = await personOf(authorization)
    return principal && worth(policy, authorization, { principal, client, resource, scopes: authorization.scopes.split(' ') }, deps.now())
  }
}

/** What was exchanged, and what a workload got for itself: the question of then, with whom it was about then. Null where it is not kept any more. */
async function askedAnew({ store, now }: Deps, policy: ActivePolicy, authorization: Authorization): Promise<Judged | null> {
  const { decision_id, resource, scopes } = authorization
  const { question, identity } = (decision_id !== null && (await store.decisions.find(decision_id))) || { question: null, identity: null }
  const record = identity === null ? undefined : await store.decisions.record(identity)
  if (question === null || (identity !== null && !record)) return null
  const principal = record ? principalFrom(record.body) : null
  const asked = { ...askedAgain(policy, { question, resource, principal }), scopes: scopes.split(' ') } as Asked
  const forbidden = asked.app === 'exchange' ? whyNoActor(policy.resources.get(asked.from), authorization) : undefined
  if (forbidden !== undefined) return dead('client', forbidden, principal)
  const verdict = evaluate(policy, asked, now())
  return verdict.allowed ? { live: verdict } : { dead: { why: verdict, principal, asked } }
}

const placeOf = ({ user_id, node_id }: { user_id: string; node_id: string }) => JSON.stringify([user_id, node_id])

/**
 * Who the people of all living authorizations are, as last recorded: of the person what was recorded last wherever they were, of the machine what was
 * recorded last of it. Goes back through the decisions until all are found.
 */
async function recordedPeople(deps: Deps & { stopping: () => boolean }) {
  const { decisions } = deps.store
  const wanted = new Set<string>()
  await eachLiving(deps, async (rows) => {
    for (const row of rows) if (row.parent_id === null && row.workload === null) wanted.add(placeOf(row))
  })

  const people = new Map<string, string>() // user_id → digest
  const machines = new Map<string, string>() // place → digest
  let before: { last_at: number; id: string } | null = null
  while (machines.size < wanted.size) {
    const rows: Awaited<ReturnType<typeof decisions.page>> = await decisions.page({ since: 0, before, limit: decisionsAStep })
    for (const { user_id, node_id, identity } of rows) {
      if (user_id === null || node_id === null || identity === null) continue
      if (!people.has(user_id)) people.set(user_id, identity)
      const place = placeOf({ user_id, node_id })
      if (wanted.has(place) && !machines.has(place)) machines.set(place, identity)
    }
    before = rows.at(-1) ?? null
    if (before === null) break
    await breathe()
  }

  const known = new Map<string, UserPrincipal | null>()
  async function recorded(digest: string): Promise<UserPrincipal | null> {
    let principal = known.get(digest)
    if (principal === undefined) {
      const body = (await decisions.record(digest))?.body
      const found = body === undefined ? null : principalFrom(body)
      principal = found?.kind === 'user' ? found : null
      if (known.size >= mostRemembered) known.clear()
      known.set(digest, principal)
    }
    return principal
  }

  return async (authorization: Authorization): Promise<UserPrincipal | null> => {
    const last = people.get(authorization.user_id)
    if (last === undefined) return null
    const [person, there] = await Promise.all([recorded(last), recorded(machines.get(placeOf(authorization)) ?? last)])
    return person && there && { ...person, node: there.node, address: there.address }
  }
}
