/** Grants: what each names must exist, each capability must be able to mean something, and none may mean more than it says. */

import { didYouMean } from '../hujson/nearest.ts'
import { type Path, quote } from '../hujson/read.ts'
import { compilers, type Defined, type Fault, type Here, type Scene, undefinedFault } from './capabilities.ts'
import type { App, GrantEntry, PolicyDocument } from './document.ts'
import { warnOfLogin } from './groups.ts'
import { compilePosture } from './posture.ts'
import { type Engine, type Grant, newShelves } from './rules.ts'
import { parseSelector, registered, type Selector, type SelectorKind } from './selector.ts'

const person: SelectorKind[] = ['people', 'login', 'domain', 'group', 'address']
const workload: SelectorKind[] = ['tag', 'tagged', 'address']

/** Who can use each capability, and at what. */
const subjects: Record<App, { src: ReadonlySet<SelectorKind>; dst: readonly string[] }> = {
  authorize: { src: new Set(person), dst: ['resource', 'client', 'autogroup'] },
  register: { src: new Set([...person, ...workload]), dst: [] },
  exchange: { src: new Set([...person, ...workload, 'client', 'spiffe']), dst: ['resource'] },
  client_credentials: { src: new Set([...workload, 'client', 'spiffe']), dst: ['resource'] },
  introspect: { src: new Set([...workload, 'client', 'spiffe']), dst: ['resource'] },
  funnel: { src: new Set<SelectorKind>(['client', 'spiffe']), dst: [] },
  claims: { src: new Set([...person, ...workload]), dst: ['resource', 'client', 'autogroup'] },
  admin: { src: new Set(person), dst: [] },
}

/** The grants of `document` as rules, and what their selectors have to be compared with: prefix lengths, SPIFFE IDs. Reports what they get wrong. */
export function compileGrants(document: PolicyDocument, defined: Defined): Pick<Engine, 'shelves' | 'prefixes' | 'workloads' | 'grants'> {
  const shelves = newShelves()
  const scene = { ...defined, shelves }
  const grants = (document.grants ?? []).map((entry, index) => {
    const path = ['grants', index]
    const src = compileSrc(entry.src, [...path, 'src'], scene)
    const keys = new Set(src.map((selector) => selector.key))
    return compileGrant(entry, path, scene, { index, source: 'file', label: `grant ${index + 1}`, src, keys })
  })
  const selectors = grants.flatMap((grant) => grant.src)
  const prefixes = selectors.flatMap((selector) => (selector.kind === 'address' ? [selector.prefix] : []))
  const workloads = [...new Map(selectors.flatMap((one) => (one.kind === 'spiffe' ? [[one.key, one] as const] : []))).values()]
  return {
    shelves,
    grants,
    workloads,
    prefixes: [...new Map(prefixes.map((prefix) => [`${prefix.family}/${prefix.bits}`, prefix])).values()],
  }
}

