/** Questions in the words of the policy file: those of its tests, and of the command line. */
import { isIP } from 'node:net'
import { type Path, quote } from '../hujson/read.ts'
import type { MeshNode, NodePrincipal, Principal } from '../oauth/principal.ts'
import { parseSpiffeId } from '../oauth/spiffe_id.ts'
import { isRedirectHost } from './capabilities.ts'
import type { TestEntry } from './document.ts'
import { identityScopes } from './identity_scopes.ts'
import { meshGrantFaults } from './mesh_grants.ts'
import type { Policy } from './policy.ts'
import type { Engine } from './rules.ts'
import { parseSelector, registered } from './selector.ts'
import type { Asked, ClientFacts } from './verdict.ts'

/** What a test says of its question; what it expects is another thing. */
export type Wording = Omit<TestEntry, 'accept' | 'deny'>

/** Names of the clients of the file. */
export const namesOf = (policy: Policy) => new Set([...policy.clients.values()].map(({ name }) => name))

/** What can be asked, and the questions that an item stands for, one for each software that may ask; or why nothing can. */
export type Question =
  | { items: readonly string[]; ask: (item: string) => Asked[] }
  | { fault: string; at: 'src' | 'dst' | 'client' | 'actor' | 'from' }

/** The questions of one entry. `principal`: who asks; without, somebody of whom only `given` is known. */
export function questionOf(policy: Policy, entry: Wording, principal: Principal | null = principalOf(entry.src, entry)): Question {
  const names = namesOf(policy)
  const software = (name: string): ClientFacts | null => softwareCalled(policy, names, name)
  const own = software(entry.src)
  const { app, dst } = entry
  const resource = dst === undefined ? undefined : policy.resources.get(dst)

  if (app === 'client_credentials' || app === 'introspect') {
    const workload = principal?.kind === 'node' ? principal : null
    if (!workload && !own)
      return { at: 'src', fault: `"${app}" is for a client of this file, a tagged node or a SPIFFE ID; ${entry.src} is none of them.` }
    if (!resource) return { at: 'dst', fault: `"${app}" is asked of a resource of this file; "dst" names none.` }
    const client = own ?? { client_id: entry.src, name: null }
    if (app === 'introspect') return { items: ['*'], ask: () => [{ app, principal: workload, client, resource: resource.name }] }
    return {
      items: [...resource.scopes.keys()],
      ask: (scope) => [{ app, principal: workload, client, resource: resource.name, scopes: [scope] }],
    }
  }
  if (app === 'funnel')
    return own
      ? { items: ['*'], ask: () => [{ app, principal: null, client: own }] }
      : { at: 'src', fault: `"funnel" is for a client of this file or a SPIFFE ID; ${entry.src} is none of them.` }
  if (app === 'exchange') return exchangeOf(policy, entry, principal, own, software)
  if (!principal) return { at: 'src', fault: `"${app}" is asked for a login name or a tag; ${entry.src} is neither.` }
  if (app === 'register')
    return {
      items: ['dcr', 'cimd', 'initial_access_token'],
      ask: (via) => [{ app, principal, via: via as 'dcr', hosts: entry.redirect_uris ?? [], confidential: false }],
    }
  if (app === 'admin') return { items: ['read', 'write'], ask: (access) => [{ app, principal, access: access as 'read' }] }

  const target = dst === undefined ? null : software(dst)
  if (!resource && !target) return { at: 'dst', fault: `"dst" names nothing of this file that "${app}" could be about.` }

  const said = entry.client === undefined ? null : software(entry.client)
  if (entry.client !== undefined && !said)
    return { at: 'client', fault: `${entry.client} is neither a client of this file nor ${registered}.` }
  // Where no software is said, any will do: what is accepted is given with some, what is denied with none.
  const chosen = said ?? target
  const clients = chosen
    ? [chosen]
    : [...(entry.given?.caps ? names : unlikeSoftware(policy, app, dst)), registered].flatMap((name) => software(name) ?? [])
  const at = resource?.name ?? null
  if (app === 'claims') return { items: ['*'], ask: () => clients.map((client) => ({ app, principal, client, resource: at })) }
  return {
    items: [...(resource?.scopes.keys() ?? []), ...identityScopes],
    ask: (scope) => clients.map((client) => ({ app, principal, client, resource: at, scopes: [scope] })),
  }
}

/** A client of the file, software that it does not name, or a SPIFFE workload; null for what is none of them. */
function softwareCalled(policy: Policy, names: ReadonlySet<string>, name: string): ClientFacts | null {
  if (name === registered) return { client_id: registered, name: null }
  if (parseSpiffeId(name)) return { client_id: name, name: null, spiffe_id: name }
  if (!names.has(name)) return null
  const spiffe_id = [...policy.clients.values()].find((one) => one.name === name)?.spiffe_id
  return { client_id: name, name, ...(spiffe_id && { spiffe_id }) }
}

