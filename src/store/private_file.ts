import { chmodSync, closeSync, openSync } from 'node:fs'

/**
 * Sees to it that `file` exists and that only its owner can read it (0600); SQLite gives the same mode to `-wal` and `-shm`.
 * A file that exists is never opened: closing a descriptor of it would drop the locks that this process holds on it.
 */
export function createPrivate(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    chmodSync(file, 0o600)
  }
}
