/** What compile makes of grants, laid out so that evaluate touches only what can concern the caller. */
import type { Prefix } from './address.ts'
import type { Groups } from './groups.ts'
import type { Terms } from './limits.ts'
import type { MeshGrants } from './mesh_grants.ts'
import type { Resource } from './policy.ts'
import type { Posture } from './posture.ts'
import type { Selector } from './selector.ts'
import type { Limits } from './verdict.ts'

/** The conditions that all capabilities of a grant share. */
export type Grant = {
  /** Index into the document's grants, or into the values of the caller's capability. */
  index: number
  source: 'file' | 'mesh'
  /** "grant 3": what a sentence calls it. */
  label: string
  src: readonly Selector[]
  /** Keys of `src`; of a grant that the mesh brings along, the caller's own. */
  keys: ReadonlySet<string>
  posture: Posture | null
  /** From this moment on (seconds) it gives nothing; null for never. */
  expires: number | null
  /** Shown to people beside what it gives. */
  reason: string | null
}

/** Which software: of those that the file names, and whether also those that it doesn't. */
export type ClientCondition = { named: 'any' | ReadonlySet<string>; unnamed: boolean }

/** One capability at one target, with those of its scopes that belong there. */
export type AuthorizeRule = { grant: Grant; scopes: ReadonlySet<string>; clients: ClientCondition; terms: Terms }
export type ClientCredentialsRule = { grant: Grant; scopes: ReadonlySet<string>; terms: Terms }
export type RegisterRule = {
  grant: Grant
  via: ReadonlySet<string>
  /** Hosts, suffixes (".example.com") and schemes ("com.example.app:"); null for any. */
  hosts: readonly string[] | null
  confidential: boolean
  limits: Pick<Limits, 'metadata'> & { client_ttl: number; max_clients: number }
}
export type IntrospectRule = { grant: Grant; chain: boolean }
export type FunnelRule = { grant: Grant }
export type ClaimsRule = { grant: Grant; groups: ReadonlySet<string>; claims: ReadonlyMap<string, unknown> }
export type AdminRule = { grant: Grant; access: 'read' | 'write' }
/** `scopes`: wanted → of these the subject token holds one at least. */
export type ExchangeRule = {
  grant: Grant
  actors: readonly Selector[]
  from: ReadonlySet<string>
  scopes: ReadonlyMap<string, ReadonlySet<string>>
  max_depth: number
  beyond_subject: boolean
  impersonate: boolean
  refresh_token: boolean
}

export type Rules = {
  authorize: AuthorizeRule
  register: RegisterRule
  exchange: ExchangeRule
  client_credentials: ClientCredentialsRule
  introspect: IntrospectRule
  funnel: FunnelRule
  claims: ClaimsRule
  admin: AdminRule
}

/** Rules of one kind: by target, and there by each key of their grant's `src`. The target of what has no `dst` is ''. */
export type Shelf<R> = Map<string, { all: R[]; byKey: Map<string, R[]> }>

export type Shelves = { readonly [A in keyof Rules]: Shelf<Rules[A]> }

export const newShelves = (): Shelves => ({
  authorize: new Map(),
  register: new Map(),
  exchange: new Map(),
  client_credentials: new Map(),
  introspect: new Map(),
  funnel: new Map(),
  claims: new Map(),
  admin: new Map(),
})

export type Engine = {
  resources: ReadonlyMap<string, Resource>
  /** Names of the clients of this file. */
  clients: ReadonlySet<string>
  groups: Groups
  /** Every prefix length that a selector uses: a caller's address is cut to each of them, and looked up. */
  prefixes: readonly Prefix[]
  /** Every SPIFFE selector of `src`: a workload has the keys of those that it is one of. */
  workloads: readonly Extract<Selector, { kind: 'spiffe' }>[]
  shelves: Shelves
  /** The grants of the file, in its order. */
  grants: readonly Grant[]
  /** `mesh_grants`, and what was compiled of what it brought along: by content, and by the very array. */
  mesh: {
    capability: string
    admin: boolean
    byDigest: Map<string, MeshGrants>
    byValues: WeakMap<readonly unknown[], MeshGrants>
  } | null
}

export function shelve<R extends { grant: Grant }>(shelf: Shelf<R>, target: string, rule: R): void {
  const place = shelf.get(target) ?? { all: [], byKey: new Map<string, R[]>() }
  shelf.set(target, place)
  place.all.push(rule)
  for (const key of rule.grant.keys) {
    const rules = place.byKey.get(key)
    if (rules) rules.push(rule)
    else place.byKey.set(key, [rule])
  }
}
