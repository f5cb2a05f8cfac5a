/** All that a policy gives to one caller: every question of a universe, asked of `evaluate`. For comparing policies; nothing is decided here. */
import type { Principal } from '../oauth/principal.ts'
import { parseSpiffeId } from '../oauth/spiffe_id.ts'
import { evaluate } from './evaluate.ts'
import { identityScopes } from './identity_scopes.ts'
import type { Policy } from './policy.ts'
import type { Engine } from './rules.ts'
import { registered } from './selector.ts'
import type { Asked, ClientFacts, Limits } from './verdict.ts'

/** Who asks. `client`: who asks for itself, a client of the file by name, or a workload by its SPIFFE ID. */
export type Caller = { label: string; principal: Principal | null; client: string | null }

/**
 * One thing that somebody may do: a scope at a resource or client, a way to register, … `by`: with which software, or through which actor
 * and from where; null where that makes no difference.
 */
export type Fact = { app: Asked['app']; target: string; item: string; by: string | null }

/** What is allowed, by the fact's text; with what it is limited to. */
export type Access = ReadonlyMap<string, { fact: Fact; terms: Terms }>
export type Terms = Readonly<Record<string, string | number | boolean | null>>

/** What two policies or more speak of, taken together. */
export type Universe = {
  resources: ReadonlyMap<string, readonly string[]> // name → scopes
  clients: readonly string[]
  /** Redirect hosts that registration rules tell apart: one of each, and one that none of them names. */
  hosts: readonly string[]
  exchanges: readonly { actor: string; from: string; target: string; held: readonly string[]; deepest: number }[]
}

/** What is worth asking: where two policies may give a caller different things. */
export type Touched = {
  everything: boolean
  /** Resources, clients, `autogroup:registered`; `''` is what has no target: registering, and being an admin. */
  targets: ReadonlySet<string>
  /** Clients that only one of the policies has. */
  software: ReadonlySet<string>
}

const otherHost = 'any-other-host.invalid'

export function universeOf(policies: readonly Policy[]): Universe {
  const resources = new Map<string, Set<string>>()
  const clients = new Set<string>()
  const hosts = new Set([otherHost])
  const exchanges = new Map<string, Universe['exchanges'][number]>()
  for (const policy of policies) {
    for (const { name, scopes } of policy.resources.values())
      resources.set(name, new Set([...(resources.get(name) ?? []), ...scopes.keys()]))
    for (const { name } of policy.clients.values()) clients.add(name)
    const { shelves } = policy.compiled as Engine
    for (const { hosts: some } of shelves.register.get('')?.all ?? [])
      for (const host of some ?? []) hosts.add(host.startsWith('.') ? `any${host}` : host)
  }
  for (const policy of policies) {
    for (const [target, { all }] of (policy.compiled as Engine).shelves.exchange) {
      for (const { actors, from: sources, max_depth } of all) {
        for (const { text: actor } of actors) {
          for (const from of sources) {
            const key = [actor, from, target].join(' ')
            const deepest = Math.max(max_depth, exchanges.get(key)?.deepest ?? 1)
            exchanges.set(key, { actor, from, target, held: [...(resources.get(from) ?? identityScopes)], deepest })
          }
        }
      }
    }
  }
  return {
    resources: new Map([...resources].map(([name, scopes]) => [name, [...scopes]])),
    clients: [...clients],
    hosts: [...hosts],
    exchanges: [...exchanges.values()],
  }
}

/**
 * What a policy gives to a caller, as far as it is touched.
 * @param now seconds since the epoch
 */
export function accessOf(policy: Policy, caller: Caller, universe: Universe, touched: Touched, now: number): Access {
  const found = new Map<string, { fact: Fact; terms: Terms }>()
  const give = (fact: Fact, terms: Terms = {}) => void found.set(JSON.stringify(fact), { fact, terms })
  const scene: Scene = { policy, universe, now, touched, software: softwareOf(policy, universe), give }
  const { principal, client } = caller
  if (principal) {
    if (principal.kind === 'user') {
      authorize(scene, principal)
      if (isTouched(scene, '')) admin(scene, principal)
    }
    if (isTouched(scene, '')) register(scene, principal)
    exchange(scene, principal, null)
    claims(scene, principal)
  }
  const asksForItself = client !== null && (parseSpiffeId(client) !== undefined || scene.software.some(({ name }) => name === client))
  const isWorkload = principal?.kind === 'node' || asksForItself
  if (isWorkload) workload(scene, principal, client)
  if (isWorkload && client !== null) exchange(scene, principal, { client_id: client, name: client })
  return found
}

