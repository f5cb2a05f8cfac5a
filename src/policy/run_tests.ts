/** The document's own tests, each asked of the one engine. A policy that fails them is not to be loaded. */
import type { MeshNode, NodePrincipal, Principal } from '../oauth/principal.ts'
import { policyDocument, type TestEntry } from './document.ts'
import { evaluate } from './evaluate.ts'
import { type Hujson, type Path, type Place, quote, readHujson } from './hujson.ts'
import { identityScopes } from './identity_scopes.ts'
import { meshGrantFaults } from './mesh_grants.ts'
import { didYouMean } from './nearest.ts'
import type { Policy, Problem } from './policy.ts'
import { mostProblems, newReport } from './report.ts'
import type { Engine } from './rules.ts'
import { parseSelector, registered } from './selector.ts'
import type { Allowed, Asked, ClientFacts, Denied, Verdict } from './verdict.ts'

/** One expectation of a test, with what came out: "accept wiki:read" is given by grant 5, or is denied, each in words. */
export type Expectation = { expected: 'accept' | 'deny'; item: string; got: string; holds: boolean } & Place

/** What came of one entry of `tests`, which stands at this place. `problems`: why it fails; none where all that it expects holds. */
export type TestResult = { about: string; expectations: Expectation[]; problems: Problem[] } & Place

/** Runs every entry of `tests`, as if no grant had expired: a policy that loads today also loads tomorrow. */
export function testResults(policy: Policy): TestResult[] {
  const read = readHujson(policy.text)
  const parsed = read.ok ? policyDocument.safeParse(read.hujson.value) : null
  if (!read.ok || !parsed?.success) return [] // never so: this text was compiled
  return (parsed.data.tests ?? []).map((entry, index) => resultOf(policy, read.hujson, entry, ['tests', index]))
}

/** A problem, with its place, for each expectation that does not come true and for each test that asks nothing; none where all hold. */
export const runTests = (policy: Policy): Problem[] =>
  testResults(policy)
    .flatMap(({ problems }) => problems)
    .slice(0, mostProblems)

function resultOf(policy: Policy, hujson: Hujson, entry: TestEntry, path: Path): TestResult {
  const report = newReport(hujson)
  const expectations: Expectation[] = []
  const result = { about: aboutOf(entry), ...hujson.place(path), expectations, problems: report.problems as Problem[] }
  const question = questionOf(policy, entry)
  if ('fault' in question) {
    const written = entry[question.at]
    const hint = written === undefined ? undefined : didYouMean(written, [...policy.resources.keys(), ...namesOf(policy), registered])
    report.error([...path, question.at], question.fault, { hint })
    return result
  }
  for (const [place, message] of unknownFacts(policy, entry)) report.error([...path, ...place], message)
  if (!entry.accept && !entry.deny) report.error(path, 'This test expects nothing; it needs "accept" or "deny".')
  for (const expected of ['accept', 'deny'] as const) {
    for (const [i, item] of (entry[expected] ?? []).entries()) {
      const place = [...path, expected, i]
      if (item !== '*' && !question.items.includes(item)) {
        report.error(place, `"${entry.app}" knows no "${item}" here. It knows ${[...new Set(['*', ...question.items])].join(', ')}.`, {
          hint: didYouMean(item, question.items),
        })
        continue
      }
      const asked = (item === '*' ? question.items : [item]).flatMap(question.ask)
      const verdicts = asked.map((one) => evaluate(policy, one, 0))
      const given = verdicts.find((verdict) => verdict.allowed)
      const holds = (expected === 'accept') === (given !== undefined)
      if (!holds) report.error(place, failure(entry, expected, item, given, verdicts))
      expectations.push({ expected, item, ...hujson.place(place), holds, got: outcome(given, verdicts) })
    }
  }
  return result
}

