/** Grants that the mesh brings along with a caller: `CapMap` of whois, under the one capability name that the policy file says. */
import { hash } from 'node:crypto'
import { type Path, quote } from '../hujson/read.ts'
import type { Report } from '../hujson/report.ts'
import { reportSchemaIssues } from '../hujson/schema_problems.ts'
import type { Principal } from '../oauth/principal.ts'
import { exampleOf } from './descriptions.ts'
import { type App, meshGrant } from './document.ts'
import { compileGrant } from './grants.ts'
import type { Policy } from './policy.ts'
import { type Engine, type Grant, newShelves, type Rules, type Shelf, type Shelves, shelve } from './rules.ts'
import { callerKey } from './selector.ts'

/** What one caller's values come to. `grants`: the entries that mean something, by their index; `faults`: why others give nothing, each a sentence. */
export type MeshGrants = { digest: string; shelves: Shelves; grants: ReadonlyMap<number, Grant>; faults: readonly string[] }

const mostEntries = 100
const mostBytes = 64 * 1024
const mostFaults = 3
const mostRemembered = 1000

/** The file's shelf of one kind, and the caller's own where the mesh brings grants along. */
export function shelvesOf<A extends App>(engine: Engine, app: A, principal: Principal | null): readonly Shelf<Rules[A]>[] {
  const own = meshGrantsOf(engine, principal)
  const file = engine.shelves[app] as Shelf<Rules[A]>
  return own ? [file, own.shelves[app] as Shelf<Rules[A]>] : [file]
}

/** The capability under which this policy takes grants from the tailnet policy; null where it takes none. */
export const capabilityOf = ({ compiled }: Policy): string | null => (compiled as Engine).mesh?.capability ?? null

/** Why entries of this caller's capability give nothing, with the digest of all of them; null where none is wrong. */
export function meshGrantFaults(policy: Policy, principal: Principal | null): Pick<MeshGrants, 'digest' | 'faults'> | null {
  const own = meshGrantsOf(policy.compiled as Engine, principal)
  return own && own.faults.length > 0 ? own : null
}

/** The caller's own grants, compiled once for each content; null where there are none. */
export function meshGrantsOf(engine: Engine, principal: Principal | null): MeshGrants | null {
  const { mesh } = engine
  const values = mesh && principal?.capabilities.get(mesh.capability)
  if (!mesh || !values || values.length === 0) return null
  const known = mesh.byValues.get(values)
  if (known) return known
  const text = JSON.stringify(values)
  const digest = hash('sha256', text)
  const made = mesh.byDigest.get(digest) ?? compileValues(engine, mesh, values, { digest, bytes: Buffer.byteLength(text) })
  if (mesh.byDigest.size >= mostRemembered) mesh.byDigest.clear()
  mesh.byDigest.set(digest, made)
  mesh.byValues.set(values, made)
  return made
}

type Mesh = NonNullable<Engine['mesh']>

function compileValues(
  engine: Engine,
  { capability, admin }: Mesh,
  values: readonly unknown[],
  { digest, bytes }: { digest: string; bytes: number },
): MeshGrants {
  const shelves = newShelves()
  const grants = new Map<number, Grant>()
  if (bytes > mostBytes || values.length > mostEntries) {
    const limit = `${capability} of the tailnet policy holds more than ${mostEntries} entries or ${mostBytes / 1024} KiB for this caller, so all of it gives nothing.`
    return { digest, shelves, grants, faults: [limit] }
  }
  const faults = values.flatMap((value, index) => {
    const label = `entry ${index + 1} of ${capability} in the tailnet policy`
    const { report, found } = collector()
    const entry = compileEntry(engine, admin, value, report, { index, label })
    // Whole or not at all: half an entry could mean something that nobody wrote.
    if (entry && found.length === 0) {
      grants.set(index, entry.grant)
      for (const app of Object.keys(shelves) as App[]) addTo(shelves, app, entry.shelves)
    }
    return found.length === 0 ? [] : [`Nothing is given by ${label}: ${found.slice(0, mostFaults).join(' ')}`]
  })
  return { digest, shelves, grants, faults }
}

function compileEntry(
  { groups, resources, clients }: Engine,
  admin: boolean,
  value: unknown,
  report: Report,
  { index, label }: Pick<Grant, 'index' | 'label'>,
): { grant: Grant; shelves: Shelves } | null {
  const parsed = meshGrant.safeParse(value)
  if (!parsed.success) {
    reportSchemaIssues(report, parsed.error.issues, { value, schema: meshGrant, whole: 'the entry', hintOf: exampleOf })
    return null
  }
  if (parsed.data.app.admin && !admin)
    report.error(
      ['app', 'admin'],
      'Nobody becomes an admin by the tailnet policy, unless "mesh_grants" of the policy file says "admin": true.',
    )
  if (parsed.data.app.funnel)
    report.error(['app', 'funnel'], 'The mesh knows nobody who comes through Funnel; only the policy file can let a client come that way.')
  const shelves = newShelves()
  const whose = { index, label, source: 'mesh', src: [], keys: new Set([callerKey]) } as const
  return { grant: compileGrant(parsed.data, [], { report, groups, resources, clients, shelves }, whose), shelves }
}

function addTo<A extends App>(shelves: Shelves, app: A, more: Shelves): void {
  for (const [target, { all }] of more[app] as Shelf<Rules[A]>)
    for (const rule of all) shelve(shelves[app] as Shelf<Rules[A]>, target, rule)
}

/** Takes errors as sentences with where they are in the entry; there is no file to point into. */
function collector(): { report: Report; found: string[] } {
  const found: string[] = []
  const error = (path: Path, message: string, { hint }: { hint?: (() => string | undefined) | undefined } = {}) => {
    const where = path.length === 0 ? '' : `at ${quote(path.join('.'))}: `
    found.push([`${where}${message}`, hint?.() ?? []].flat().join(' '))
  }
  return { found, report: { problems: [], error, warning() {} } }
}
