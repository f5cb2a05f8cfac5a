/** The schema's history: numbered, append-only, checked by hash. What was once released is never edited; a change is one more migration. */
import { hash } from 'node:crypto'
import type { Database } from 'better-sqlite3'
import { StoreRefused } from './refused.ts'

/** `id` counts up. `sql` may hold many statements, but none that begins or ends a transaction. */
export type Migration = { id: number; name: string; sql: string }

type Recorded = { id: number; name: string; sha256: string }

const sha256 = (sql: string) => hash('sha256', sql, 'hex')

/**
 * The migrations that the database has yet to see; writes nothing, so that a backup can be made before `migrate`.
 * Throws StoreRefused where the database's history is not the beginning of the program's.
 */
export function pendingMigrations(db: Database, migrations: readonly Migration[]): readonly Migration[] {
  const begun = db.prepare(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'`).get()
  const recorded = begun ? (db.prepare('SELECT id, name, sha256 FROM migrations ORDER BY id').all() as Recorded[]) : []
  const newest = migrations.at(-1)?.id ?? 0

  recorded.forEach(({ id, name, sha256: seen }, at) => {
    const known = migrations[at]
    if (id > newest)
      throw new StoreRefused(
        `The database is newer than this program: it has migration ${id} (${name}), this program knows ${newest}. ` +
          'Start the newer version again, or restore the backup that was made before the upgrade.',
      )
    if (known?.id !== id || sha256(known.sql) !== seen)
      throw new StoreRefused(
        `Migration ${id} (${name}) of the database is not the one that this program has. ` +
          'Start the version that wrote this database, or restore a backup of this version.',
      )
  })
  return migrations.slice(recorded.length)
}

/** Brings the schema up to date, each migration in a transaction of its own: one that fails or is killed leaves nothing. Throws as above. */
export function migrate(db: Database, migrations: readonly Migration[]): void {
  const pending = pendingMigrations(db, migrations)
  if (pending.length === 0) return

  // A migration that rebuilds a table drops the old one; with foreign keys enforced, that would delete all that refers to it.
  // So they are checked as a whole before each COMMIT instead. The pragma does nothing inside a transaction, hence here.
  db.pragma('foreign_keys = OFF')
  try {
    db.exec('CREATE TABLE IF NOT EXISTS migrations (id INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL) STRICT')
    const record = db.prepare('INSERT INTO migrations (id, name, sha256) VALUES ($id, $name, $sha256)')
    for (const { id, name, sql } of pending) {
      db.transaction(() => {
        db.exec(sql)
        const dangling = db.pragma('foreign_key_check') as { table: string }[]
        if (dangling[0]) throw new StoreRefused(`Migration ${id} (${name}) would leave rows of ${dangling[0].table} that refer to nothing.`)
        record.run({ id, name, sha256: sha256(sql) })
      }).immediate()
    }
  } finally {
    db.pragma('foreign_keys = ON')
  }
}