type Scene = {
  policy: Policy
  universe: Universe
  touched: Touched
  now: number
  /** Software that this policy knows; the last is what it does not name. */
  software: readonly ClientFacts[]
  give: (fact: Fact, terms?: Terms) => void
}

const isTouched = ({ touched: { everything, targets, software } }: Scene, target: string, by?: string): boolean =>
  everything || targets.has(target) || (by !== undefined && software.has(by))

/** A client that this policy does not have can ask it nothing. */
function softwareOf(policy: Policy, { clients }: Universe): ClientFacts[] {
  const { clients: known } = policy.compiled as Engine
  return [...clients.filter((name) => known.has(name)).map((name) => ({ client_id: name, name })), { client_id: registered, name: null }]
}

const nameOf = ({ name }: ClientFacts) => name ?? registered

const termsOf = ({ consent, bind, access_token_ttl, refresh_token_ttl }: Limits): Terms => ({
  consent,
  bind,
  access_token_ttl,
  refresh_token_ttl,
})

type Scoped = Extract<Asked, { scopes: readonly string[] }>

/** Gives each scope of a question alone, on its own terms. */
function giveScopes(
  { policy, now, give }: Scene,
  asked: Scoped,
  fact: Omit<Fact, 'item'>,
  terms: (limits: Limits, scope: string) => Terms,
) {
  const whole = evaluate(policy, asked, now)
  if (!whole.allowed) return
  for (const scope of whole.scopes) {
    const one = evaluate(policy, { ...asked, scopes: [scope] }, now)
    if (one.allowed) give({ ...fact, item: scope }, terms(one.limits, scope))
  }
}

function authorize(scene: Scene, principal: Principal): void {
  const { universe, policy, software } = scene
  for (const client of software) {
    for (const [resource, scopes] of universe.resources) {
      if (!policy.resources.has(resource) || !isTouched(scene, resource, nameOf(client))) continue
      giveScopes(
        scene,
        { app: 'authorize', principal, client, resource, scopes },
        { app: 'authorize', target: resource, by: nameOf(client) },
        termsOf,
      )
    }
    if (!isTouched(scene, nameOf(client), nameOf(client))) continue
    const asked = { app: 'authorize', principal, client, resource: null, scopes: identityScopes } as const
    giveScopes(scene, asked, { app: 'authorize', target: nameOf(client), by: null }, termsOf)
  }
}

/** With an initial access token goes what goes without; it is told apart only where it makes a difference. */
function register({ universe, policy, now, give }: Scene, principal: Principal): void {
  for (const host of universe.hosts) {
    for (const confidential of [false, true]) {
      const termsOf = (via: 'dcr' | 'cimd' | 'initial_access_token'): Terms | null => {
        const verdict = evaluate(policy, { app: 'register', principal, via, hosts: [host], confidential }, now)
        if (!verdict.allowed) return null
        const { client_ttl, max_clients, metadata } = verdict.limits
        return { client_ttl, max_clients, metadata }
      }
      const ways = { dcr: termsOf('dcr'), cimd: termsOf('cimd'), initial_access_token: termsOf('initial_access_token') }
      if (JSON.stringify(ways.dcr) === JSON.stringify(ways.initial_access_token)) ways.initial_access_token = null
      for (const [via, terms] of Object.entries(ways)) {
        const fact: Fact = {
          app: 'register',
          target: host === otherHost ? 'any other host' : host,
          item: `${via}${confidential ? ', confidential' : ''}`,
          by: null,
        }
        if (terms) give(fact, terms)
      }
    }
  }
}

