/** Makes a backup: database, keys and secrets of a state in one file, while a daemon may use it. */
import { createReadStream, existsSync, lstatSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Config } from '../config.ts'
import { loadKeys } from '../keys/keyset.ts'
import { type Lock, lockFile } from '../store/lock.ts'
import { isUnfinished, syncDirectory, unfinishedOf } from '../store/private_file.ts'
import { copyDatabase, damageOf, describeDatabase, removeCopy } from '../store/snapshot.ts'
import { timeName } from '../store/time_name.ts'
import { type Entry, pack } from './archive.ts'
import { encrypt, type Secret } from './encryption.ts'
import { finishBegun } from './finish_begun.ts'
import { type Manifest, version } from './manifest.ts'
import { BackupRefused } from './refused.ts'

export type Backup = {
  /** Where it is to be; nothing may be there. */
  file: string
  /** Null: whoever can read it can use its keys. */
  secret: Secret | null
  /** Seconds. */
  now: number
  /** Of the whole, 0 to 1. */
  progress?: (share: number) => void
}

export type Made = Manifest & { file: string; bytes: number; keys: number; secrets: number; encrypted: boolean }

/** Resolves when it is on disk, whole, under its name (0600). Throws BackupRefused, with a sentence; then there is no such file. */
export async function makeBackup(config: Config, { file, secret, now, progress = () => undefined }: Backup): Promise<Made> {
  const state = config.state_directory
  const database = join(state, 'meshidp.db')
  if (existsSync(file)) throw new BackupRefused(`${file} is there already. Name another file, or a directory.`)
  if (!existsSync(dirname(file))) throw new BackupRefused(`There is no directory ${dirname(file)}.`)
  finishBegun(state)
  if (!existsSync(database)) throw new BackupRefused(`There is no state in ${state} that could be backed up.`)
  const lock = onlyOne(state)
  const copy = join(state, '.backup.unfinished')
  const unfinished = unfinishedOf(file)
  try {
    const { ino } = statSync(database)
    await copyDatabase(database, copy, (share) => progress(share * 0.8))
    const damage = damageOf(copy)
    if (damage !== null) throw new BackupRefused(`${database} is damaged (${damage}), so no backup was made. Restore an older one.`)
    const { schema, name, issuer, tailnet } = describeDatabase(copy)
    const files = [...keysOf(state), ...secretsOf(config)]
    if (statSync(database).ino !== ino) throw new BackupRefused('A backup was restored meanwhile. Try again.')
    const manifest: Manifest = {
      format: 'meshidp-backup',
      version,
      made_at: now,
      schema: { id: schema, name },
      issuer: config.issuer ?? issuer,
      tailnet,
    }
    const entries: Entry[] = [
      inMemory('manifest.json', Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`)),
      { name: 'meshidp.db', bytes: statSync(copy).size, content: bytesOf(copy) },
      ...files,
    ]
    const plain = pack(entries, now)
    await writeOut(unfinished, secret ? await encrypt(plain, secret) : plain)
    await rename(unfinished, file)
    syncDirectory(dirname(file))
    progress(1)
    const count = (folder: string) => files.filter((entry) => entry.name.startsWith(folder)).length
    return { ...manifest, file, bytes: statSync(file).size, keys: count('keys/'), secrets: count('secrets/'), encrypted: secret !== null }
  } catch (error) {
    rmSync(unfinished, { force: true })
    const { syscall, message } = error as NodeJS.ErrnoException
    throw syscall === undefined && !isOfSqlite(error) ? error : new BackupRefused(`No backup was made: ${message}.`, { cause: error })
  } finally {
    removeCopy(copy)
    lock.release()
  }
}

const isOfSqlite = (error: unknown) => String((error as { code?: unknown }).code).startsWith('SQLITE_')

/** Two at once would share one copy. */
function onlyOne(state: string): Lock {
  const lock = lockFile(join(state, 'backup-lock.db'))
  if (!lock) throw new BackupRefused('Another backup is being made just now. Try again when it is done.')
  return lock
}

/** The bytes of a file that is opened when they are wanted: an open stream that nobody reads would end the process when its file goes. */
async function* bytesOf(file: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(file, { highWaterMark: 256 * 1024 })
}

const inMemory = (name: string, content: Buffer): Entry => ({ name, bytes: content.length, content: [content] })

/** The keys, as they are between two changes of them. None where they are not in the state directory, but systemd credentials. Throws KeyError. */
function keysOf(state: string): Entry[] {
  const directory = join(state, 'keys')
  for (let tries = 5; existsSync(directory); tries--)
    try {
      loadKeys(directory)
      return filesOf(directory, 'keys')
    } catch (error) {
      // One of them was taken away between being listed and being read.
      if (tries === 0 || !(error as Error).message.includes('ENOENT')) throw error
    }
  return []
}

/** The secrets of the policy's clients, where they lie in the state directory. */
const secretsOf = ({ state_directory, secrets_directory }: Config): Entry[] =>
  secrets_directory === join(state_directory, 'secrets') && existsSync(secrets_directory) ? filesOf(secrets_directory, 'secrets') : []

/** The files of a directory, also those that are links to files elsewhere: what the daemon reads there is what the archive holds. Throws BackupRefused. */
const filesOf = (directory: string, folder: string): Entry[] =>
  readdirSync(directory)
    .filter((name) => !isUnfinished(name) && isFile(join(directory, name)))
    .map((name) => inMemory(`${folder}/${name}`, readFileSync(join(directory, name))))

/** False of a directory, for nothing is looked for below it, and of what has gone meanwhile. Throws BackupRefused for what the daemon might want, and nobody can read. */
function isFile(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found?.isFile() || found?.isDirectory()) return found.isFile()
  if (!lstatSync(path, { throwIfNoEntry: false })) return false
  const what = found ? 'neither a file nor a link to one' : 'a link to a file that is not there'
  throw new BackupRefused(`${path} is ${what}, so no backup was made. Put the file there, or remove it.`)
}

async function writeOut(file: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  rmSync(file, { force: true })
  const handle = await open(file, 'wx', 0o600)
  try {
    for await (const chunk of bytes) await handle.writeFile(chunk)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The name of a backup of `now` (seconds) in a directory. */
export const backupName = (now: number, encrypted: boolean): string => `meshidp-${timeName(now)}.tar${encrypted ? '.age' : ''}`

/** What `backupName` gives; and what a backup that was cut short leaves under such a name. */
const named = /^meshidp-\d{8}T\d{6}Z\.tar(?:\.age)?$/
const unfinishedNamed = /^\.meshidp-\d{8}T\d{6}Z\.tar(?:\.age)?\.unfinished$/

/**
 * Keeps `made`, which was made just now in its directory, and of the others of such names the newest, `most` in all; also rests of others go. Returns the
 * names of those that went. The times are those of the names, and a clock may have been wrong: so `made` stays, whatever its name.
 */
export function keepNewest(made: string, most: number): string[] {
  const directory = dirname(made)
  const names = readdirSync(directory)
  const others = names.filter((name) => named.test(name) && name !== basename(made)).sort()
  const gone = others.slice(0, Math.max(0, others.length - (most - 1)))
  for (const name of [...gone, ...names.filter((name) => unfinishedNamed.test(name))]) rmSync(join(directory, name))
  return gone
}
