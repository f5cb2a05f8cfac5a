/** What a caller can be looked up by: the keys of all selectors that match them. */
import type { Principal } from '../oauth/principal.ts'
import { isOneOf, parseSpiffeId } from '../oauth/spiffe_id.ts'
import { networkOf } from './address.ts'
import type { Groups } from './groups.ts'
import type { Engine } from './rules.ts'
import { addressKey, callerKey, clientKey, domainKey, groupKey, loginKey, peopleKey, taggedKey, tagKey } from './selector.ts'

/** Keys of a person or of a tagged node; of a tagged node none that a person could have, but for its address. */
export function principalKeys(engine: Engine, principal: Principal): string[] {
  const keys =
    principal.kind === 'user' ? [callerKey, peopleKey, loginKey(principal.login)] : [callerKey, taggedKey, ...principal.tags.map(tagKey)]
  if (principal.kind === 'user') {
    const at = principal.login.lastIndexOf('@')
    if (at >= 0) keys.push(domainKey(principal.login.slice(at + 1)))
    for (const group of groupsOf(engine.groups, principal)) keys.push(groupKey(group))
  }
  for (const prefix of engine.prefixes) {
    const network = networkOf(principal.address, prefix)
    if (network !== null) keys.push(addressKey(network))
  }
  return keys
}

/** Keys of what asks for itself: a client of the file, a tagged node, a SPIFFE workload. A person doesn't count here. */
export function workloadKeys(
  engine: Engine,
  principal: Principal | null,
  client: { name: string | null; spiffe_id?: string } | null,
): string[] {
  const keys = principal?.kind === 'node' ? principalKeys(engine, principal) : []
  if (client?.name && engine.clients.has(client.name)) keys.push(clientKey(client.name))
  const id = client?.spiffe_id === undefined ? undefined : parseSpiffeId(client.spiffe_id)
  if (id) keys.push(...engine.workloads.filter(({ pattern }) => isOneOf(id, pattern)).map(({ key }) => key))
  return keys
}

/**
 * The groups that a principal is in: by the file, by what the control plane shows, and by groups of the file that hold either. Unknown
 * groups (null) add none. The mesh may say "eng@example.com" for what policies write as "group:eng@example.com".
 */
export function groupsOf(groups: Groups, principal: Principal): ReadonlySet<string> {
  return new Set([...groupsByFile(groups, principal), ...groupsByMesh(groups, principal)])
}

/** Who says that this principal is in `group`: both may. */
export const groupSources = (groups: Groups, principal: Principal, group: string): string[] => [
  ...(groupsByFile(groups, principal).includes(group) ? ['by this file'] : []),
  ...(groupsByMesh(groups, principal).includes(group) ? ['by the mesh'] : []),
]

const groupsByFile = ({ byLogin }: Groups, principal: Principal): readonly string[] =>
  principal.kind === 'user' ? (byLogin.get(loginKey(principal.login)) ?? []) : []

const groupsByMesh = ({ within }: Groups, principal: Principal): readonly string[] =>
  principal.kind === 'user'
    ? (principal.groups ?? []).flatMap((shown) => within.get(shown.startsWith('group:') ? shown : `group:${shown}`) ?? [])
    : []