/** What a test asks, in one line. */
const aboutOf = ({ src, app, dst, client, actor, from, with: held }: TestEntry): string =>
  [`${src} ${app}`, dst, client && `with ${client}`, actor && `by ${actor}`, from && `from ${from}${held ? ` (${held.join(' ')})` : ''}`]
    .filter(Boolean)
    .join(' ')

const namesOf = (policy: Policy) => new Set([...policy.clients.values()].map(({ name }) => name))

/** What one test may expect, and the questions that an item stands for: it is given where one of them is allowed; `*` is any item. */
type Question =
  | { items: readonly string[]; ask: (item: string) => Asked[] }
  | { fault: string; at: 'src' | 'dst' | 'client' | 'actor' | 'from' }

function questionOf(policy: Policy, entry: TestEntry): Question {
  const names = namesOf(policy)
  const software = (name: string): ClientFacts | null =>
    name === registered ? { client_id: registered, name: null } : names.has(name) ? { client_id: name, name } : null
  const principal = principalOf(entry.src, entry)
  const own = software(entry.src)
  const { app, dst } = entry
  const resource = dst === undefined ? undefined : policy.resources.get(dst)

  if (app === 'client_credentials' || app === 'introspect') {
    const workload = principal?.kind === 'node' ? principal : null
    if (!workload && !own) return { at: 'src', fault: `"${app}" is for a client of this file or a tagged node; ${entry.src} is neither.` }
    if (!resource) return { at: 'dst', fault: `"${app}" is asked of a resource of this file; "dst" names none.` }
    const client = own ?? { client_id: entry.src, name: null }
    if (app === 'introspect') return { items: ['*'], ask: () => [{ app, principal: workload, client, resource: resource.name }] }
    return {
      items: [...resource.scopes.keys()],
      ask: (scope) => [{ app, principal: workload, client, resource: resource.name, scopes: [scope] }],
    }
  }
  if (!principal) return { at: 'src', fault: `A test of "${app}" speaks for a login name or a tag; ${entry.src} is neither.` }
  if (app === 'register')
    return { items: ['dcr', 'cimd'], ask: (via) => [{ app, principal, via: via as 'dcr', hosts: [], confidential: false }] }
  if (app === 'admin') return { items: ['read', 'write'], ask: (access) => [{ app, principal, access: access as 'read' }] }

  const target = dst === undefined ? null : software(dst)
  if (!resource && (!target || app === 'exchange'))
    return { at: 'dst', fault: `"dst" names nothing of this file that "${app}" could be about.` }

  if (app === 'exchange') {
    const acts = entry.actor === undefined ? null : principalOf(entry.actor, {})
    const actor: NodePrincipal | null = acts?.kind === 'node' ? acts : null
    const client = software(entry.actor ?? '') ?? (actor && { client_id: entry.actor ?? '', name: null })
    if (!client) return { at: 'actor', fault: 'A test of "exchange" needs an "actor": a client of this file, or a tag.' }
    const from = entry.from
    if (from === undefined || !policy.resources.has(from))
      return { at: 'from', fault: 'A test of "exchange" needs "from": the resource of this file that the subject token is for.' }
    const common = {
      app,
      principal,
      client,
      actor,
      from,
      held: entry.with ?? [],
      resource: resource?.name ?? '',
      depth: 1,
      impersonate: false,
    }
    return { items: [...(resource?.scopes.keys() ?? [])], ask: (scope) => [{ ...common, scopes: [scope] }] }
  }

  const said = entry.client === undefined ? null : software(entry.client)
  if (entry.client !== undefined && !said)
    return { at: 'client', fault: `${entry.client} is neither a client of this file nor ${registered}.` }
  // Where no software is said, any will do: what is accepted is given with some, what is denied with none.
  const chosen = said ?? target
  const clients = chosen ? [chosen] : [...names, registered].flatMap((name) => software(name) ?? [])
  const at = resource?.name ?? null
  if (app === 'claims') return { items: ['*'], ask: () => clients.map((client) => ({ app, principal, client, resource: at })) }
  return {
    items: [...(resource?.scopes.keys() ?? []), ...identityScopes],
    ask: (scope) => clients.map((client) => ({ app, principal, client, resource: at, scopes: [scope] })),
  }
}

