/** Capabilities: each compiled onto its shelf, one rule a target. What it names must exist there. */

import { didYouMean, type Hint } from '../hujson/nearest.ts'
import { type Path, quote } from '../hujson/read.ts'
import type { Report } from '../hujson/report.ts'
import type { App, Capability } from './document.ts'
import type { Groups } from './groups.ts'
import { identityScopes, isIdentityScope } from './identity_scopes.ts'
import { defaults, defaultTerms, type Terms } from './limits.ts'
import type { Resource } from './policy.ts'
import { type ClientCondition, type Engine, type Grant, type Rules, shelve } from './rules.ts'
import { foldAscii, parseSelector, registered, type Selector } from './selector.ts'

/** What the file defines besides grants. */
export type Defined = { report: Report; groups: Groups; resources: ReadonlyMap<string, Resource>; clients: ReadonlySet<string> }
export type Scene = Defined & { shelves: Engine['shelves'] }

/** One grant while its capabilities are compiled; `dst` holds only what is defined. */
export type Here = { scene: Scene; grant: Grant; dst: readonly string[]; dstPath: Path }

/** Why a name can't stand where it does: a sentence, and perhaps what was meant. */
export type Fault = { refused: string; hint?: Hint | undefined }

export const undefinedFault = (text: string, names: { has(name: string): boolean; keys(): Iterable<string> }): Fault | null =>
  names.has(text) ? null : { refused: `${quote(text)} is not defined.`, hint: didYouMean(text, names.keys()) }

/** One capability at a time onto the shelves of its scene; `path` is where it stands in the document. */
export const compilers: { [A in App]: (here: Here, capability: Capability<A>, path: Path) => void } = {
  authorize,
  register,
  exchange,
  client_credentials,
  introspect,
  funnel,
  claims,
  admin,
}

/** Each scope must be one that a target of this grant can give. */
function checkScopes({ scene, dst }: Here, scopes: readonly string[], path: Path, identityToo: boolean): void {
  const targets = dst.flatMap((target) => scene.resources.get(target) ?? [])
  const api = new Set(targets.flatMap((resource) => [...resource.scopes.keys()]))
  const signsIn = dst.some((target) => !scene.resources.has(target))
  for (const [i, scope] of scopes.entries()) {
    const place = [...path, 'scopes', i]
    if (isIdentityScope(scope)) {
      if (!identityToo)
        scene.report.error(place, `${quote(scope)} is an identity scope; only "authorize" gives those, for they tell of a person.`)
      else if (!signsIn && dst.length > 0)
        scene.report.error(
          place,
          `${quote(scope)} is an identity scope; it is given against a client. Name one, or ${registered}, in "dst".`,
        )
    } else if (targets.length === 0) {
      if (dst.length > 0)
        scene.report.error(place, `${quote(scope)} is no identity scope, and "dst" names no resource that could define it.`, {
          hint: didYouMean(scope, identityScopes),
        })
    } else if (!api.has(scope)) {
      const names = targets.map((resource) => resource.name).join(' or ')
      scene.report.error(place, `${quote(scope)} is not a scope of ${names}.`, { hint: didYouMean(scope, [...api, ...identityScopes]) })
    }
  }
}

const scopesAt = (scopes: readonly string[], resource: Resource | undefined) =>
  new Set(scopes.filter((scope) => (resource ? resource.scopes.has(scope) : isIdentityScope(scope))))

function authorize(here: Here, capability: Capability<'authorize'>, path: Path): void {
  const { scene, grant, dst } = here
  checkScopes(here, capability.scopes, path, true)
  const written = capability.clients && compileClientCondition(capability.clients, [...path, 'clients'], scene)
  const terms: Terms = { ...defaultTerms, ...definedOf(capability) }

  for (const target of dst) {
    const resource = scene.resources.get(target)
    const scopes = scopesAt(capability.scopes, resource)
    if (scopes.size === 0) continue
    // Where the target is a client, dst itself says which software; at a resource the default is what this file names.
    const said: ClientCondition = written ?? { named: 'any', unnamed: !resource }
    const open = resource ? new Set([...scopes].filter((scope) => resource.unverified_scopes.has(scope))) : scopes
    const unnamedToo = said.unnamed && (resource !== undefined || target === registered)
    if (terms.consent === 'never' && unnamedToo) {
      scene.report.error(
        [...path, 'consent'],
        `Consent may be skipped only for software that this file names, and this reaches other software too (RFC 8252 §8.6).`,
      )
    }
    const unreachable = whyUnreachable(target, said, resource && open.size > 0, scene)
    if (unreachable) scene.report.warning(path, `Nobody can reach this at ${target}: ${unreachable}.`)
    const put = (rule: Pick<Rules['authorize'], 'scopes' | 'clients'>) => shelve(scene.shelves.authorize, target, { ...rule, grant, terms })
    if (open.size === scopes.size) put({ scopes, clients: said })
    else {
      put({ scopes, clients: { ...said, unnamed: false } })
      if (said.unnamed && open.size > 0) put({ scopes: open, clients: { named: new Set(), unnamed: true } })
    }
  }
}

