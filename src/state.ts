/** The state directory, opened under its lock: the store, migrated, and the keys. */
import { join } from 'node:path'
import type { Config } from './config.ts'
import { holdsKeys, KeyError, type Keys, loadKeys, makeKeys } from './keys/keyset.ts'
import { createStore, type Store } from './store/index.ts'
import { lockState } from './store/lock.ts'
import { setMeta } from './store/meta.ts'
import { migrations } from './store/migrations/index.ts'
import { openSqlite } from './store/sqlite.ts'

export type State = { store: Store; keys: Keys; close: () => Promise<void> }

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
  const lock = lockState(config.state_directory)
  try {
    const engine = await openSqlite(join(config.state_directory, 'meshidp.db'), { migrations })
    const store = createStore(engine)
    const directory = keysDirectoryOf(config, credentials)
    if (!holdsKeys(directory)) {
      if ((await store.meta.find('keys_made_at')) !== undefined)
        throw new KeyError(
          `The signing keys of this installation are missing from ${directory}. Put them back from a backup; new ones would make every token worthless.`,
        )
      await makeKeys(directory, randomBytes)
      await store.commit([setMeta('keys_made_at', String(now()))])
    }
    const keys = loadKeys(directory)
    return {
      store,
      keys,
      async close() {
        await engine.close()
        lock.release()
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}