function exchangeOf(
  policy: Policy,
  { src, dst = '', actor: acting = '', from, with: held = [] }: Wording,
  principal: Principal | null,
  own: ClientFacts | null,
  software: (name: string) => ClientFacts | null,
): Question {
  if (!principal && !own)
    return {
      at: 'src',
      fault: `"exchange" is asked for a login name, a tag, a client of this file or a SPIFFE ID; ${src} is none of them.`,
    }
  const resource = policy.resources.get(dst)
  if (!resource) return { at: 'dst', fault: '"dst" names nothing of this file that "exchange" could be about.' }
  const acts = acting === '' ? null : principalOf(acting, {})
  const actor: NodePrincipal | null = acts?.kind === 'node' ? acts : null
  const client = software(acting) ?? (actor && { client_id: acting, name: null })
  if (!client) return { at: 'actor', fault: '"exchange" needs an "actor": a client of this file, a tag or a SPIFFE ID.' }
  if (from === undefined || !(policy.resources.has(from) || namesOf(policy).has(from)))
    return { at: 'from', fault: '"exchange" needs "from": the resource of this file that the subject token is for.' }
  const common = {
    principal,
    ...(own && { subject: own }),
    client,
    actor,
    from,
    held,
    resource: resource.name,
    depth: 1,
    impersonate: false,
  }
  return { items: [...resource.scopes.keys()], ask: (scope) => [{ app: 'exchange', ...common, scopes: [scope] }] }
}

/** What an entry says of its question that the policy does not know, each with where it stands: it would let a test pass that expects a denial. */
export function unknownFacts(policy: Policy, { src, app, given, from, with: held, redirect_uris }: Wording): [Path, string][] {
  const { names } = (policy.compiled as Engine).groups
  const scopes = policy.resources.get(from ?? '')?.scopes ?? (namesOf(policy).has(from ?? '') ? new Set<string>(identityScopes) : undefined)
  const wrong: [Path, string][] = []
  for (const [i, group] of (given?.groups ?? []).entries())
    if (!names.has(group)) wrong.push([['given', 'groups', i], `${quote(group)} is not defined.`])
  for (const [i, scope] of (held ?? []).entries())
    if (scopes && !scopes.has(scope)) wrong.push([['with', i], `${quote(scope)} is not a scope of ${from}.`])
  const { mesh } = policy.compiled as Engine
  for (const name of Object.keys(given?.caps ?? {}))
    if (name !== mesh?.capability) wrong.push([['given', 'caps', name], `${quote(name)} is not the capability that "mesh_grants" names.`])
  for (const fault of meshGrantFaults(policy, principalOf(src, { given }))?.faults ?? []) wrong.push([['given', 'caps'], fault])
  if (given?.address !== undefined && isIP(given.address) === 0)
    wrong.push([['given', 'address'], `${quote(given.address)} is no IP address.`])
  if (redirect_uris && app !== 'register') wrong.push([['redirect_uris'], `"redirect_uris" goes with "register" alone.`])
  for (const [i, host] of (redirect_uris ?? []).entries())
    if (!isRedirectHost(host))
      wrong.push([['redirect_uris', i], `${quote(host)} is no host; write "app.example.com", or "com.example.app:" for a scheme.`])
  if (given?.tags && !src.startsWith('tag:')) wrong.push([['given', 'tags'], `Only a tagged node has tags, and ${src} is none.`])
  return wrong
}

/** The caller that an entry speaks of: a person or a tagged node, of whom nothing is known but what `given` says. */
export function principalOf(src: string, { given }: Pick<TestEntry, 'given'>): Principal | null {
  const selector = parseSelector(src)
  if ('refused' in selector) return null
  const capabilities = new Map(Object.entries(given?.caps ?? {}))
  const node: MeshNode = {
    id: '',
    name: '',
    addresses: [],
    key_expiry: given?.key_expiry ? Number.MAX_SAFE_INTEGER : null,
    os: given?.os ?? null,
    os_version: given?.os_version ?? null,
    ...(given?.attributes && { attributes: given.attributes }),
  }
  const common = { capabilities, node, address: given?.address ?? '' }
  if (selector.kind === 'tag') return { kind: 'node', tags: [src, ...(given?.tags ?? [])], ...common }
  if (selector.kind !== 'login') return null
  return { kind: 'user', user_id: 'test', login: src, display_name: null, picture: null, groups: given?.groups ?? null, ...common }
}

const unlike = new WeakMap<Policy, Map<string, string[]>>()

/** Of the clients of the file, those that a rule there could tell apart from others, and one of those that none could. */
function unlikeSoftware(policy: Policy, app: 'authorize' | 'claims', dst: string | undefined): string[] {
  const known = unlike.get(policy) ?? new Map<string, string[]>()
  unlike.set(policy, known)
  const key = `${app} ${dst}`
  const found = known.get(key) ?? findUnlike(policy, app, dst)
  known.set(key, found)
  return found
}

function findUnlike(policy: Policy, app: 'authorize' | 'claims', dst: string | undefined): string[] {
  const { shelves } = policy.compiled as Engine
  const conditions = shelves.authorize.get(dst ?? '')?.all.map(({ clients }) => clients.named) ?? []
  const named = new Set(conditions.flatMap((names) => (names === 'any' ? [] : [...names])))
  const alike = (name: string) => !named.has(name) && !shelves[app].has(name)
  const names = [...namesOf(policy)]
  return [...names.filter((name) => !alike(name)), ...names.filter(alike).slice(0, 1)]
}