/** @param opened at a resource, whether it is open to unverified clients for one of these scopes; undefined at a client */
function whyUnreachable(target: string, { named, unnamed }: ClientCondition, opened: boolean | undefined, scene: Scene): string | null {
  const some = named === 'any' ? scene.clients : named
  const at = opened !== undefined ? some.size > 0 : some.has(target)
  if (at || (unnamed && (opened ?? target === registered))) return null
  if (unnamed && opened === false) return 'it does not allow unverified clients'
  return named === 'any' ? 'this file names no client; "clients": ["*"] would admit all software' : '"clients" leaves nobody'
}

/** `*` is any software, `autogroup:registered` what this file does not name. */
function compileClientCondition(texts: readonly string[], path: Path, scene: Scene): ClientCondition {
  for (const [i, text] of texts.entries()) {
    if (text === '*' || text === registered || scene.clients.has(text)) continue
    const message = text.startsWith('client:')
      ? `${quote(text)} is not defined.`
      : `"clients" holds "*", ${registered} or names such as "client:example"; ${quote(text)} is none of them.`
    scene.report.error([...path, i], message, { hint: didYouMean(text, [...scene.clients, registered]) })
  }
  const any = texts.includes('*')
  return { named: any ? 'any' : new Set(texts.filter((text) => scene.clients.has(text))), unnamed: any || texts.includes(registered) }
}

function definedOf({ consent, bind, access_token_ttl, refresh_token_ttl }: Capability<'authorize'>): Partial<Terms> {
  return {
    ...(consent && { consent }),
    ...(bind && { bind }),
    ...(access_token_ttl !== undefined && { access_token_ttl }),
    ...(refresh_token_ttl !== undefined && { refresh_token_ttl }),
  }
}

function client_credentials(here: Here, capability: Capability<'client_credentials'>, path: Path): void {
  const { scene, grant, dst } = here
  checkScopes(here, capability.scopes, path, false)
  const terms: Terms = { ...defaultTerms, access_token_ttl: capability.access_token_ttl ?? null }
  for (const target of dst) {
    const resource = scene.resources.get(target)
    const scopes = resource ? scopesAt(capability.scopes, resource) : new Set<string>()
    if (scopes.size > 0) shelve(scene.shelves.client_credentials, target, { grant, scopes, terms })
  }
}

/** A host as URLs write it (a name, an IPv4 address, an IPv6 address in brackets), or a private-use scheme with its colon (RFC 8252 §7.1). */
export const isRedirectHost = (text: string): boolean =>
  /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/i.test(text) || /^(\[[\da-f:.]+\]|[a-z][a-z\d.+-]*:)$/i.test(text)

function register({ scene, grant }: Here, capability: Capability<'register'>, path: Path): void {
  for (const [i, host] of (capability.redirect_uris ?? []).entries()) {
    if (isRedirectHost(host.replace(/^\*\./, ''))) continue
    scene.report.error(
      [...path, 'redirect_uris', i],
      `${quote(host)} is no host; write "app.example.com", or "*.example.com" for all hosts below it.`,
    )
  }
  shelve(scene.shelves.register, '', {
    grant,
    via: new Set<string>(capability.via ?? ['dcr', 'cimd']),
    hosts: capability.redirect_uris?.map((host) => foldAscii(host.replace(/^\*/, ''))) ?? null,
    confidential: capability.confidential ?? false,
    limits: {
      metadata: capability.metadata ?? 'lenient',
      client_ttl: capability.client_ttl ?? defaults.client_ttl,
      max_clients: capability.max_clients ?? defaults.max_clients,
    },
  })
}

function introspect({ scene, grant, dst }: Here, { chain = false }: Capability<'introspect'>): void {
  for (const target of dst) if (scene.resources.has(target)) shelve(scene.shelves.introspect, target, { grant, chain })
}

