/** Restores a backup: verified whole, made ready beside the state, and swapped in at once. */
import {
  closeSync,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
} from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { loadKeys } from '../keys/keyset.ts'
import { beginEpoch } from '../store/epoch.ts'
import { lockState } from '../store/lock.ts'
import { migrations } from '../store/migrations/index.ts'
import { giveAll, syncDirectory } from '../store/private_file.ts'
import { damageOf, describeDatabase } from '../store/snapshot.ts'
import { openSqlite } from '../store/sqlite.ts'
import { unpack } from './archive.ts'
import { ageMark, decrypt, type Secret } from './encryption.ts'
import { parseManifest } from './manifest.ts'
import { assertMovable } from './movable.ts'
import { BackupRefused } from './refused.ts'
import { commitSwap, finishSwap, movedFor, newLabel, replacedBy, unfinishedIn } from './swap.ts'

export type Restore = {
  file: string
  /** What opens it; null where it is not encrypted. */
  secret: Secret | null
  /** Whether a state that is there may be replaced. */
  replace: boolean
  /** Seconds. */
  now: number
}

export type Restored = {
  file: string
  /** When the backup was made, seconds; null where the file does not say. */
  made_at: number | null
  issuer: string | null
  tailnet: string | null
  /** The keys that are there now are those of the backup. */
  keys: boolean
  /** Where the former state is; null where there was none. */
  former: string | null
}

/**
 * Resolves when the restored state is the state, on disk. Throws StateInUse while a daemon runs, StoreRefused, KeyError and BackupRefused, with a sentence:
 * then nothing of the old one is changed, but where that of `finishSwap` says how far it came.
 */
export async function restore(config: Config, { file, secret, replace, now }: Restore): Promise<Restored> {
  const state = config.state_directory
  const kind = kindOf(file, secret)
  const lock = lockState(state)
  const prepared = unfinishedIn(state)
  try {
    finishSwap(state)
    rmSync(prepared, { recursive: true, force: true })
    mkdirSync(prepared, { mode: 0o700 })
    if (kind === 'database') await takeDatabase(file, prepared)
    else await unpack(contentOf(file, kind, secret), prepared)
    const said = kind === 'database' ? null : parseManifest(textOf(join(prepared, 'manifest.json')))
    const replaced = replacedBy(state, prepared)
    if (replaced.length > 0 && !replace)
      throw new BackupRefused(
        `There is a state in ${state} already (${replaced.join(', ')}). To put the backup in its place, say --replace: it is kept beside it.`,
      )
    assertMovable(state, movedFor(state, prepared), join(prepared, 'probe'))
    const database = join(prepared, 'meshidp.db')
    await makeReady(database, now)
    const keys = join(prepared, 'keys')
    if (existsSync(keys)) loadKeys(keys)
    const { issuer, tailnet } = said ?? describeDatabase(database)
    giveAll(prepared)
    syncAll(prepared)
    const hasKeys = existsSync(keys)
    commitSwap(state, newLabel(now))
    return { file, made_at: said?.made_at ?? null, issuer, tailnet, keys: hasKeys, former: finishSwap(state) }
  } catch (error) {
    const { syscall, message } = error as NodeJS.ErrnoException
    throw syscall === undefined ? error : new BackupRefused(`Nothing was restored: ${message}.`, { cause: error })
  } finally {
    rmSync(prepared, { recursive: true, force: true })
    lock.release()
  }
}

type Kind = 'archive' | 'encrypted' | 'database'

/** What `file` is, by its first letters; and whether `secret` is what it needs. Throws BackupRefused. */
function kindOf(file: string, secret: Secret | null): Kind {
  const start = Buffer.alloc(512)
  try {
    // It is read twice, which a pipe cannot be; and opening one may take for ever.
    if (!statSync(file).isFile()) throw new Error('it is no file')
    const descriptor = openSync(file, 'r')
    try {
      readSync(descriptor, start, 0, start.length, 0)
    } finally {
      closeSync(descriptor)
    }
  } catch (cause) {
    throw new BackupRefused(`${file} cannot be read: ${(cause as Error).message}.`, { cause })
  }
  const text = start.toString('latin1')
  const kind = text.startsWith(ageMark)
    ? 'encrypted'
    : text.startsWith('SQLite format 3\0')
      ? 'database'
      : text.startsWith('manifest.json\0')
        ? 'archive'
        : null
  if (kind === null) throw new BackupRefused(`${file} is no backup of meshidp.`)
  if (kind === 'encrypted' && !secret) throw new BackupRefused(`${file} is encrypted. Say --passphrase-file or --identity-file.`)
  if (kind !== 'encrypted' && secret)
    throw new BackupRefused(`${file} is not encrypted, though what opens it was given: is it yours? If so, leave that option away.`)
  return kind
}

function contentOf(file: string, kind: Kind, secret: Secret | null): AsyncIterable<Uint8Array> {
  const bytes = createReadStream(file, { highWaterMark: 256 * 1024 })
  return kind === 'encrypted' && secret ? decrypt(bytes, secret) : bytes
}

/** A database alone, such as the copy that was made before a migration: the keys stay as they are. */
async function takeDatabase(file: string, prepared: string): Promise<void> {
  if (existsSync(`${file}-wal`))
    throw new BackupRefused(`${file} is in use, or was not closed: ${file}-wal lies beside it. Take a backup of it instead.`)
  await copyFile(file, join(prepared, 'meshidp.db'))
}

function textOf(file: string): string {
  if (!existsSync(file)) throw new BackupRefused('This backup has no manifest. Take another one.')
  return readFileSync(file, 'utf8')
}

/** Checks the database, brings its schema up to date, and begins a new epoch in it. Throws BackupRefused, StoreRefused. */
async function makeReady(database: string, now: number): Promise<void> {
  if (!existsSync(database)) throw new BackupRefused('There is no database in this backup. Take another one.')
  const damage = damageOf(database)
  if (damage !== null) throw new BackupRefused(`The database in this backup is damaged (${damage}). Take another one.`)
  describeDatabase(database)
  const engine = await openSqlite(database, { migrations })
  try {
    await engine.commit(beginEpoch(now))
  } finally {
    await engine.close()
  }
}

/** All of it is on disk when this returns. */
function syncAll(prepared: string): void {
  for (const name of readdirSync(prepared, { recursive: true, encoding: 'utf8' }))
    if (statSync(join(prepared, name)).isDirectory()) syncDirectory(join(prepared, name))
  syncDirectory(prepared)
}
