/** Rows that move from one installation to another, as `meshidp export` writes them and `meshidp import` takes them. Secrets are digests, here as there. */
import Database from 'better-sqlite3'
import { refuseLinks } from './private_file.ts'

/** What a row is called → its table, and which of its columns hold JSON. What can be spent, or shown to get in, is not among them. */
const moved = new Map<string, { table: string; json: readonly string[] }>([
  ['client', { table: 'clients', json: ['metadata'] }],
  ['consent', { table: 'consents', json: [] }],
  ['authorization', { table: 'authorizations', json: [] }],
  ['record', { table: 'records', json: [] }],
  ['decision', { table: 'decisions', json: ['question', 'detail'] }],
])

export type MovedRow = { type: string } & Record<string, unknown>
type Column = { name: string; type: string; notnull: 0 | 1; dflt_value: string | null }

const columnsOf = (db: Database.Database, table: string): Column[] => db.pragma(`table_info(${table})`) as Column[]

/** All rows, as they are at one moment, from beside whoever uses the database. */
export function* movedRows(file: string): Generator<MovedRow> {
  refuseLinks(file)
  const db = new Database(file, { readonly: true, fileMustExist: true, timeout: 5000 })
  try {
    db.exec('BEGIN')
    for (const [type, { table, json }] of moved)
      for (const row of db.prepare(`SELECT * FROM ${table}`).iterate() as Iterable<Record<string, unknown>>) {
        for (const column of json) if (typeof row[column] === 'string') row[column] = JSON.parse(row[column])
        yield { type, ...row }
      }
  } finally {
    db.close()
  }
}

/** Why authorizations ended that came from another machine: their tokens did not. */
const movedReason = 'it was moved here from another machine'

/** A line holds no row of ours; the message says why. */
export class NotARow extends Error {
  override name = 'NotARow'
}

/** How many of each came, and how many were there already. */
export type Moved = Record<string, { added: number; there: number }>

/**
 * Adds the rows, all or none; what is there already stays as it is. Authorizations come as ended ones, for whoever holds tokens of them signs in anew. `now`: seconds.
 * Throws NotARow. Under the lock of the state only.
 */
export function addRows(file: string, rows: Iterable<MovedRow>, now: number): Moved {
  const db = new Database(file, { fileMustExist: true, timeout: 5000 })
  const came: Moved = {}
  try {
    db.pragma('synchronous = FULL')
    const columns = new Map([...moved].map(([type, { table }]) => [type, columnsOf(db, table)]))
    const owner = db.prepare('INSERT INTO registrants (owner, clients) VALUES (?, 0) ON CONFLICT (owner) DO NOTHING')
    db.transaction(() => {
      for (const { type, ...row } of rows) {
        const kind = moved.get(type)
        if (!kind) throw new NotARow(`${JSON.stringify(type)} is no kind of row`)
        if (type === 'authorization' && row.ended_at === null) Object.assign(row, { ended_at: now, end_reason: movedReason })
        const values = valuesOf(row, columns.get(type) ?? [], kind.json)
        if (type === 'client' && typeof row.owner === 'string') owner.run(row.owner) // the trigger counts there
        const names = Object.keys(values)
        const { changes } = db
          .prepare(
            `INSERT INTO ${kind.table} (${names.join(', ')}) VALUES (${names.map((name) => `$${name}`).join(', ')}) ON CONFLICT DO NOTHING`,
          )
          .run(values)
        came[type] ??= { added: 0, there: 0 }
        came[type][changes === 1 ? 'added' : 'there']++
      }
    }).immediate()
  } finally {
    db.close()
  }
  return came
}

/** The columns of a row, each of its column's type. A column that an older version did not have yet may be missing. Throws NotARow. */
function valuesOf(
  row: Record<string, unknown>,
  columns: readonly Column[],
  json: readonly string[],
): Record<string, string | number | null> {
  const stranger = Object.keys(row).find((name) => !columns.some((column) => column.name === name))
  if (stranger !== undefined) throw new NotARow(`${JSON.stringify(stranger)} is no member of it`)
  const values: Record<string, string | number | null> = {}
  for (const { name, type, notnull, dflt_value } of columns) {
    const given = row[name]
    if (given === undefined) {
      if (notnull === 1 && dflt_value === null) throw new NotARow(`"${name}" is missing`)
      continue
    }
    const value = given !== null && json.includes(name) ? JSON.stringify(given) : given
    const fits = value === null ? notnull === 0 : type === 'INTEGER' ? Number.isSafeInteger(value) : typeof value === 'string'
    if (!fits) throw new NotARow(`"${name}" must be ${type === 'INTEGER' ? 'a whole number' : 'text'}`)
    values[name] = value as string | number | null
  }
  return values
}
