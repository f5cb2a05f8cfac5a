/** Files and directories that only their owner can read. What root makes in a state belongs to whoever has the directory it is in: the daemon's user, who must read it. */
import {
  chmodSync,
  closeSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { StoreRefused } from './refused.ts'

type Owner = { uid: number; gid: number }

/** Who has the directory that `path` is in, where root made `path` (of `uid`) and that is somebody else; else undefined. */
function heirOf(path: string, { uid }: Owner): Owner | undefined {
  const owner = statSync(dirname(path))
  return uid === 0 && owner.uid !== 0 ? owner : undefined
}

/** Opens a new file (0600); throws EEXIST where something has its name. */
function openNew(file: string): number {
  const descriptor = openSync(file, 'wx', 0o600)
  const heir = heirOf(file, fstatSync(descriptor))
  if (heir) fchownSync(descriptor, heir.uid, heir.gid)
  return descriptor
}

/**
 * Throws StoreRefused where the database `file`, or what SQLite keeps beside it, is a symbolic link. SQLite follows those, and gives a log that root opens to the
 * owner of the database: whoever has the state could have any file of the machine that way, once root runs a command.
 */
export function refuseLinks(file: string): void {
  for (const path of ['', '-wal', '-shm', '-journal'].map((suffix) => file + suffix))
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink())
      throw new StoreRefused(`${path} is a symbolic link. The files of a state are its own: put the file itself there, or remove the link.`)
}

/**
 * Sees to it that `file` exists and that only its owner can read it (0600); SQLite gives the same mode and owner to `-wal` and `-shm`.
 * A file that exists is never opened: closing a descriptor of it would drop the locks that this process holds on it. Throws StoreRefused where it is a link.
 */
export function createPrivate(file: string): void {
  refuseLinks(file)
  try {
    closeSync(openNew(file))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    chmodSync(file, 0o600)
  }
}

/** Makes a directory (0700) in one that is there. Throws EEXIST. */
export function makePrivateDirectory(directory: string): void {
  mkdirSync(directory, { mode: 0o700 })
  const heir = heirOf(directory, lstatSync(directory))
  if (heir) lchownSync(directory, heir.uid, heir.gid)
}

/** The same for a directory (0700) that root has filled: it goes last, so until then nobody else can put a link in it. */
export function giveAll(directory: string): void {
  const heir = heirOf(directory, lstatSync(directory))
  if (!heir) return
  for (const name of [...readdirSync(directory, { recursive: true, encoding: 'utf8' }), ''])
    lchownSync(join(directory, name), heir.uid, heir.gid)
}

/** What a write that was cut short leaves behind: never read, and removed by the next one. */
export const unfinishedOf = (file: string): string => join(dirname(file), `.${basename(file)}.unfinished`)

/** Whether this name of a file is that of such a rest. */
export const isUnfinished = (name: string): boolean => /^\..*\.unfinished$/.test(name)

/** `text` is what `file` (0600) holds, whole or not at all; on disk when this returns. */
export function writePrivate(file: string, text: string): void {
  const unfinished = unfinishedOf(file)
  rmSync(unfinished, { force: true })
  const descriptor = openNew(unfinished)
  try {
    writeFileSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(unfinished, file)
  syncDirectory(dirname(file))
}

/** What was made, renamed or removed in `directory` stays so, also where the power fails. */
export function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
