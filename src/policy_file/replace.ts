/** Puts a text in the place of the policy file: whole or not at all, also where the power fails; with the owner and the mode that it had. */
import { randomBytes } from 'node:crypto'
import { lstatSync, renameSync, rmSync, type Stats } from 'node:fs'
import { type FileHandle, open, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { OAuthError } from '../oauth/error.ts'

export type Replacement = {
  /** From now on the file holds the text. Synchronous, so that whoever calls it can do more in the same moment. Throws OAuthError. */
  put: () => void
  /** Resolves when that survives a loss of power. */
  settled: () => Promise<void>
  /** Takes back what is not put yet. */
  discard: () => void
}

/**
 * Writes `text` beside the file at `path` (beside where it leads, for a symbolic link), ready to be put in its place. Throws OAuthError with a
 * sentence that says what to do where this user may not, or where it would not last: a ConfigMap.
 */
export async function replace(path: string, text: string): Promise<Replacement> {
  const target = await targetOf(path)
  const before = await stat(target).catch(() => undefined)
  const directory = dirname(target)
  const temporary = join(directory, `.${basename(target)}.${randomBytes(6).toString('hex')}`)
  const discard = () => rmSync(temporary, { force: true })
  try {
    await write(temporary, text, before)
  } catch (error) {
    discard()
    throw inWords(path, error as NodeJS.ErrnoException)
  }
  return {
    discard,
    put() {
      try {
        renameSync(temporary, target)
      } catch (error) {
        discard()
        throw inWords(path, error as NodeJS.ErrnoException)
      }
    },
    async settled() {
      const handle = await open(directory)
      await handle.sync().finally(() => handle.close())
    },
  }
}

/** The file itself, where `path` leads to it by links. */
async function targetOf(path: string): Promise<string> {
  const target = await realpath(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' && !lstatSync(path, { throwIfNoEntry: false })) return path // deleted: it is made again
    throw inWords(path, error)
  })
  // The volumes of Kubernetes keep their files in a directory ..2026_11_26_13_40_00.123, to which ..data is a link.
  if (target.split('/').some((part) => /^\.\.\d/.test(part)))
    throw new OAuthError(
      'forbidden',
      `${path} is in a volume that Kubernetes writes, so a change here would not last. Change the ConfigMap: the daemon loads it as soon as the volume follows.`,
    )
  return target
}

const usualMode = 0o644
/** Never writable for everybody: such a file would be refused at the next start. */
const kept = 0o775

async function write(file: string, text: string, before: Stats | undefined): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(file, 'wx', 0o600)
    await handle.writeFile(text)
    const { uid, gid } = await handle.stat()
    if (before && (before.uid !== uid || before.gid !== gid)) await handle.chown(before.uid, before.gid)
    await handle.chmod((before?.mode ?? usualMode) & kept)
    await handle.sync()
  } finally {
    await handle?.close()
  }
}

const sentences: Record<string, (path: string) => string> = {
  EACCES: (path) => `The daemon's user may not write in the directory of ${path}`,
  EPERM: (path) => `The daemon's user may not give a new ${path} the owner that the old one has`,
  EROFS: (path) => `${path} is on a file system that is mounted read-only for the daemon`,
  EBUSY: (path) => `${path} is a mount of its own, as containers have it, and cannot be replaced from inside`,
  ENOSPC: (path) => `The disk of ${path} is full`,
}

function inWords(path: string, cause: NodeJS.ErrnoException): OAuthError {
  const what = sentences[cause.code ?? '']?.(path) ?? `${path} cannot be written: ${cause.message}`
  return new OAuthError(
    'forbidden',
    `${what}, so nothing was changed. Where another user or another machine writes this file, put the policy there; then it is loaded, or say: meshidp reload`,
    { cause },
  )
}
