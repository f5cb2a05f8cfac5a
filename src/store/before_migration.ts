/** A copy of the database as it is before its schema changes: so that whoever must go back to the older program can. */
import { readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Database } from 'better-sqlite3'
import { type Migration, pendingMigrations } from './migrate.ts'
import { syncDirectory, unfinishedOf } from './private_file.ts'
import { StoreRefused } from './refused.ts'
import { copyDatabase, removeCopy } from './snapshot.ts'
import { timeName } from './time_name.ts'

const named = /^meshidp-schema-(\d+)-\d{8}T\d{6}Z\.db$/
/** What an attempt that was killed has left: each is as large as the database, and has another name. */
const leftover = /^(\.meshidp-schema-\d+-\d{8}T\d{6}Z\.db\.unfinished)(?:-journal|-wal|-shm)?$/
/** Of so many schemas a copy is kept. */
const kept = 3

/**
 * Copies the database into `meshidp-schema-ID-TIME.db` beside it, ID being the last migration that it has seen, where there are migrations that it has not.
 * On disk when this resolves. An older copy of the same schema goes, those of schemas long ago, and what attempts that were killed have left. Throws StoreRefused where that cannot be: then nothing may be migrated.
 */
export async function copyBeforeMigration(db: Database, migrations: readonly Migration[], now: number): Promise<void> {
  const pending = pendingMigrations(db, migrations).length
  const schema = migrations[migrations.length - pending - 1]?.id
  if (pending === 0 || schema === undefined) return // nothing changes, or nothing is there yet
  const directory = dirname(db.name)
  const file = join(directory, `meshidp-schema-${schema}-${timeName(now)}.db`)
  try {
    removeLeftovers(directory)
    await copyDatabase(db.name, unfinishedOf(file))
    renameSync(unfinishedOf(file), file)
    syncDirectory(directory)
    removeOlder(directory)
  } catch (cause) {
    rmSync(unfinishedOf(file), { recursive: true, force: true })
    throw new StoreRefused(
      `${db.name} must be copied before its schema changes, and that failed: ${(cause as Error).message}. Nothing has changed. Make room, and start again.`,
      cause,
    )
  }
}

function removeLeftovers(directory: string): void {
  for (const name of readdirSync(directory).flatMap((one) => leftover.exec(one)?.[1] ?? [])) removeCopy(join(directory, name))
}

/** Keeps the newest copy of each schema, and those of the newest schemas. */
function removeOlder(directory: string): void {
  const seen = new Set<number>()
  const copies = readdirSync(directory).flatMap((name) => {
    const schema = Number(named.exec(name)?.[1])
    return Number.isNaN(schema) ? [] : [{ name, schema }]
  })
  copies.sort((a, b) => b.schema - a.schema || (a.name < b.name ? 1 : -1))
  for (const { name, schema } of copies) {
    if (seen.has(schema) || seen.size >= kept) rmSync(join(directory, name))
    seen.add(schema)
  }
}
