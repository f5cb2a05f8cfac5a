/** Store, mesh and keys as they are, but that somebody looks on: how long they take, and whom they name. */
import { performance } from 'node:perf_hooks'
import { nameOf } from '../decide.ts'
import type { Deps } from '../deps.ts'
import type { Identity } from '../identity/identity.ts'
import type { Jwts } from '../keys/jwt.ts'
import { recordedIn } from '../store/decisions.ts'
import { type Engine, GuardFailed } from '../store/engine.ts'
import { createStore, type Store } from '../store/index.ts'
import type { Metrics } from './metrics.ts'
import { type Trace, timed, waited } from './trace.ts'

/** Counts each commit, and the decisions that are recorded by it. */
export const countedEngine = (engine: Engine, metrics: Metrics): Engine => ({
  ...engine,
  async commit(writes) {
    const began = performance.now()
    const took = () => (performance.now() - began) / 1000
    try {
      await engine.commit(writes)
    } catch (error) {
      metrics.committed(took(), error instanceof GuardFailed ? 'guard' : 'failed')
      throw error
    }
    metrics.committed(took(), 'ok')
    for (const write of writes) {
      const decision = recordedIn(write)
      if (decision) metrics.decided(decision.entry, decision.outcome, decision.reason)
    }
  },
})

/** What answers one request: the same as `deps`, but that `trace` hears of all that is asked of store, mesh and keys. */
export const watched = (deps: Deps, trace: Trace): Deps => ({
  ...deps,
  trace,
  store: createStore(watchedEngine(deps.store, trace)),
  identity: watchedIdentity(deps.identity, trace),
  jwts: watchedJwts(deps.jwts, trace),
})

/** A read is done when the embedded engine returns; its promise only says so later, when others have had their turn. */
const watchedEngine = ({ engine, commit }: Pick<Store, 'engine' | 'commit'>, trace: Trace): Engine => ({
  ...engine,
  get: (sql, params) => timed(trace, 'store', () => engine.get(sql, params)),
  all: (sql, params) => timed(trace, 'store', () => engine.all(sql, params)),
  async commit(writes) {
    await waited(trace, 'store', () => commit(writes))
    for (const write of writes) {
      const decision = recordedIn(write)
      if (!decision) continue
      trace.decision_id = decision.id
      trace.client_id ??= decision.client_id ?? undefined
    }
  },
})

const watchedIdentity = (identity: Identity, trace: Trace): Identity => ({
  ...identity,
  async identify(connection) {
    const caller = await waited(trace, 'whois', () => identity.identify(connection))
    if (caller.principal) trace.principal = nameOf(caller.principal)
    return caller
  },
  async stillThere(remembered) {
    const found = await waited(trace, 'whois', () => identity.stillThere(remembered))
    if (found.there) trace.principal = nameOf(found.principal)
    return found
  },
  async machineThere(remembered) {
    const found = await waited(trace, 'whois', () => identity.machineThere(remembered))
    if (found.there) trace.principal ??= nameOf(found.principal)
    return found
  },
})

const watchedJwts = ({ sign, open }: Jwts, trace: Trace): Jwts => ({
  sign: (typ, alg, claims) => timed(trace, 'sign', () => sign(typ, alg, claims)),
  open: (typ, token) => timed(trace, 'sign', () => open(typ, token)),
})
