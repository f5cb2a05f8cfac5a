/** The daemon: everything wired in one place, started in order and stopped in the reverse. */
import { randomBytes as cryptoBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { type ControlServer, startControl } from './admin/control.ts'
import { buildApp } from './app.ts'
import { createClientKeys } from './clients/client_keys.ts'
import { createGuardedFetch, type GuardedFetchOptions } from './clients/guarded_fetch.ts'
import { createMetadataDocuments } from './clients/metadata_document.ts'
import { createTrustBundles } from './clients/trust_bundles.ts'
import { controlSocketIn } from './config/places.ts'
import { type Config, ConfigError } from './config.ts'
import { nothingRecent } from './decide.ts'
import type { Deps, Log, PolicySource } from './deps.ts'
import { createCheapChecks } from './doctor/cheap.ts'
import { endpointsOf } from './endpoints/index.ts'
import { createGate } from './http/gate.ts'
import { type Listeners, listen } from './http/listeners.ts'
import { listenForMetrics } from './http/metrics_listener.ts'
import { createRateLimit } from './http/rate_limit.ts'
import { readinessOf } from './http/readiness.ts'
import { createIdentity } from './identity/create_identity.ts'
import { devMeshRanges } from './identity/dev_mesh.ts'
import { startJanitor } from './janitor.ts'
import { createJwts } from './keys/jwt.ts'
import { createIdentifiers } from './oauth/identifier.ts'
import { gaugesOf, type ProcessUsage } from './observe/gauges.ts'
import { createMetrics } from './observe/metrics.ts'
import { newTrace } from './observe/trace.ts'
import { countedEngine } from './observe/watched.ts'
import { createPolicyInForce, type ReloadResult } from './policy_file/in_force.ts'
import { watchFile } from './policy_file/watch.ts'
import { startRounds } from './rounds.ts'
import { startSelfCheck } from './self_check.ts'
import { databaseBytes, openState } from './state.ts'
import { createStore } from './store/index.ts'
import { setMeta } from './store/meta.ts'
import { startSureClock } from './sure_clock.ts'
import { startSweep } from './sweep.ts'
import { issuerOf, withIssuer } from './this_node.ts'
import { openCertificates } from './tls/index.ts'

export type DaemonOptions = {
  config: Config
  log: Log
  /** Seconds since the epoch, whole. Default: the clock. */
  now?: () => number
  randomBytes?: (size: number) => Buffer
  /** Seams of the way out, for tests: name resolution, certificate authorities, which URLs may lead to special-use addresses. */
  fetch?: Pick<GuardedFetchOptions, 'lookup' | 'ca' | 'allow'>
  /** The directory of systemd credentials. */
  credentials?: string | undefined
  /** File descriptors of sockets that are open already (systemd). Then no other is listened on. */
  sockets?: readonly number[]
  /** How long connections that are kept alive are still answered when it stops, in milliseconds. Default 0. */
  linger?: number
  /** Memory, processor time and start of this process, for the metrics. */
  usage?: ProcessUsage | undefined
}

export type Daemon = {
  deps: Deps
  addresses: () => string[]
  /** Loads the policy file again, and says what came of it; the last good policy stays where it is not usable. */
  reload: (source?: PolicySource) => ReloadResult
  /** Stops accepting, finishes what is being answered, closes the store. */
  close: () => Promise<void>
}

export const systemClock = () => Math.floor(Date.now() / 1000)

/** Starts the daemon, and resolves when it listens. Throws ConfigError, PolicyError, StoreRefused or KeyError, each with a sentence. */
export async function startDaemon({
  config: written,
  log,
  now = systemClock,
  randomBytes = cryptoBytes,
  fetch = {},
  credentials,
  sockets = [],
  linger = 0,
  usage = () => null,
}: DaemonOptions): Promise<Daemon> {
  if (written.development && !written.issuer?.startsWith('http:'))
    throw new ConfigError(
      'The development mesh believes whoever calls from 127.0.0.x, so its issuer must be http://localhost, not a name that others use.',
    )
  const policy = createPolicyInForce(written, { now, log })
  const state = await openState(written, { now, randomBytes, credentials })
  if (state.loss !== null) log.warn({}, state.loss)
  const closers: (() => Promise<void>)[] = [state.close]
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    const { keys } = state
    const metrics = createMetrics()
    const store = createStore(countedEngine(state.store.engine, metrics))
    const config = await withIssuer(written, store)
    let pinned = await store.meta.find('tailnet')
    const identity = await createIdentity({
      socket: config.mesh.socket,
      strategy: config.development ? 'tun' : config.mesh.identity,
      allowSelf: config.mesh.allow_self,
      cacheMs: config.mesh.whois_cache_ms,
      now,
      log,
      onWhois: metrics.whois,
      ...(config.development && { ranges: devMeshRanges }),
      // User ids of two tailnets collide, so the first one seen is the only one, for ever.
      refuses: (tailnet) => {
        if (tailnet === '') return 'tailscaled does not say yet which tailnet this is. Try again in a moment.'
        if (pinned === undefined) {
          pinned = tailnet
          store.commit([setMeta('tailnet', tailnet)]).catch((error) => log.error({ err: error }, 'the tailnet could not be pinned'))
        }
        return pinned === tailnet
          ? null
          : `This node has joined the tailnet "${tailnet}", but the people known here are of "${pinned}". Go back to that one, or start with a new state directory.`
      },
    })
    closers.push(() => identity.close())
    const { running, name } = identity.status()
    if (written.issuer === undefined && running && issuerOf(name, config) !== config.issuer)
      log.warn(
        {},
        `This node would be ${issuerOf(name, config)} now. The issuer stays ${config.issuer}, as at the first start: clients know it by that.`,
      )

    const certificates = await openCertificates(config, { now, log })
    if (certificates) closers.push(certificates.close)

    const limits = config.limits.document_fetches
    // What an admin has written into the policy may lead into the mesh; what strangers name may not.
    const allow = (url: string) =>
      deps.policy().clients.has(url) || [...deps.policy().clients.values()].some(({ jwks_uri }) => jwks_uri === url)
    let listeners: Listeners | null = null
    const selfCheck = startSelfCheck({ store, log })
    closers.push(selfCheck.stop)
    const clock = await startSureClock({ store, log, now })
    closers.push(clock.stop)
    const deps: Deps = {
      config,
      now,
      randomBytes,
      newId: createIdentifiers(now, randomBytes),
      identity,
      documents: createMetadataDocuments({ fetch: createGuardedFetch({ allow, ...fetch }), limits }),
      clientKeys: createClientKeys({ fetch: createGuardedFetch({ allow, mostBytes: 64 * 1024, ...fetch }), limits }),
      trustBundles: createTrustBundles({ trust_domains: config.spiffe.trust_domains, store, now, log, fetch }),
      log,
      trace: newTrace(),
      metrics,
      store,
      keys,
      jwts: createJwts(keys),
      recent: nothingRecent(),
      perPrincipal: createRateLimit(config.limits.per_principal, () => performance.now()),
      policyState: policy.state,
      troubles: selfCheck.troubles,
      isClockSure: clock.isSure,
      unheard: () => listeners?.unheard() ?? null,
      ailments: createCheapChecks({ config }),
      certificate: () => certificates?.state() ?? null,
      policy: policy.current,
    }

    const app = buildApp(deps)
    const gate = createGate(config, identity, endpointsOf(config.issuer), metrics.refused)
    gaugesOf(deps, {
      lag: gate.lag,
      inProgress: gate.inProgress,
      databaseBytes: () => databaseBytes(config),
      isReady: async () => (await readinessOf(deps)).ready,
      usage,
    })
    const opened = await listen(app, config, { identity, gate, log, certificates, sockets })
    listeners = opened
    closers.push(() => opened.close(linger))
    const { addresses } = opened
    if (config.metrics.listen !== undefined) closers.push((await listenForMetrics(config.metrics.listen, { metrics, log })).close)
    const control: ControlServer = await startControl(controlSocketIn(config.runtime_directory), deps, {
      policyInForce: policy,
      addresses,
    })
    closers.push(control.close)
    if (config.policy_watch) closers.push(watchFile(config.policy_file, { changed: policy.fileChanged, again: policy.mayHeal, log }).close)
    void deps.trustBundles.refresh()
    const bundles = startRounds(5000, deps.trustBundles.refresh)
    closers.push(bundles.stop)
    const janitor = startJanitor(deps)
    closers.push(janitor.stop)
    const sweeping = startSweep(deps)
    closers.push(sweeping.stop)
    return { deps, addresses, reload: policy.reload, close: closeAll }
  } catch (error) {
    await closeAll()
    throw error
  }
}
