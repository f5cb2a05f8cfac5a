/** What keeps a database file from its work: what SQLite met, and what only a look at the file shows. */
import { type Stats, statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Trouble } from './engine.ts'

/** A disk is full until there is so much room again: the log is written in place, so a single write may succeed where the next one does not. */
const room = 2 ** 20

const isSame = (a: Stats | undefined, b: Stats | undefined) => a !== undefined && b !== undefined && a.ino === b.ino && a.dev === b.dev

/** Undefined where it is not there, or nobody lets us look. */
function lookAt(file: string): Stats | undefined {
  try {
    return statSync(file)
  } catch {
    return undefined
  }
}

/** What is met again and again until something is done about it, by primary result code: for anybody, and for whoever runs it. */
const unwritable = new Map([
  ['SQLITE_FULL', ['the disk is full', 'The disk is full. Free some space; the daemon goes on by itself.']],
  [
    'SQLITE_IOERR',
    [
      'cannot be written to',
      'The disk does not take what is written. See the messages of the kernel (dmesg), and whether the files are immutable (lsattr).',
    ],
  ],
  [
    'SQLITE_READONLY',
    [
      'cannot be written to',
      'It cannot be written to. See whether its file system is mounted read-only (findmnt), and whose it is (ls -l).',
    ],
  ],
  ['SQLITE_CANTOPEN', ['cannot be written to', 'It cannot be opened. See who may read and write the state directory.']],
])

/** Of the database in `file`, which is open, with its write-ahead log. */
export function createTroubleOf(file: string) {
  const files = [file, `${file}-wal`].filter(lookAt)
  const opened = files.map(lookAt)
  let damaged: Trouble | null = null
  let gone: Trouble | null = null
  let failed: { code: string; trouble: Trouble } | null = null

  /** The files are open, so that all seems to work; but what is written into one without a name is lost at the end. */
  function lookForFiles(): void {
    const missing = files.find((name, index) => !isSame(lookAt(name), opened[index]))
    gone = missing
      ? {
          brief: 'its files are gone',
          sentence: `${missing} was deleted or replaced under the running daemon, which writes nothing any more: it would be lost. Put the same file back, or stop the daemon and restore a backup.`,
          unreadable: false,
        }
      : null
  }

  function isRoom(): boolean {
    try {
      const { bavail, bsize } = statfsSync(dirname(file))
      return bavail * bsize >= room
    } catch {
      return false
    }
  }

  return {
    /** The gravest. */
    now: (): Trouble | null => damaged ?? gone ?? failed?.trouble ?? null,

    /** Why nothing may be written, in words for whoever wanted to; null where it may be tried. */
    refusal: (): string | null =>
      damaged ? 'The database is damaged.' : gone ? 'The files of the database are gone, nothing was saved.' : null,

    /** SQLite has failed with this primary result code. */
    met(code: string, message: string): void {
      if (code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB')
        damaged ??= {
          brief: 'damaged',
          // What else stands on other pages may be wrong too, a revoked token valid: so nothing is answered from it.
          sentence: `${file} is damaged (${message}). Nothing is read from it or written to it any more. Stop the daemon, keep this file, and restore a backup.`,
          unreadable: true,
        }
      const [brief, words] = unwritable.get(code) ?? []
      if (brief !== undefined) failed = { code, trouble: { brief, sentence: `${file}: ${words}`, unreadable: false } }
    },

    /** A commit is on disk. */
    wrote(): void {
      if (failed && (failed.code !== 'SQLITE_FULL' || isRoom())) failed = null
    },

    /** Looks at the files; where the last write has failed, `attempt` is to try one. */
    examine(attempt: () => void): void {
      if (damaged) return
      lookForFiles()
      if (failed && !gone) attempt()
    },
  }
}
