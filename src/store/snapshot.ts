/** A copy of a database as it is at one moment, made from beside it: whoever uses it neither waits nor notices. */
import { closeSync, fsyncSync, openSync, rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { createPrivate, refuseLinks } from './private_file.ts'
import { StoreRefused } from './refused.ts'

/** Pages a step, of 4 KiB: between steps others have their turn, and progress is told. */
const step = 1000

/** Removes a copy, also one that was cut short, with what SQLite keeps beside it. Throws where it is a directory. */
export function removeCopy(file: string): void {
  for (const suffix of ['-journal', '-wal', '-shm', '']) rmSync(file + suffix, { force: true })
}

/** Copies `from` to `to` (0600, on disk when this resolves), in the place of what is there. `progress`: of the whole, 0 to 1. Throws SQLite's own errors. */
export async function copyDatabase(from: string, to: string, progress: (share: number) => void = () => undefined): Promise<void> {
  removeCopy(to)
  createPrivate(to)
  refuseLinks(from)
  const db = new Database(from, { readonly: true, fileMustExist: true, timeout: 5000 })
  try {
    // One read transaction around all steps: they see one moment, whatever is committed meanwhile, and never begin again.
    db.exec('BEGIN')
    db.prepare('SELECT count(*) FROM sqlite_schema').get()
    await db.backup(to, {
      progress({ totalPages, remainingPages }) {
        progress(totalPages === 0 ? 0 : 1 - remainingPages / totalPages)
        return step
      },
    })
  } finally {
    db.close()
  }
  const descriptor = openSync(to, 'r+')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** What SQLite finds wrong with a database that nobody uses, looking at every page, index and reference; null for nothing. */
export function damageOf(file: string): string | null {
  try {
    const db = new Database(file, { fileMustExist: true })
    try {
      const found = String(db.pragma('integrity_check(1)', { simple: true }))
      if (found !== 'ok') return found.replaceAll('\n', ' ')
      const [dangling] = db.pragma('foreign_key_check') as { table: string }[]
      return dangling ? `rows of ${dangling.table} refer to nothing` : null
    } finally {
      db.close()
    }
  } catch (error) {
    return (error as Error).message
  }
}

/** Whatever it holds, it could not be looked at: beside a database with a write-ahead log SQLite has to write, to read. */
const closedTo = new Set<unknown>([
  'SQLITE_CANTOPEN',
  'SQLITE_PERM',
  'SQLITE_READONLY',
  'SQLITE_READONLY_DIRECTORY',
  'SQLITE_READONLY_CANTINIT',
])

/** What a database says of itself. Throws StoreRefused where it is none of ours, or cannot be read. */
export function describeDatabase(file: string): { schema: number; name: string; issuer: string | null; tailnet: string | null } {
  refuseLinks(file)
  const db = new Database(file, { readonly: true, fileMustExist: true, timeout: 5000 })
  try {
    const { schema, name } = db.prepare('SELECT id AS schema, name FROM migrations ORDER BY id DESC LIMIT 1').get() as {
      schema: number
      name: string
    }
    const fact = db.prepare('SELECT value FROM meta WHERE name = ?').pluck()
    return {
      schema,
      name,
      issuer: (fact.get('issuer') as string | undefined) ?? null,
      tailnet: (fact.get('tailnet') as string | undefined) ?? null,
    }
  } catch (cause) {
    const { code, message } = cause as { code?: unknown; message: string }
    if (closedTo.has(code))
      throw new StoreRefused(
        `${file} cannot be read: ${message}. See whose it and its folder are (ls -la), and whether its file system is read-only (findmnt).`,
        cause,
      )
    throw new StoreRefused(`${file} is no database of meshidp.`, cause)
  } finally {
    db.close()
  }
}
