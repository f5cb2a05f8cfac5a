/** The store: an engine, and one repository for each thing that is kept. */
import { accessTokens } from './access_tokens.ts'
import { authorizations } from './authorizations.ts'
import { clients } from './clients.ts'
import { codes } from './codes.ts'
import { authTimes, consents } from './consents.ts'
import { decisions } from './decisions.ts'
import type { Engine, Write } from './engine.ts'
import { initialAccessTokens } from './initial_access_tokens.ts'
import { meta } from './meta.ts'
import { refreshTokens } from './refresh_tokens.ts'
import { registrants } from './registrants.ts'
import { revokedTokens } from './revoked_tokens.ts'
import { tickets } from './tickets.ts'
import { trustBundles } from './trust_bundles.ts'

const repositories = {
  accessTokens,
  authorizations,
  authTimes,
  clients,
  codes,
  consents,
  decisions,
  initialAccessTokens,
  meta,
  refreshTokens,
  revokedTokens,
  registrants,
  tickets,
  trustBundles,
}

type Name = keyof typeof repositories
type Repositories = { [name in Name]: ReturnType<(typeof repositories)[name]> }

export type Store = { engine: Engine; commit: (writes: readonly Write[]) => Promise<void> } & Repositories

type Made = Store & { made: Partial<Record<Name, unknown>> }

/** Each repository is made when it is first asked for: every request has a store of its own, and needs few of them. */
const prototype = Object.defineProperties(
  {},
  Object.fromEntries(
    Object.entries(repositories).map(([name, make]) => [
      name,
      {
        get(this: Made) {
          this.made[name as Name] ??= make(this.engine)
          return this.made[name as Name]
        },
      },
    ]),
  ),
)

export const createStore = (engine: Engine): Store =>
  Object.assign(Object.create(prototype) as Made, { engine, commit: (writes: readonly Write[]) => engine.commit(writes), made: {} })
