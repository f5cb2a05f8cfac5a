/** The state directory, opened under its lock: the store, migrated, and the keys. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { finishSwap } from './backup/swap.ts'
import type { Config } from './config.ts'
import { createKeyring, type Keyring } from './keys/keyring.ts'
import { holdsKeys, KeyError, makeKeys } from './keys/keyset.ts'
import { createStore, type Store } from './store/index.ts'
import { lockState } from './store/lock.ts'
import { clockSeen, setMeta, steadyEnough } from './store/meta.ts'
import { migrations } from './store/migrations/index.ts'
import { openSqlite, refusedBy } from './store/sqlite.ts'

export type State = {
  store: Store
  keys: Keyring
  /** A sentence where the database was made just now, and the keys were there before: perhaps there was another one. */
  loss: string | null
  close: () => Promise<void>
}

/** How large the database is, with its log. 0 where there is none. */
export const databaseBytes = ({ state_directory }: Pick<Config, 'state_directory'>): number =>
  ['meshidp.db', 'meshidp.db-wal'].reduce(
    (sum, name) => sum + (statSync(join(state_directory, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  )

/** The header by which a command tells a daemon which state it is for. */
export const stateHeader = 'meshidp-state'

/** Which state this is, whatever path leads to it: its file system and inode; where this user cannot see it, its name. */
export function stateIdentity({ state_directory }: Pick<Config, 'state_directory'>): string {
  try {
    const { dev, ino } = statSync(state_directory, { bigint: true })
    return `${dev}:${ino}`
  } catch {
    return encodeURIComponent(state_directory)
  }
}

/** Where the keys are: systemd credentials where they hold some, else the state directory. */
export const keysDirectoryOf = (config: Config, credentials: string | undefined): string =>
  credentials !== undefined && holdsKeys(credentials) ? credentials : join(config.state_directory, 'keys')

/**
 * Opens the state, and makes it where there is none. Keys are made for a new installation only: where they are missing from an old one, that is a fault.
 * Throws StoreRefused and KeyError, with sentences. `credentials`: the directory of systemd credentials, if any.
 */
export async function openState(
  config: Config,
  { now, randomBytes, credentials }: { now: () => number; randomBytes: (size: number) => Buffer; credentials: string | undefined },
): Promise<State> {
  const closers: (() => Promise<void> | void)[] = []
  const close = async () => {
    for (const one of closers.splice(0).reverse()) await one()
  }
  try {
    closers.push(lockState(config.state_directory).release)
    finishSwap(config.state_directory)
    const engine = await openSqlite(join(config.state_directory, 'meshidp.db'), { migrations, now: now() })
    closers.push(engine.close)
    const store = createStore(engine)
    const { keys, loss } = await openKeys(config, credentials, store, { now, randomBytes })
    return { store, keys, loss, close }
  } catch (error) {
    await close()
    throw refusedBy(config.state_directory, error)
  }
}

/** Whatever keys a database was once opened with, it is an old installation from then on. */
async function openKeys(
  config: Config,
  credentials: string | undefined,
  store: Store,
  { now, randomBytes }: { now: () => number; randomBytes: (size: number) => Buffer },
): Promise<Pick<State, 'keys' | 'loss'>> {
  const directory = keysDirectoryOf(config, credentials)
  const isOld = (await store.meta.find('keys_since')) !== undefined
  const loss = !isOld && directory !== credentials && holdsKeys(directory) ? lossOf(config, directory) : null
  if (!holdsKeys(directory)) {
    if (isOld)
      throw new KeyError(
        `The signing keys of this installation are missing from ${directory}. Put them back from a backup; new ones would make every token worthless.`,
      )
    await makeKeys(directory, now(), randomBytes)
  }
  const keys = createKeyring(directory, { now, randomBytes, schedule: config.keys, fixed: directory === credentials })
  // In what is new there is nothing yet that a wrong clock could remove, so its clock is taken as it is.
  if (!isOld) await store.commit([setMeta('keys_since', String(now())), clockSeen({ at: now(), steady: steadyEnough })])
  return { keys, loss }
}

const lossOf = ({ state_directory }: Config, keys: string) =>
  `The database in ${state_directory} was empty or not there, and keys were in ${keys} already. Nobody is known to the new one: all sign in and all software registers anew. If there was another database, stop the daemon and restore a backup.`
