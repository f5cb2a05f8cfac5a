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

export const createStore = (engine: Engine) => ({
  engine,
  commit: (writes: readonly Write[]) => engine.commit(writes),
  accessTokens: accessTokens(engine),
  authorizations: authorizations(engine),
  authTimes: authTimes(engine),
  clients: clients(engine),
  codes: codes(engine),
  consents: consents(engine),
  decisions: decisions(engine),
  initialAccessTokens: initialAccessTokens(engine),
  meta: meta(engine),
  refreshTokens: refreshTokens(engine),
  revokedTokens: revokedTokens(engine),
  registrants: registrants(engine),
  tickets: tickets(engine),
  trustBundles: trustBundles(engine),
})

export type Store = ReturnType<typeof createStore>
