/** A look at a database from beside, while a daemon may use it: nothing is written. */
import { statSync } from 'node:fs'
import Database from 'better-sqlite3'
import { type Migration, pendingMigrations } from './migrate.ts'
import { refuseLinks } from './private_file.ts'

export type Examined = {
  bytes: number
  /** What SQLite finds wrong; null for nothing. */
  damage: string | null
  /** Migrations that the next start will run. */
  pending: number
  /** The newest time that is recorded there, seconds; null where there is none. */
  newest: number | null
  tailnet: string | null
}

/** Examines `file`. Throws StoreRefused where its schema is not the beginning of the program's, and SQLite's own errors. */
export function examine(file: string, migrations: readonly Migration[]): Examined {
  refuseLinks(file)
  const db = new Database(file, { readonly: true, fileMustExist: true, timeout: 2000 })
  try {
    const found = String(db.pragma('quick_check(1)', { simple: true }))
    const pending = pendingMigrations(db, migrations).length
    return {
      bytes: statSync(file).size,
      damage: found === 'ok' ? null : found.replaceAll('\n', ' '),
      pending,
      newest: db.prepare('SELECT max(last_at) FROM decisions').pluck().get() as number | null,
      tailnet: (db.prepare("SELECT value FROM meta WHERE name = 'tailnet'").pluck().get() as string | undefined) ?? null,
    }
  } finally {
    db.close()
  }
}