/** Compiles one grant onto the shelves of `scene`. `whose`: who has it, and what it is called. */
export function compileGrant(
  entry: Omit<GrantEntry, 'src'>,
  path: Path,
  scene: Scene,
  whose: Pick<Grant, 'index' | 'source' | 'label' | 'src' | 'keys'>,
): Grant {
  const { report } = scene
  const apps = (Object.keys(entry.app) as App[]).filter((app) => entry.app[app])
  if (apps.length === 0) report.error([...path, 'app'], 'A grant without a capability gives nothing.')

  const { src } = whose
  const grant: Grant = {
    ...whose,
    posture: entry.posture ? compilePosture(entry.posture, [...path, 'posture'], report) : null,
    expires: entry.expires ?? null,
    reason: entry.reason ?? null,
  }
  const here: Here = { scene, grant, dst: compileDst(entry.dst ?? [], apps, [...path, 'dst'], scene), dstPath: [...path, 'dst'] }

  for (const app of apps) {
    const appPath = [...path, 'app', app]
    const takes = subjects[app]
    if (takes.dst.length === 0 && entry.dst) {
      report.error(here.dstPath, `"dst" can't limit "${app}", so they may not stand in one grant. Give "${app}" a grant of its own.`, {
        at: 'key',
      })
    } else if (
      takes.dst.length > 0 &&
      !entry.dst?.some((text) => takes.dst.includes(kindOf(text))) &&
      here.dst.length === (entry.dst ?? []).length
    ) {
      report.error(appPath, `"${app}" needs a "dst" that names ${takes.dst.length === 1 ? 'resources' : 'resources or clients'}.`, {
        at: 'key',
      })
    }
    if (src.length > 0 && !src.some((selector) => takes.src.has(selector.kind))) {
      const hint = src.some(({ text }) => text === '*')
        ? () => `"*" is people, unlike in a tailnet policy; tagged nodes are "autogroup:tagged".`
        : undefined
      report.warning(appPath, `Nobody can reach this: nothing in "src" is ${whoFor(app)}.`, { at: 'key', hint })
    }
    const compiler = compilers[app] as (here: Here, capability: unknown, path: Path) => void
    for (const [i, capability] of (entry.app[app] ?? []).entries()) compiler(here, capability, [...appPath, i])
    if (app === 'authorize' || app === 'client_credentials') warnOfUselessDst(here, app)
  }
  return grant
}

const kindOf = (text: string) => text.slice(0, Math.max(0, text.indexOf(':')))

function whoFor(app: App): string {
  const { src } = subjects[app]
  if (src.has('client')) return `a client${src.has('tag') ? ', a tagged node' : ''} or a SPIFFE workload of today`
  return src.has('tag') ? 'a person or a tagged node of today' : 'a person'
}

function compileSrc(texts: readonly string[], path: Path, scene: Scene): Selector[] {
  const found: Selector[] = []
  for (const [i, text] of texts.entries()) {
    const selector = parseSelector(text)
    const fault = 'refused' in selector ? selector : srcFault(selector, scene)
    if (fault) scene.report.error([...path, i], fault.refused, { hint: fault.hint })
    else found.push(selector as Selector)
    if (!fault && (selector as Selector).kind === 'login') warnOfLogin(text, scene.groups.names, [...path, i], scene.report)
  }
  return found
}

function srcFault({ kind, text }: Selector, { groups, clients }: Scene): Fault | null {
  if (kind === 'registered') return { refused: `${registered} may not stand in "src": software that nobody named gets nothing of its own.` }
  if (kind === 'group') return undefinedFault(text, groups.names)
  return kind === 'client' ? undefinedFault(text, clients) : null
}

function compileDst(texts: readonly string[], apps: readonly App[], path: Path, scene: Scene): string[] {
  const found: string[] = []
  for (const [i, text] of texts.entries()) {
    const fault = dstFault(text, apps, scene)
    if (fault) scene.report.error([...path, i], fault.refused, { hint: fault.hint })
    else found.push(text)
  }
  return found
}

function dstFault(text: string, apps: readonly App[], { resources, clients }: Scene): Fault | null {
  const kind = kindOf(text)
  if (text !== registered && kind !== 'resource' && kind !== 'client') {
    return {
      refused: `"dst" names resources, clients or ${registered}; ${quote(text)} is none of them.`,
      hint: didYouMean(text, [...resources.keys(), ...clients, registered]),
    }
  }
  const limited = apps.filter((app) => subjects[app].dst.length > 0)
  if (limited.length > 0 && !limited.some((app) => subjects[app].dst.includes(kind))) {
    return { refused: `${limited.map((app) => `"${app}"`).join(' and ')} is about resources; ${quote(text)} is none.` }
  }
  return text === registered ? null : undefinedFault(text, kind === 'resource' ? resources : clients)
}

function warnOfUselessDst({ scene, grant, dst, dstPath }: Here, app: 'authorize' | 'client_credentials'): void {
  for (const [i, target] of dst.entries()) {
    const used = scene.shelves[app].get(target)?.all.at(-1)?.grant === grant
    if (!used) scene.report.warning([...dstPath, i], `"${app}" of this grant names no scope of ${target}, so it gives nothing there.`)
  }
}