/** The caller that a test speaks of: a person or a tagged node, of whom nothing is known but what `given` says. */
function principalOf(src: string, { given }: Pick<TestEntry, 'given'>): Principal | null {
  const selector = parseSelector(src)
  if ('refused' in selector) return null
  const capabilities = new Map(Object.entries(given?.caps ?? {}))
  const node: MeshNode = {
    id: 'test',
    name: 'test',
    addresses: [],
    key_expiry: given?.key_expiry ? Number.MAX_SAFE_INTEGER : null,
    os: given?.os ?? null,
    os_version: given?.os_version ?? null,
    ...(given?.attributes && { attributes: given.attributes }),
  }
  const common = { capabilities, node, address: '' }
  if (selector.kind === 'tag') return { kind: 'node', tags: [src, ...(given?.tags ?? [])], ...common }
  if (selector.kind !== 'login') return null
  return { kind: 'user', user_id: 'test', login: src, display_name: null, picture: null, groups: given?.groups ?? null, ...common }
}

/** Misspelt facts would let a test pass that expects a denial. */
function unknownFacts(policy: Policy, { src, given, from, with: held }: TestEntry): [Path, string][] {
  const { names } = (policy.compiled as Engine).groups
  const scopes = policy.resources.get(from ?? '')?.scopes
  const wrong: [Path, string][] = []
  for (const [i, group] of (given?.groups ?? []).entries())
    if (!names.has(group)) wrong.push([['given', 'groups', i], `${quote(group)} is not defined.`])
  for (const [i, scope] of (held ?? []).entries())
    if (scopes && !scopes.has(scope)) wrong.push([['with', i], `${quote(scope)} is not a scope of ${from}.`])
  const { mesh } = policy.compiled as Engine
  for (const name of Object.keys(given?.caps ?? {}))
    if (name !== mesh?.capability) wrong.push([['given', 'caps', name], `${quote(name)} is not the capability that "mesh_grants" names.`])
  for (const fault of meshGrantFaults(policy, principalOf(src, { given }))?.faults ?? []) wrong.push([['given', 'caps'], fault])
  if (given?.tags && !src.startsWith('tag:')) wrong.push([['given', 'tags'], `Only a tagged node has tags, and ${src} is none.`])
  return wrong
}

/** What was expected, what came out, and what would have made the difference. */
function failure(
  { src, app, dst }: TestEntry,
  expected: 'accept' | 'deny',
  item: string,
  given: Verdict | undefined,
  all: Verdict[],
): string {
  const about = `${src} was to be ${expected === 'accept' ? 'given' : 'denied'} ${item === '*' ? `"${app}"` : `"${item}" by "${app}"`}${dst ? ` at ${dst}` : ''}`
  return given?.allowed ? `${about}, and ${giversOf(given)} gives it.` : `${about}, and is not. ${whyNot(all)}`
}

const outcome = (given: Verdict | undefined, all: readonly Verdict[]): string =>
  given?.allowed ? `given, by ${giversOf(given)}` : `denied. ${whyNot(all)}`

function giversOf({ grants, mesh_grants }: Allowed): string {
  const counted = (indexes: readonly number[]) => indexes.map((index) => index + 1).join(', ')
  const named = [
    grants.length > 0 && `grant ${counted(grants)}`,
    mesh_grants.length > 0 && `entry ${counted(mesh_grants)} of the tailnet policy`,
  ]
  return named.filter(Boolean).join(' and ')
}

/** The refusal with a near miss, where one has any: that is the one to learn from. */
function whyNot(all: readonly Verdict[]): string {
  const refusals = all.filter((verdict): verdict is Denied => !verdict.allowed)
  const closest = refusals.find(({ near }) => near.length > 0) ?? refusals[0]
  return closest ? [closest.sentence, ...closest.near].join(' ') : ''
}
