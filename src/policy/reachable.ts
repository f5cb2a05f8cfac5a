/** What a token may become through gateways: the edges that `exchange` rules draw from one resource to others. */
import type { UserPrincipal } from '../oauth/principal.ts'
import { reached } from './inquiry.ts'
import { shelvesOf } from './mesh_grants.ts'
import type { Policy, Resource } from './policy.ts'
import { principalKeys } from './principal_keys.ts'
import type { Engine } from './rules.ts'

/** `actor`, a client's title or a tag, may trade a token of the person's for one with these scopes at `resource`. */
export type Reachable = { actor: string; resource: Resource; scopes: readonly string[] }

/**
 * Where the scopes `held` at `from` can lead, over as many gateways as the policy allows (`max_depth`). It is what could be, at the most: without
 * `beyond_subject` a rule gives what some `authorize` rule gives this person at the target, whatever the software. Pure; what is nearest comes first.
 * @param from a resource's name ("resource:gateway")
 * @param now seconds since the epoch
 */
export function reachable(policy: Policy, principal: UserPrincipal, from: string, held: readonly string[], now: number): Reachable[] {
  const engine = policy.compiled as Engine
  const { resources } = engine
  const exchanges = shelvesOf(engine, 'exchange', principal)
  const caller = { keys: principalKeys(engine, principal), principal, now, conditions: {} }
  const edges = [...new Set(exchanges.flatMap((shelf) => [...shelf.keys()]))].flatMap((target) =>
    reached({ ...caller, shelves: exchanges, targets: [target] }).map((rule) => ({ target, rule })),
  )
  const own = (target: string) =>
    new Set(
      reached({ ...caller, shelves: shelvesOf(engine, 'authorize', principal), targets: [target] }).flatMap(({ scopes }) => [...scopes]),
    )
  const titles = new Map([...policy.clients.values()].map(({ name, title }) => [name, title]))

  const seen = new Map([[from, new Set(held)]])
  const found = new Map<string, { actor: string; resource: Resource; scopes: Set<string> }>()
  let frontier = new Map(seen)
  for (let depth = 1; frontier.size > 0; depth++) {
    const next = new Map<string, Set<string>>()
    for (const { target, rule } of edges) {
      const resource = resources.get(target)
      if (!resource || rule.max_depth < depth) continue
      const sources = [...rule.from].flatMap((name) => [...(frontier.get(name) ?? [])])
      const limit = rule.beyond_subject ? null : own(target)
      for (const [wanted, needed] of rule.scopes) {
        if (!resource.scopes.has(wanted) || limit?.has(wanted) === false || !sources.some((scope) => needed.has(scope))) continue
        if (seen.get(target)?.has(wanted)) continue
        add(next, target, wanted)
        for (const { text } of rule.actors) {
          const actor = titles.get(text) ?? text
          const place = found.get(`${actor}\n${target}`) ?? { actor, resource, scopes: new Set<string>() }
          found.set(`${actor}\n${target}`, place)
          place.scopes.add(wanted)
        }
      }
    }
    for (const [target, scopes] of next) for (const scope of scopes) add(seen, target, scope)
    frontier = next
  }
  return [...found.values()].map(({ scopes, ...where }) => ({ ...where, scopes: [...scopes] }))
}

function add(to: Map<string, Set<string>>, name: string, scope: string): void {
  const scopes = to.get(name) ?? new Set()
  to.set(name, scopes.add(scope))
}
