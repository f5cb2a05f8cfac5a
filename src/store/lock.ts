/**
 * One daemon per state directory, and one backup at a time. The lock is a transaction that is never ended, on a database of its own: SQLite holds
 * it as a POSIX lock, which the kernel frees when the process is gone, whatever it died of. (The kernel also frees it when this process closes any
 * other descriptor of the same file: nobody else may open `lock.db`.)
 */
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { createPrivate } from './private_file.ts'
import { StateInUse, StoreRefused } from './refused.ts'

export type Lock = { release(): void }

/** Takes the lock that `file` is (0600). Keep the answer for as long as the lock is to be held. Undefined where another process has it. */
export function lockFile(file: string): Lock | undefined {
  createPrivate(file)
  const db = new Database(file, { timeout: 0 })
  try {
    db.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    const { code } = error as { code?: unknown }
    if (code === 'SQLITE_NOTADB' || code === 'SQLITE_CORRUPT')
      throw new StoreRefused(`${file} is damaged. It holds nothing but a lock: where no meshidp runs on this state, remove it.`, error)
    if (code !== 'SQLITE_BUSY') throw error
    return undefined
  }
  return { release: () => void db.close() }
}

/**
 * Makes `dir` where it is missing (0700) and takes its lock.
 * Throws StateInUse where another process has it, StoreRefused where others than the owner can enter the directory.
 */
export function lockState(dir: string): Lock {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  if (statSync(dir).mode & 0o077) throw new StoreRefused(`Others can enter the state directory ${dir}. Close it with: chmod 700 ${dir}`)
  const lock = lockFile(join(dir, 'lock.db'))
  if (!lock) throw new StateInUse(`Another meshidp is using ${dir}. Stop it first, or give this one a state directory of its own.`)
  return lock
}
