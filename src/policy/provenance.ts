/** Why an answer is yes: which grants gave it, by which of their selectors, and who says so. For `explain`; nothing is decided here. */
import type { Principal } from '../oauth/principal.ts'
import type { Policy } from './policy.ts'
import { missingPosture } from './posture.ts'
import { groupSources, principalKeys, workloadKeys } from './principal_keys.ts'
import type { Engine, Grant } from './rules.ts'
import type { Selector } from './selector.ts'
import type { Allowed, Asked } from './verdict.ts'

/** One sentence for each grant that gave it: who of its `src` the caller is, and for groups and posture where that is known from. */
export function because(policy: Policy, asked: Asked, { grants, mesh_grants }: Allowed): string[] {
  const engine = policy.compiled as Engine
  const { principal } = asked
  const isWorkload = asked.app === 'client_credentials' || asked.app === 'introspect'
  const keys = new Set(isWorkload ? workloadKeys(engine, principal, asked.client) : principal && principalKeys(engine, principal))
  const said = (grant: Grant) => {
    const who = grant.src.filter(({ key }) => keys.has(key)).map((selector) => inWords(engine, principal, selector))
    const where = missingPosture(grant.posture, null).map((wanted) => `from a node ${wanted}`)
    return `Grant ${grant.index + 1}: ${[...who, ...where].join(', ')}.`
  }
  return [
    ...grants.flatMap((index) => engine.grants[index] ?? []).map(said),
    ...mesh_grants.map(
      (index) => `Entry ${index + 1} of ${engine.mesh?.capability} in the tailnet policy: the mesh gives it to this caller.`,
    ),
  ]
}

function inWords(engine: Engine, principal: Principal | null, { kind, text }: Selector): string {
  if (kind === 'people') return 'a person of this tailnet'
  if (kind === 'tagged') return 'a tagged node'
  if (kind === 'group' && principal) return `in ${text} (${groupSources(engine.groups, principal, text).join(' and ')})`
  return kind === 'address' ? `calling from ${text}` : text
}
