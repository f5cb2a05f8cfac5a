/**
 * The embedded engine: SQLite in this process, WAL, one fsync per group of commits.
 *
 * Measured on one core with 16 requests in flight, two rows a commit: 3,000 to 4,600 commits a second with an fsync each, 10,000
 * and more in shared ones. The writer lives in the main thread: in a worker thread it is no faster there (passing the messages costs
 * what the wait for the disk gives back), and its tail is longer.
 */
import { statSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import Database, { type Statement } from 'better-sqlite3'
import { Unavailable } from '../oauth/error.ts'
import { copyBeforeMigration } from './before_migration.ts'
import { type Engine, GuardFailed, type Params, type Write } from './engine.ts'
import { type Migration, migrate } from './migrate.ts'
import { createPrivate } from './private_file.ts'
import { StoreRefused } from './refused.ts'
import { createTroubleOf } from './trouble.ts'

export type SqliteOptions = {
  /** All of the program's; without, the schema is left as it is. */
  migrations?: readonly Migration[]
  /** Seconds: where given, a database is copied before its schema changes (`before_migration.ts`). */
  now?: number
  /** How long a commit waits for another program's lock, in milliseconds. */
  busyTimeout?: number
}

/** Commits that share a transaction, at most: a flood must not hold the event loop for more than a few milliseconds. */
const GROUP = 64
/** Rounds of the event loop in which commits gather, at most. */
const ROUNDS = 4
/** Commits that wait, at most. More than the disk can bear in half a second: better refused now than answered too late. */
const WAITING = 4096
/** How often a lock that another program holds is tried again, in milliseconds. */
const BUSY_RETRY = 20
/** Statements kept prepared: far more than the program has, so that only SQL made at run time could ever push one out. */
const PREPARED = 500
/** A database up to so many bytes is checked at every start; reading a larger one would delay the daemon. */
const CHECKED = 64 * 1024 * 1024

/** What the disk or another program does to us, by primary result code. Everything else is a race or a mistake of ours. */
const outages = new Map([
  ['SQLITE_BUSY', 'The database is locked by another program.'],
  ['SQLITE_CANTOPEN', 'The database cannot be opened.'],
  ['SQLITE_CORRUPT', 'The database is damaged.'],
  ['SQLITE_FULL', 'The disk is full, nothing was saved.'],
  ['SQLITE_IOERR', 'The disk does not answer as it should, nothing was saved.'],
  ['SQLITE_NOMEM', 'There is no memory left, nothing was saved.'],
  ['SQLITE_NOTADB', 'The database is damaged.'],
  ['SQLITE_PROTOCOL', 'The database is locked by another program.'],
  ['SQLITE_READONLY', 'The database cannot be written to, nothing was saved.'],
])

/** Somebody else inserted the same row, or deleted the one that ours refers to: read again, and decide anew. */
const races = new Set([
  'SQLITE_CONSTRAINT_FOREIGNKEY',
  'SQLITE_CONSTRAINT_PRIMARYKEY',
  'SQLITE_CONSTRAINT_ROWID',
  'SQLITE_CONSTRAINT_UNIQUE',
])

type Batch = { writes: readonly Write[]; since: number; resolve: () => void; reject: (error: unknown) => void }

/**
 * Opens the database file, made where it is missing, and brings its schema up to date.
 * Throws StoreRefused where it is damaged, newer than the program, or where this SQLite is not to be trusted with it.
 */
export async function openSqlite(file: string, options: SqliteOptions = {}): Promise<Engine> {
  const { busyTimeout = 2000 } = options
  const db = await openDatabase(file, { ...options, busyTimeout })
  const trouble = createTroubleOf(file)
  const prepared = statements(db)
  const [begin, commit, rollback] = [db.prepare('BEGIN IMMEDIATE'), db.prepare('COMMIT'), db.prepare('ROLLBACK')]
  const [savepoint, release, undo] = [db.prepare('SAVEPOINT batch'), db.prepare('RELEASE batch'), db.prepare('ROLLBACK TO batch')]

  const waiting: Batch[] = []
  let scheduled = false
  let closing: Promise<void> | undefined
  let drained: (() => void) | undefined

  /** After the event loop has taken in all that had arrived: what it brought shares one fsync. */
  function schedule(): void {
    if (scheduled) return
    scheduled = true
    gather(0, ROUNDS)
  }

  /** As long as every round of the event loop brings more, another one is waited for: where nothing comes, that costs microseconds. */
  function gather(before: number, rounds: number): void {
    const { length } = waiting
    if (rounds === 0 || length === before || length >= GROUP) flush()
    else setImmediate(() => gather(length, rounds - 1))
  }

  function flush(): void {
    scheduled = false
    const group = waiting.splice(0, GROUP)
    if (group.length > 0 && !land(group)) {
      scheduled = true
      setTimeout(flush, BUSY_RETRY)
    } else if (waiting.length > 0) schedule()
    else drained?.()
  }

  /** Answers every batch of the group, and true; or puts those that may still wait for the lock back in line, and false. */
  function land(group: Batch[]): boolean {
    const failed = new Map<Batch, unknown>()
    try {
      begin.run()
      for (const batch of group) attempt(batch, group.length > 1, failed)
      // A batch on its own has no savepoint: where it failed, all did.
      if (failed.size === group.length) rollback.run()
      else commit.run()
    } catch (error) {
      if (primaryCode(error) === 'SQLITE_BUSY' && !db.inTransaction) return waitForLock(group, error)
      trouble.met(primaryCode(error), (error as Error).message)
      // The rollback may fail as the commit did; the next BEGIN then fails too, and its rollback tries again.
      if (db.inTransaction) attemptRollback()
      for (const { reject } of group) reject(unavailable(error))
      return true
    }
    if (failed.size < group.length) trouble.wrote()
    for (const batch of group) failed.has(batch) ? batch.reject(failed.get(batch)) : batch.resolve()
    return true
  }

  /** Runs a batch in the open transaction; one that fails leaves nothing behind. Throws what concerns the whole group. */
  function attempt(batch: Batch, shared: boolean, failed: Map<Batch, unknown>): void {
    if (shared) savepoint.run()
    try {
      for (const write of batch.writes) apply(write)
    } catch (error) {
      if (outages.has(primaryCode(error)) || !db.inTransaction) throw error
      if (shared) undo.run()
      failed.set(batch, error)
    }
    if (shared) release.run()
  }

  function apply(write: Write): void {
    let changes: number
    try {
      changes = prepared(write.sql).run(write.params).changes
    } catch (error) {
      throw races.has(code(error)) ? new GuardFailed(write, error) : error
    }
    if (write.expect !== undefined && changes !== write.expect) throw new GuardFailed(write)
  }

  /** Asks again later instead of letting SQLite wait: that would stop the event loop, and with it every read. */
  function waitForLock(group: Batch[], error: unknown): false {
    const patience = performance.now() - busyTimeout
    waiting.unshift(...group)
    const patient = waiting.findIndex(({ since }) => since > patience) // the longest waiting come first
    for (const { reject } of waiting.splice(0, patient < 0 ? waiting.length : patient)) reject(unavailable(error))
    return false
  }

  /** Writes what is there already, a page of it. */
  function attemptWrite(): void {
    try {
      db.pragma('user_version = 0')
      trouble.wrote()
    } catch (error) {
      trouble.met(primaryCode(error), (error as Error).message)
    }
  }

  function attemptRollback(): void {
    try {
      rollback.run()
    } catch {}
  }

  function read<T>(sql: string, run: (statement: Statement) => T): T {
    if (closing) throw closed()
    if (trouble.now()?.unreadable) throw new Unavailable('The database is damaged.')
    try {
      const statement = prepared(sql)
      if (!statement.readonly) throw new TypeError(`Only commit may write: ${sql}`)
      return run(statement)
    } catch (error) {
      trouble.met(primaryCode(error), (error as Error).message)
      throw outages.has(primaryCode(error)) ? unavailable(error) : error
    }
  }

  return {
    async get<Row>(sql: string, params: Params) {
      return read(sql, (statement) => statement.get(params)) as Row | undefined
    },

    async all<Row>(sql: string, params: Params) {
      return read(sql, (statement) => statement.all(params)) as Row[]
    },

    commit(writes) {
      if (closing) return Promise.reject(closed())
      const refusal = trouble.refusal()
      if (refusal !== null) return Promise.reject(new Unavailable(refusal))
      if (waiting.length >= WAITING) return Promise.reject(new Unavailable('The database cannot keep up.', { retryAfter: 1 }))
      return new Promise((resolve, reject) => {
        waiting.push({ writes, since: performance.now(), resolve, reject })
        schedule()
      })
    },

    trouble: trouble.now,

    examine() {
      if (!closing) trouble.examine(() => attemptWrite())
    },

    close() {
      closing ??= new Promise<void>((resolve) => {
        drained = resolve
        schedule()
      }).then(() => void db.close())
      return closing
    },
  }
}

async function openDatabase(
  file: string,
  { migrations, now, busyTimeout }: SqliteOptions & { busyTimeout: number },
): Promise<Database.Database> {
  createPrivate(file)
  const db = new Database(file, { timeout: busyTimeout })
  try {
    assertTrusted(db.prepare('SELECT sqlite_version()').pluck().get() as string)
    db.pragma('trusted_schema = OFF')
    check(db, file)
    if (db.pragma('journal_mode = WAL', { simple: true }) !== 'wal')
      throw new StoreRefused(`The file system of ${file} cannot hold a write-ahead log. Put the state directory on a local disk.`)
    db.pragma('synchronous = FULL') // after WAL: this build of SQLite would otherwise lower it
    db.pragma('foreign_keys = ON')
    db.pragma('cache_size = -6000') // KiB; the kernel keeps the rest of the file at hand
    db.pragma('temp_store = MEMORY') // no copy of a row outside the state directory
    // The commit that fills the log pays for moving it into the database, 2 ms and then 10 µs a page, while everyone waits. With the
    // usual 1,000 pages p99 of a commit was 12 ms, with 250 it is 6 ms, for 2 to 6 % fewer commits.
    db.pragma('wal_autocheckpoint = 250')
    db.pragma('journal_size_limit = 16777216') // a log that a long read had made larger shrinks again
    if (migrations && now !== undefined) await copyBeforeMigration(db, migrations, now)
    if (migrations) migrate(db, migrations)
    db.pragma('busy_timeout = 0') // from here on `waitForLock` waits
    return db
  } catch (error) {
    db.close()
    if (error instanceof StoreRefused || !outages.has(primaryCode(error))) throw error
    const damaged = ['SQLITE_CORRUPT', 'SQLITE_NOTADB'].includes(primaryCode(error))
    throw new StoreRefused(damaged ? damage(file, (error as Error).message) : `${file}: ${outages.get(primaryCode(error))}`, error)
  }
}

/** The WAL-reset bug (sqlite.org/wal.html) can lose commits before 3.51.3; 3.52.0 was withdrawn. Throws StoreRefused. */
export function assertTrusted(version: string): void {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  const old = major < 3 || (major === 3 && (minor < 51 || (minor === 51 && patch < 3)))
  if (old || version === '3.52.0')
    throw new StoreRefused(`SQLite ${version} can lose what it has committed. Reinstall with: npm ci (it brings 3.51.3 or newer).`)
}

function check(db: Database.Database, file: string): void {
  if (statSync(file).size > CHECKED) return
  const found = db.pragma('quick_check(1)', { simple: true })
  if (found !== 'ok') throw new StoreRefused(damage(file, String(found).replaceAll('\n', ' ')))
}

const damage = (file: string, what: string) => `${file} is damaged (${what}). Restore a backup, and keep this file: it may help to see why.`

/** Prepared statements by their text. */
function statements(db: Database.Database): (sql: string) => Statement {
  const kept = new Map<string, Statement>()
  return (sql) => {
    const known = kept.get(sql)
    if (known) return known
    const made = db.prepare(sql)
    kept.set(sql, made)
    const [oldest] = kept.keys()
    if (kept.size > PREPARED && oldest !== undefined) kept.delete(oldest)
    return made
  }
}

/** What is refused to this user, and may not be to another one. */
const ofAnother = new Set(['EACCES', 'EPERM', 'SQLITE_CANTOPEN', 'SQLITE_PERM', 'SQLITE_READONLY'])

/** What the machine does not let us have at the start, as a StoreRefused with a sentence; anything else as it is. */
export function refusedBy(directory: string, error: unknown): unknown {
  const { syscall, message } = error as NodeJS.ErrnoException
  const words = outages.get(primaryCode(error)) ?? (syscall === undefined ? undefined : `${message}.`)
  if (words === undefined) return error
  const remedy = ` Run it as the user whose state it is, and see that all of it is that user's, to read and to write: ls -laR ${directory}`
  return new StoreRefused(`The state in ${directory} cannot be opened: ${words}${ofAnother.has(primaryCode(error)) ? remedy : ''}`, error)
}

const code = (error: unknown) => String((error as { code?: unknown } | null)?.code ?? '')
/** `SQLITE_IOERR_FSYNC` → `SQLITE_IOERR`. */
const primaryCode = (error: unknown) => code(error).split('_', 2).join('_')

const unavailable = (cause: unknown) =>
  new Unavailable(outages.get(primaryCode(cause)) ?? 'The database failed, nothing was saved.', { cause })
const closed = () => new Unavailable('The daemon is stopping.')
