import { chmodSync, closeSync, fchownSync, fstatSync, fsyncSync, openSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/**
 * Sees to it that `file` exists and that only its owner can read it (0600); SQLite gives the same mode to `-wal` and `-shm`.
 * A file that exists is never opened: closing a descriptor of it would drop the locks that this process holds on it. Where root makes it, it belongs to
 * whoever has the directory: the daemon's user.
 */
export function createPrivate(file: string): void {
  try {
    const descriptor = openSync(file, 'wx', 0o600)
    const { uid, gid } = statSync(dirname(file))
    if (fstatSync(descriptor).uid !== uid) fchownSync(descriptor, uid, gid)
    closeSync(descriptor)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    chmodSync(file, 0o600)
  }
}

/** What a write that was cut short leaves behind: never read, and overwritten by the next one. */
export const unfinishedOf = (file: string): string => join(dirname(file), `.${basename(file)}.unfinished`)

/** Whether this name of a file is that of such a rest. */
export const isUnfinished = (name: string): boolean => /^\..*\.unfinished$/.test(name)

/** `text` is what `file` (0600) holds, whole or not at all; on disk when this returns. */
export function writePrivate(file: string, text: string): void {
  const unfinished = unfinishedOf(file)
  writeFileSync(unfinished, text, { mode: 0o600, flush: true })
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
