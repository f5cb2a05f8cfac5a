/** Unix sockets that are listened on: none is taken from another program, and only our own is removed. */
import { type BigIntStats, chmodSync, chownSync, existsSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { createConnection, Server } from 'node:net'
import { dirname } from 'node:path'
import { ConfigError } from '../config.ts'
import { cannotListen, type Sentences } from './cannot_listen.ts'

export type SocketPlace = {
  path: string
  /** The key of the configuration that leads to this path, for people. */
  key: string
  /** A group that may open it, too. */
  group?: string | undefined
}

/** The file that each server has made. */
const made = new WeakMap<Server, { path: string; file: BigIntStats }>()

const fileAt = (path: string): BigIntStats | undefined => statSync(path, { bigint: true, throwIfNoEntry: false })
const isSame = (one: BigIntStats, other: BigIntStats | undefined): boolean => one.dev === other?.dev && one.ino === other.ino

/**
 * Listens (`listening`, by `server`) on a unix socket that nobody but this user, and `group` where there is one, can open. One that a killed daemon left behind
 * is replaced. Throws ConfigError, also where somebody listens there already.
 */
export async function onSocket(server: Server, { path, key, group }: SocketPlace, listening: () => Promise<unknown>): Promise<void> {
  try {
    refuseOpenFolder(path, key)
    await removeStale(path, key)
    await listening()
    made.set(server, { path, file: statSync(path, { bigint: true }) })
    chmodSync(path, 0o600)
    if (group !== undefined) {
      chownSync(path, -1, groupId(group))
      chmodSync(path, 0o660)
    }
  } catch (cause) {
    endListening(server)
    throw cannotListen(cause as NodeJS.ErrnoException, path, sentencesOf(key))
  }
}

/**
 * Accepts no more, and calls `done` when the last connection has ended. Node removes the file of a unix socket by its name: one that another program has made
 * there since is put aside meanwhile.
 */
export function endListening(server: Server, done?: () => void): void {
  const putBack = putAside(server)
  Server.prototype.close.call(server, done) // that of an HTTP server would close idle connections at once
  putBack() // the file that Node removes is gone when `close` returns
}

/** Whether the file of `server`'s unix socket has been removed, so that nobody reaches it any more, and can be made anew. */
export function isRemoved(server: Server): boolean {
  const mine = made.get(server)
  try {
    return mine !== undefined && fileAt(mine.path) === undefined && existsSync(dirname(mine.path))
  } catch {
    return false // who may not look there makes nothing there
  }
}

const nothing = () => undefined

/** Moves away what is at the path of `server`'s socket now and is not that; what it returns moves it back. */
function putAside(server: Server): () => void {
  const mine = made.get(server)
  if (!mine) return nothing
  const aside = `${mine.path}.aside`
  try {
    const found = fileAt(mine.path)
    if (!found || isSame(mine.file, found)) return nothing
    renameSync(mine.path, aside)
  } catch {
    return nothing // who may not look or rename there may not remove there
  }
  return () => renameSync(aside, mine.path)
}

/** Who can write in the folder of a socket can put one of their own there, and hear what is meant for ours: commands, or whom tailscaled names. Throws ConfigError. */
function refuseOpenFolder(path: string, key: string): void {
  const folder = dirname(path)
  if ((statSync(folder, { throwIfNoEntry: false })?.mode ?? 0) & 0o002)
    throw new ConfigError(
      `Everybody on this machine can write in ${folder}, and so listen in the place of ${path}. Choose another "${key}", in a folder that only this user can write in.`,
    )
}

/** Removes a socket where nobody answers, which a killed daemon left behind. Throws ConfigError where somebody does. */
async function removeStale(path: string, key: string): Promise<void> {
  const found = fileAt(path)
  if (!found?.isSocket()) return
  const code = await connected(path)
  if (code === null || code === 'EAGAIN') throw new ConfigError(inUse(path, key))
  if (code !== 'ECONNREFUSED' && code !== 'ENOENT')
    throw new ConfigError(
      `${path} is there already, and this user cannot see whether a program listens there (${code}). Remove it if none does, or choose another "${key}".`,
    )
  // Another daemon that starts in this very moment may have replaced it, and then it is not ours to remove.
  if (isSame(found, fileAt(path))) rmSync(path)
}

/** Connects, and hangs up at once. Null where somebody listens, else the code of the error: EAGAIN of one who listens and is overrun. */
const connected = (path: string) =>
  new Promise<string | null>((resolve) => {
    const socket = createConnection(path)
    socket.once('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(code))
    socket.once('connect', () => {
      socket.destroy()
      resolve(null)
    })
  })

const inUse = (path: string, key: string) => `Another program listens on ${path}. Stop that one, or give this daemon another "${key}".`

/** The number of a group, as /etc/group has it. Throws ConfigError. */
function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group)
  const [, id] = new RegExp(`^${group}:[^:]*:(\\d+):`, 'm').exec(readFileSync('/etc/group', 'utf8')) ?? []
  if (id === undefined) throw new ConfigError(`"listen.socket_group" is ${group}, and this machine has no such group.`)
  return Number(id)
}

const sentencesOf = (key: string): Sentences =>
  new Map([
    ['EADDRINUSE', (path) => (fileAt(path)?.isSocket() ? inUse(path, key) : `${path} is there already, and is no socket. Move it away.`)],
    [
      'EACCES', // also where the folder is missing: libuv says the one for the other (uv_pipe_bind)
      (path) =>
        existsSync(dirname(path))
          ? `This user may not make the socket ${path}. Give its folder to this user, or choose another one.`
          : `The socket ${path} cannot be made: there is no folder ${dirname(path)} that this user could see. Make it, for this user alone, or choose another one.`,
    ],
    ['EINVAL', (path) => `The path ${path} is too long for a unix socket, which takes 107 bytes. Choose a shorter folder.`],
  ])
