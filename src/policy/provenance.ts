/** Why an answer is yes: which grants gave it, by which of their selectors, and who says so. For `explain`; nothing is decided here. */

import { type Hujson, type Place, readHujson } from '../hujson/read.ts'
import type { Principal } from '../oauth/principal.ts'
import { meshGrantsOf } from './mesh_grants.ts'
import type { Policy } from './policy.ts'
import { missingPosture } from './posture.ts'
import { groupSources, principalKeys, workloadKeys } from './principal_keys.ts'
import type { Engine, Grant } from './rules.ts'
import type { Selector } from './selector.ts'
import type { Allowed, Asked } from './verdict.ts'

/**
 * A grant that gave it. `grant`: what it is called; `place`: where it stands, null where the mesh sent it; `because`: who of its `src` the caller
 * is, and for groups and posture where that is known from; `expires`: when it ends, in seconds; `reason`: what it says of itself.
 */
export type Giver = { grant: string; place: Place | null; because: string; expires: number | null; reason: string | null }

/** The grants that gave it, in the order of the verdict. */
export function giversOf(policy: Policy, asked: Asked, { grants, mesh_grants }: Allowed): Giver[] {
  const engine = policy.compiled as Engine
  const { principal } = asked
  const isWorkload = asked.app === 'client_credentials' || asked.app === 'introspect' || asked.app === 'funnel'
  const workload = isWorkload ? asked.client : asked.app === 'exchange' ? (asked.subject ?? null) : null
  const isPerson = principal?.kind === 'user' || (principal && !workload)
  const keys = new Set(isPerson && !isWorkload ? principalKeys(engine, principal) : workloadKeys(engine, principal, workload))
  const giver = (grant: Grant, place: Place | null, who: readonly string[]): Giver => {
    const where = missingPosture(grant.posture, null).map((wanted) => `from a node ${wanted}`)
    return { grant: grant.label, place, because: [...who, ...where].join(', '), expires: grant.expires, reason: grant.reason }
  }
  const ofFile = (grant: Grant): Giver => {
    const who = grant.src.filter(({ key }) => keys.has(key)).map((selector) => inWords(engine, principal, selector))
    return giver(grant, placeOfGrant(policy, grant.index), who)
  }
  const own = meshGrantsOf(engine, principal)?.grants
  return [
    ...grants.flatMap((index) => engine.grants[index] ?? []).map(ofFile),
    ...mesh_grants.flatMap((index) => own?.get(index) ?? []).map((grant) => giver(grant, null, ['the mesh gives it to this caller'])),
  ]
}

const readers = new WeakMap<Policy, Hujson | null>()

/** Where a grant of the file stands. */
export function placeOfGrant(policy: Policy, index: number): Place | null {
  let hujson = readers.get(policy)
  if (hujson === undefined) {
    const read = readHujson(policy.text)
    hujson = read.ok ? read.hujson : null
    readers.set(policy, hujson)
  }
  return hujson?.place(['grants', index]) ?? null
}

function inWords(engine: Engine, principal: Principal | null, { kind, text }: Selector): string {
  if (kind === 'people') return 'a person of this tailnet'
  if (kind === 'tagged') return 'a tagged node'
  if (kind === 'group' && principal) return `in ${text} (${groupSources(engine.groups, principal, text).join(' and ')})`
  return kind === 'address' ? `calling from ${text}` : text
}
