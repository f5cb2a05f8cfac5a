/**
 * Tells when a path leads to other content: written in place, renamed over, deleted and made again, or by another turn of a symbolic link anywhere on
 * the way, as Kubernetes swaps `..data`. The kernel tells where it can; besides, the file is looked at every few seconds, since network file systems
 * tell nothing and inotify has limits.
 */
import { type FSWatcher, watch as watchDirectory } from 'node:fs'
import { readlink, stat } from 'node:fs/promises'
import { isAbsolute, join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Log } from '../deps.ts'

export type WatchOptions = {
  /** The file may have changed, and has been left alone for a moment. */
  changed: () => void
  /** Whether to call `changed` at the next look, come what may. */
  again: () => boolean
  log: Log
  /** Milliseconds between two looks. */
  every?: number
  /** For so many milliseconds size and time of the file must stay as they are. */
  steady?: number
  /** How a directory is watched; for tests. */
  watch?: typeof watchDirectory
}

export type FileWatch = { close: () => Promise<void> }

/** Watches until closed. Never throws: what cannot be watched is looked at. */
export function watchFile(
  path: string,
  { changed, again, log, every = 3000, steady = 200, watch = watchDirectory }: WatchOptions,
): FileWatch {
  const watched = new Map<string, { watcher: FSWatcher; names: ReadonlySet<string> }>()
  const closing = new AbortController()
  let blind = false
  let stirred = true // so that what was written before the first look is seen
  let reported = ''
  let looking: Promise<void> | undefined

  /** Watches the directories that matter now, and no others. */
  async function arm(): Promise<void> {
    const places = await placesOf(path)
    for (const [key, { watcher }] of watched)
      if (!places.has(key)) {
        watcher.close()
        watched.delete(key)
      }
    if (closing.signal.aborted) return
    let failed: unknown
    for (const [key, { directory, names }] of places) {
      const known = watched.get(key)
      if (known) known.names = names
      else {
        try {
          watched.set(key, { watcher: listen(key, directory), names })
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOENT') failed = error
        }
      }
    }
    if (failed !== undefined && !blind) tellBlind(failed)
    blind = failed !== undefined
  }

  function listen(key: string, directory: string): FSWatcher {
    const watcher = watch(directory, { persistent: false }, (_event, name) => {
      if (name !== null && !watched.get(key)?.names.has(name)) return
      stirred = true
      look()
    })
    watcher.on('error', (error) => {
      watcher.close()
      watched.delete(key)
      if (!blind) tellBlind(error)
      blind = true
    })
    return watcher
  }

  const tellBlind = (error: unknown) =>
    log.warn({ err: error }, `Changes of ${path} are not told by the kernel here, so it is looked at every ${every / 1000} s.`)

  /** At most one look at a time; what stirs meanwhile is seen by the next. */
  function look(): void {
    looking ??= lookNow()
      .catch((error) => log.warn({ err: error }, `${path} could not be looked at`))
      .finally(() => {
        looking = undefined
        if (stirred && !closing.signal.aborted) look()
      })
  }

  async function lookNow(): Promise<void> {
    await arm() // before the file is looked at, so that nothing falls between
    let seen = await signatureOf(path)
    if (!stirred && seen === reported && !again()) return
    for (let last = ''; last !== seen; seen = await signatureOf(path)) {
      stirred = false
      last = seen
      await pause(steady, undefined, { signal: closing.signal, ref: false }).catch(() => {})
      if (closing.signal.aborted) return
    }
    reported = seen
    changed()
  }

  const timer = setInterval(look, every)
  timer.unref()
  look()
  return {
    async close() {
      closing.abort()
      clearInterval(timer)
      await looking
      for (const { watcher } of watched.values()) watcher.close()
      watched.clear()
    },
  }
}

/** What changes with every other content: which file it is, its size, its times; or why it cannot be looked at. */
const signatureOf = (path: string): Promise<string> =>
  stat(path, { bigint: true }).then(
    ({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs].join(':'),
    ({ code }: NodeJS.ErrnoException) => code ?? 'unknown',
  )

const mostLinks = 40

/**
 * Every directory where another entry would make `path` lead elsewhere, and the names of those entries: of each symbolic link on the way, and of what is
 * at the end of it. By path and inode, for a directory that is replaced under its name is another one.
 */
async function placesOf(path: string): Promise<Map<string, { directory: string; names: Set<string> }>> {
  const places = new Map<string, { directory: string; names: Set<string> }>()
  const left = partsOf(resolve(path))
  let at = '/'
  for (let links = 0; left.length > 0 && links <= mostLinks; ) {
    const name = left.shift() ?? ''
    const target = await readlink(join(at, name)).catch(({ code }: NodeJS.ErrnoException) => (code === 'EINVAL' ? notALink : missing))
    if (target === notALink && left.length > 0) {
      at = join(at, name)
      continue
    }
    const { dev, ino } = await stat(at).catch(() => ({ dev: 0, ino: 0 }))
    const key = `${at}|${dev}:${ino}`
    places.set(key, { directory: at, names: new Set([...(places.get(key)?.names ?? []), name]) })
    if (typeof target !== 'string') break
    links++
    left.unshift(...partsOf(target))
    if (isAbsolute(target)) at = '/'
  }
  return places
}

const notALink = Symbol('a file or a directory')
const missing = Symbol('nothing')

/** `..` stays: after a link it means the directory above of where that leads. */
const partsOf = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.')