/** @param subject the client that tokens speak for, where that is no person */
function exchange(scene: Scene, principal: Principal | null, subject: ClientFacts | null): void {
  const { universe, policy, software, now } = scene
  for (const { actor: name, from, target, held, deepest } of universe.exchanges) {
    const client = name.startsWith('spiffe://') ? workloadFacts(policy, workloadOf(name)) : software.find((one) => one.name === name)
    if ((!client && !name.startsWith('tag:')) || !isTouched(scene, target, name)) continue
    const actor = name.startsWith('tag:') ? taggedNode([name]) : null
    for (const scope of held) {
      const asked = {
        app: 'exchange',
        principal,
        ...(subject && { subject }),
        client: client ?? { client_id: name, name: null },
        actor,
        from,
        held: [scope],
        resource: target,
        scopes: universe.resources.get(target) ?? [],
        depth: 1,
        impersonate: false,
      } as const
      const depthOf = (wanted: string) => {
        const allows = (depth: number) => evaluate(policy, { ...asked, scopes: [wanted], depth }, now).allowed
        return Array.from({ length: deepest }, (_, i) => i + 1).filter(allows).length
      }
      const impersonates = (wanted: string) => evaluate(policy, { ...asked, scopes: [wanted], impersonate: true }, now).allowed
      const by = `${name} from ${from} (${scope})`
      giveScopes(scene, asked, { app: 'exchange', target, by }, (limits, wanted) => ({
        ...termsOf(limits),
        depth: depthOf(wanted),
        impersonate: impersonates(wanted),
        refresh_token: limits.refresh_token,
      }))
    }
  }
}

/** What is let out at a resource, only where the client is not told it anyway. */
function claims(scene: Scene, principal: Principal): void {
  const { universe, policy, software, now, give } = scene
  for (const client of software) {
    const anyway = new Set<string>()
    const own = isTouched(scene, nameOf(client), nameOf(client))
    const resources = [...universe.resources.keys()].filter((resource) => own || isTouched(scene, resource))
    for (const resource of own || resources.length > 0 ? [null, ...resources] : []) {
      const verdict = evaluate(policy, { app: 'claims', principal, client, resource }, now)
      if (!verdict.allowed) continue
      const { groups, claims } = verdict.limits
      const items: [string, Terms][] = [
        ...groups.map((group): [string, Terms] => [group, {}]),
        ...Object.entries(claims).map(([name, value]): [string, Terms] => [`claim ${name}`, { value: JSON.stringify(value) }]),
      ]
      for (const [item, terms] of items) {
        const key = JSON.stringify([item, terms])
        if (anyway.has(key)) continue
        if (resource === null) anyway.add(key)
        give({ app: 'claims', target: nameOf(client), item, by: resource }, terms)
      }
    }
  }
}

function admin({ policy, now, give }: Scene, principal: Principal): void {
  for (const access of ['read', 'write'] as const)
    if (evaluate(policy, { app: 'admin', principal, access }, now).allowed) give({ app: 'admin', target: '', item: access, by: null })
}

/** A workload that a SPIFFE selector stands for. */
export const workloadOf = (selector: string): string => selector.replaceAll('*', 'any-other')

/** What the policy sees of who asks for itself (`Caller`). */
export function workloadFacts(policy: Policy, client: string | null): ClientFacts {
  if (client === null) return { client_id: 'node', name: null }
  if (parseSpiffeId(client)) return { client_id: client, name: null, spiffe_id: client }
  const spiffe_id = [...policy.clients.values()].find(({ name }) => name === client)?.spiffe_id
  return { client_id: client, name: client, ...(spiffe_id && { spiffe_id }) }
}

function workload(scene: Scene, principal: Principal | null, name: string | null): void {
  const { universe, policy, now, give } = scene
  const client = workloadFacts(policy, name)
  if (isTouched(scene, '', name ?? '') && evaluate(policy, { app: 'funnel', principal: null, client }, now).allowed)
    give({ app: 'funnel', target: '', item: 'requests', by: null })
  for (const [resource, scopes] of universe.resources) {
    if (!policy.resources.has(resource) || !isTouched(scene, resource, name ?? '')) continue
    const asked = { app: 'client_credentials', principal, client, resource, scopes } as const
    giveScopes(scene, asked, { app: 'client_credentials', target: resource, by: null }, ({ access_token_ttl }) => ({ access_token_ttl }))
    if (evaluate(policy, { app: 'introspect', principal, client, resource }, now).allowed)
      give({ app: 'introspect', target: resource, item: 'tokens', by: null })
  }
}

const unknownNode = { id: '', name: '', addresses: [], key_expiry: null, os: null, os_version: null }

/** A tagged node of which only its tags are known. */
export const taggedNode = (tags: readonly string[]): Extract<Principal, { kind: 'node' }> => ({
  kind: 'node',
  tags,
  capabilities: new Map(),
  node: unknownNode,
  address: '',
})

/** A person of whom only the name is known. */
export const personCalled = (login: string): Extract<Principal, { kind: 'user' }> => ({
  kind: 'user',
  user_id: '',
  login,
  display_name: null,
  picture: null,
  groups: null,
  capabilities: new Map(),
  node: unknownNode,
  address: '',
})