function funnel({ scene, grant }: Here): void {
  shelve(scene.shelves.funnel, '', { grant })
}

/** Claims that say who, to whom, when and how: a policy that could write them could make anybody anyone. */
const protectedClaims = new Set(
  (
    'iss sub aud exp iat jti nbf auth_time nonce acr amr azp client_id scope sid act cnf may_act at_hash c_hash s_hash sub_jwk ' +
    'email email_verified preferred_username groups'
  ).split(' '),
)

function claims({ scene, grant, dst }: Here, capability: Capability<'claims'>, path: Path): void {
  const added = new Map(Object.entries(capability.claims ?? {}))
  if (added.size === 0 && !capability.groups) scene.report.error(path, 'This "claims" gives nothing; it needs "claims" or "groups".')
  for (const name of added.keys()) {
    if (protectedClaims.has(name))
      scene.report.error([...path, 'claims', name], `${quote(name)} is said by meshidp itself; a grant may not set it.`, { at: 'key' })
  }
  for (const [i, group] of (capability.groups ?? []).entries()) {
    const fault = undefinedFault(group, scene.groups.names)
    if (fault) scene.report.error([...path, 'groups', i], fault.refused, { hint: fault.hint })
  }
  for (const target of dst) shelve(scene.shelves.claims, target, { grant, groups: new Set(capability.groups), claims: added })
}

function admin({ scene, grant }: Here, { access }: Capability<'admin'>, path: Path): void {
  const broad = access === 'write' ? grant.src.find((selector) => selector.kind === 'people') : undefined
  if (broad)
    scene.report.warning(
      [...path, 'access'],
      `${quote(broad.text)} is everybody of the tailnet, and this lets each of them change everything.`,
    )
  shelve(scene.shelves.admin, '', { grant, access })
}

function exchange(here: Here, capability: Capability<'exchange'>, path: Path): void {
  const { scene, grant, dst } = here
  const actors: Selector[] = []
  for (const [i, text] of capability.actors.entries()) {
    const selector = parseSelector(text)
    if ('refused' in selector) scene.report.error([...path, 'actors', i], selector.refused, { hint: selector.hint })
    else if (selector.kind === 'client') {
      const fault = undefinedFault(text, scene.clients)
      if (fault) scene.report.error([...path, 'actors', i], fault.refused, { hint: fault.hint })
      else actors.push(selector)
    } else if (selector.kind === 'tag' || selector.kind === 'spiffe') actors.push(selector)
    else
      scene.report.error(
        [...path, 'actors', i],
        `An actor is a client, a tagged node or a SPIFFE workload; ${quote(text)} is none of them.`,
      )
  }
  for (const [i, text] of capability.from.entries()) {
    const fault = undefinedFault(text, text.startsWith('client:') ? scene.clients : scene.resources)
    if (fault) scene.report.error([...path, 'from', i], fault.refused, { hint: fault.hint })
  }
  const scopesOf = (name: string) => (scene.clients.has(name) ? identityScopes : (scene.resources.get(name)?.scopes.keys() ?? []))
  const defined = (names: readonly string[]) => new Set(names.flatMap((name) => [...scopesOf(name)]))
  const [wantable, holdable] = [defined(dst), defined(capability.from)]
  const check = (scope: string, known: ReadonlySet<string>, place: Path, at: 'key' | 'value', where: string) => {
    if (known.size > 0 && !known.has(scope))
      scene.report.error(place, `${quote(scope)} is not a scope of ${where}.`, { hint: didYouMean(scope, known), at })
  }
  if (Object.keys(capability.scopes).length === 0)
    scene.report.error([...path, 'scopes'], 'This "exchange" names no scope, so it gives nothing.')
  for (const [wanted, held] of Object.entries(capability.scopes)) {
    check(wanted, wantable, [...path, 'scopes', wanted], 'key', 'what "dst" names')
    for (const [i, scope] of held.entries()) check(scope, holdable, [...path, 'scopes', wanted, i], 'value', 'what "from" names')
  }
  const rule: Rules['exchange'] = {
    grant,
    actors,
    from: new Set(capability.from),
    scopes: new Map(Object.entries(capability.scopes).map(([wanted, held]) => [wanted, new Set(held)])),
    max_depth: capability.max_depth ?? 1,
    beyond_subject: capability.beyond_subject ?? false,
    impersonate: capability.impersonate ?? false,
    refresh_token: capability.refresh_token ?? false,
  }
  for (const target of dst) if (scene.resources.has(target)) shelve(scene.shelves.exchange, target, rule)
}
