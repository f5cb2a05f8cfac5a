/** Removes what has ended, in small steps, so that nobody waits for it. */
import { performance } from 'node:perf_hooks'
import { isOfPolicy } from './clients/find.ts'
import type { Deps } from './deps.ts'
import { allInWords } from './load_policy.ts'
import { expiryWarnings } from './policy/index.ts'
import { type Rounds, startRounds } from './rounds.ts'
import { deleteClient, deleteUnusedClient, forgetClient } from './store/clients.ts'
import { neverRedeemed } from './store/codes.ts'
import { type PruneRule, pruneExpired } from './store/prune.ts'
import { registrantFound, registrantMissing, stillMissing } from './store/registrants.ts'

const tenMinutes = 600
const anHour = 3600
const aDay = 86_400
/** After more than a year a person is somebody new, and is asked again. */
const longAgo = 400 * aDay

/**
 * What is over, and may be forgotten. Nothing is deleted while it could still be needed to refuse a second use: code and refresh token go with their
 * authorization.
 */
export const rulesOf = ({ config: { lifetimes } }: Deps): PruneRule[] => [
  { table: 'tickets', key: 'digest', where: `expires_at <= $now - ${aDay}` },
  { table: 'access_tokens', key: 'authorization_id, digest', where: `expires_at <= $now - ${anHour}` },
  { table: 'initial_access_tokens', key: 'id', where: `expires_at <= $now - ${7 * aDay}` },
  { table: 'client_assertions', key: 'client_id, jti', where: `expires_at <= $now - ${tenMinutes}` },
  { table: 'revoked_tokens', key: 'jti', where: `expires_at <= $now - ${aDay}` },
  { table: 'authorizations', key: 'id', where: `expires_at <= $now - ${aDay}`, limit: 50 },
  // Machines make as many as they like, each for minutes.
  { table: 'authorizations', key: 'id', where: `expires_at <= $now - ${anHour} AND (parent_id IS NOT NULL OR workload IS NOT NULL)` },
  { table: 'authorizations', key: 'id', where: `id IN (${neverRedeemed(tenMinutes)})`, limit: 50 },
  { table: 'authorizations', key: 'id', where: `ended_at <= $now - ${7 * aDay}`, limit: 50 },
  { table: 'decisions', key: 'id', where: `last_at <= $now - ${lifetimes.decisions}` },
  // A record is written down again each day that it is used, so no decision that is kept names one of these.
  { table: 'records', key: 'digest', where: `used_at <= $now - ${lifetimes.decisions + 2 * aDay}` },
  { table: 'auth_times', key: 'user_id, node_id', where: `auth_time <= $now - ${longAgo}` },
  { table: 'consents', key: 'user_id, client_id, resource', where: `agreed_at <= $now - ${longAgo}` },
  { table: 'registrants', key: 'owner', where: 'clients = 0' },
]

const mostAtOnce = 50

/**
 * Software that nobody used for its `client_ttl` goes as if it were deleted: its authorizations end, and what people agreed to is forgotten. Not so where an
 * admin has named it in the policy since: then only its old registration goes.
 */
export async function deleteUnused(deps: Deps): Promise<void> {
  const now = deps.now()
  const policy = deps.policy()
  let due: readonly string[]
  do {
    due = await deps.store.clients.unused(now, mostAtOnce)
    for (const client_id of due)
      await deps.store.commit(isOfPolicy(policy, client_id) ? [forgetClient(client_id)] : deleteUnusedClient(client_id, now))
  } while (due.length === mostAtOnce)
}

/**
 * Software falls with whoever brought it: when no machine of theirs has been in the mesh for `removal_grace`, it goes as if it were deleted. Throws
 * `Unavailable` while the mesh is dark, which says nothing about anybody.
 */
export async function deleteOrphans(deps: Deps): Promise<void> {
  const now = deps.now()
  const policy = deps.policy()
  const everybody = await deps.identity.everybody()
  let after = ''
  for (;;) {
    const registrants = await deps.store.registrants.list(after, mostAtOnce)
    for (const { owner, missing_since } of registrants) {
      if (everybody.has(owner)) {
        if (missing_since !== null) await deps.store.commit([registrantFound(owner)])
      } else if (missing_since === null || missing_since > now) await deps.store.commit([registrantMissing(owner, now)])
      else if (missing_since <= now - deps.config.lifetimes.removal_grace)
        for (const client_id of await deps.store.clients.ofOwner(owner, mostAtOnce))
          await deps.store.commit([
            stillMissing(owner, missing_since),
            ...(isOfPolicy(policy, client_id)
              ? [forgetClient(client_id)]
              : deleteClient(client_id, now, 'whoever registered its client is gone from the mesh')),
          ])
    }
    const last = registrants.at(-1)
    if (registrants.length < mostAtOnce || !last) return
    after = last.owner
  }
}

/** A grant that ends while the daemon runs is spoken of too, each day from 30 days before. */
export function tellOfExpiry({ log, config, policy, now }: Pick<Deps, 'log' | 'config' | 'policy' | 'now'>): void {
  const warnings = expiryWarnings(policy(), now())
  if (warnings.length > 0) log.warn({ policy: policy().hash }, allInWords(config.policy_file, warnings))
}

/** Keys come and go with time; what has happened is logged. */
async function tendKeys({ keys, log }: Deps): Promise<void> {
  try {
    const { made, removed } = await keys.tend(performance.now() / 1000)
    for (const kid of made) log.info({ kid }, `key ${kid} is published; it will sign. See: meshidp keys list`)
    for (const kid of removed) log.info({ kid }, `key ${kid} is gone: all that it signed is dead`)
  } catch (error) {
    log.warn({ err: error }, 'the keys could not be changed as it is time to; trying again in a minute')
  }
}

/** Every minute, until stopped; stopped it is when the last round is over. Failures are logged; the next minute tries again. */
export function startJanitor(deps: Deps, every = 60_000): Rounds {
  let looked = Number.NEGATIVE_INFINITY
  let told = performance.now() // the policy was loaded just now
  async function clean(): Promise<void> {
    await tendKeys(deps)
    if (!deps.isClockSure()) return // one that was set to a wrong time would have everything removed
    try {
      const mono = performance.now()
      if (mono - told >= aDay * 1000) {
        tellOfExpiry(deps)
        told = mono
      }
      const pruned = await pruneExpired(deps.store.engine, rulesOf(deps), deps.now())
      if (pruned > 0) deps.log.debug({ pruned }, 'removed what has ended')
      await deleteUnused(deps)
      if (mono - looked >= anHour * 1000) {
        await deleteOrphans(deps)
        looked = mono
      }
    } catch (error) {
      deps.log.warn({ err: error }, 'could not remove what has ended; trying again in a minute')
    }
  }
  return startRounds(every, clean)
}
