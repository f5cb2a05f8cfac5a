/** The trust bundles of the SPIFFE trust domains that the configuration names: read from files, or fetched from their endpoints, each kept apart from the others. */
import { readFileSync, statSync } from 'node:fs'
import type { Log } from '../deps.ts'
import type { ForeignKey } from '../keys/foreign_key.ts'
import { parseTrustBundle, type TrustBundle } from '../keys/trust_bundle.ts'
import { Unavailable } from '../oauth/error.ts'
import type { Store } from '../store/index.ts'
import { forgetTrustBundle, keepTrustBundle } from '../store/trust_bundles.ts'
import { createGuardedFetch, type GuardedFetchOptions } from './guarded_fetch.ts'

export type TrustBundles = {
  /**
   * The keys of a trust domain that sign JWT-SVIDs; looked for again where none has this `kid`. Undefined where the configuration does not name it. Throws
   * `Unavailable` where its bundle was never had.
   */
  of(trust_domain: string, kid: string | undefined): Promise<readonly ForeignKey[] | undefined>
  /** Reads again what is due. Never rejects. */
  refresh(): Promise<void>
  /** How it stands with each. `problem`: why the last look brought nothing; `read_at`: when the bundle in force came, seconds. */
  list(): { trust_domain: string; source: string; sequence: string | null; read_at: number | null; problem: string | null }[]
}

/** A file, or an endpoint of the profile `https_web` (SPIFFE Federation §5.2.1); `ca_file`: authorities (PEM) instead of Node's own. */
export type TrustSource = { file: string } | { https_web: string; ca_file?: string | undefined }

export type TrustBundlesOptions = {
  trust_domains: Readonly<Record<string, TrustSource>>
  store: Pick<Store, 'trustBundles' | 'commit'>
  /** Seconds. */
  now: () => number
  log: Log
  /** Seams of the way out, for tests. */
  fetch?: Pick<GuardedFetchOptions, 'lookup'>
}

/** Seconds. SPIFFE Federation §4.1: five minutes where the bundle does not say how often; what it says is only a hint. */
const refreshEvery = { unsaid: 300, least: 10, most: 3600 }
const pauseAfterFailure = 10
const pauseForKid = 30
const mostBytes = 1024 * 1024

type Domain = {
  trust_domain: string
  source: TrustSource
  /** The text in force; '' for none. */
  body: string
  /** Of a file: what tells it from another without reading it. */
  stamp: string
  bundle: TrustBundle | null
  read_at: number | null
  problem: string | null
  /** When it is looked at again, seconds; and when it may be for the sake of a `kid`. */
  due: number
  mayLook: number
  looking: Promise<void> | null
}

const placeOf = (source: TrustSource): string => ('file' in source ? source.file : source.https_web)

export function createTrustBundles({ trust_domains, store, now, log, fetch = {} }: TrustBundlesOptions): TrustBundles {
  const domains = new Map(
    Object.entries(trust_domains).map(([trust_domain, source]): [string, Domain] => [
      trust_domain,
      { trust_domain, source, body: '', stamp: '', bundle: null, read_at: null, problem: null, due: 0, mayLook: 0, looking: null },
    ]),
  )
  let remembered: Promise<void> | null = null

  /** What was good before this start. Of a trust domain that is not configured any more everything is forgotten: so an operator begins anew. */
  async function remember(): Promise<void> {
    for (const { trust_domain, source, body, fetched_at } of await store.trustBundles.list()) {
      const domain = domains.get(trust_domain)
      if (domain && placeOf(domain.source) === source) {
        Object.assign(domain, { bundle: parseTrustBundle(body) ?? null, body, read_at: fetched_at })
      } else await store.commit([forgetTrustBundle(trust_domain)])
    }
  }

  function rememberOnce(): Promise<void> {
    remembered ??= remember().catch((error) => {
      remembered = null
      throw error
    })
    return remembered
  }

  /**
   * Takes this text as the bundle in force, on disk first. Throws where it is none, or an older one: a key that was taken back must not come again
   * (§4.1.1), neither by a restart nor by way of a bundle that has no sequence, after which any would be the first.
   */
  async function take(domain: Domain, body: string): Promise<void> {
    const { trust_domain, source } = domain
    const bundle = parseTrustBundle(body)
    if (!bundle) throw new Error('it is no SPIFFE bundle')
    const before = domain.bundle?.sequence ?? null
    if (before !== null && bundle.sequence === null) throw new Error(`it has no spiffe_sequence, and the last one had ${before}`)
    if (before !== null && bundle.sequence !== null && bundle.sequence < before)
      throw new Error(`its spiffe_sequence went back from ${before} to ${bundle.sequence}`)
    if (body !== domain.body) await store.commit([keepTrustBundle({ trust_domain, source: placeOf(source), body, fetched_at: now() })])
    Object.assign(domain, { bundle, body, read_at: now() })
  }

  async function load(domain: Domain): Promise<void> {
    const { source } = domain
    if ('file' in source) {
      const { mtimeNs, ino, size, mode } = statSync(source.file, { bigint: true })
      const stamp = [mtimeNs, ino, size].join()
      if (stamp === domain.stamp && domain.problem === null) return
      if (size > mostBytes) throw new Error(`it is larger than ${mostBytes / 1024} KiB`)
      if (mode & 0o002n) throw new Error('everybody on this machine can write it')
      await take(domain, readFileSync(source.file, 'utf8'))
      domain.stamp = stamp
      return
    }
    // The operator named it, so it may be in the mesh.
    const ca = source.ca_file === undefined ? {} : { ca: readFileSync(source.ca_file, 'utf8') }
    const get = createGuardedFetch({ ...fetch, ...ca, allow: () => true, mostBytes })
    await take(domain, (await get(source.https_web, { accept: 'application/json' })).body)
  }

  async function look(domain: Domain): Promise<void> {
    const { trust_domain } = domain
    let pause = pauseAfterFailure
    try {
      await rememberOnce()
      await load(domain)
      if (domain.problem !== null) log.info({ trust_domain }, `the trust bundle of ${trust_domain} is read again`)
      domain.problem = null
      const hint = domain.bundle?.refresh_hint ?? refreshEvery.unsaid
      pause = 'file' in domain.source ? 0 : Math.max(refreshEvery.least, Math.min(refreshEvery.most, hint))
    } catch (thrown) {
      const problem = reasonOf(thrown)
      if (problem !== domain.problem)
        log.warn(
          { trust_domain, err: thrown },
          `The trust bundle of ${trust_domain} at ${placeOf(domain.source)} cannot be used: ${problem}. ${domain.bundle ? 'The last good one stays.' : 'Its workloads get 503.'}`,
        )
      domain.problem = problem
    }
    domain.due = now() + pause
    domain.mayLook = now() + Math.min(pause, pauseForKid)
  }

  /** Also where the clock was set back: what was to come soon may be years ahead now. */
  const isDue = ({ due }: Domain): boolean => now() >= due || due - now() > refreshEvery.most

  /** Many at the same moment share one look. */
  const lookOnce = (domain: Domain): Promise<void> => {
    domain.looking ??= look(domain).finally(() => {
      domain.looking = null
    })
    return domain.looking
  }

  return {
    async of(trust_domain, kid) {
      const domain = domains.get(trust_domain)
      if (!domain) return undefined
      const isKnown = () => kid === undefined || domain.bundle?.keys.some((key) => key.kid === kid)
      if (isDue(domain) || (!isKnown() && now() >= domain.mayLook)) await lookOnce(domain)
      if (!domain.bundle)
        throw new Unavailable(`The trust bundle of ${trust_domain} could not be read yet.`, { cause: new Error(domain.problem ?? '') })
      return domain.bundle.keys
    },
    async refresh() {
      await rememberOnce().catch(() => undefined) // whoever looks says so; where no trust domain is left, it is to forget
      await Promise.all([...domains.values()].filter(isDue).map(lookOnce))
    },
    list: () =>
      [...domains.values()].map(({ trust_domain, source, bundle, read_at, problem }) => ({
        trust_domain,
        source: placeOf(source),
        sequence: bundle?.sequence?.toString() ?? null,
        read_at,
        problem,
      })),
  }
}

/** The innermost word about it: a fetch says why not only in its cause. */
const reasonOf = (thrown: unknown): string => {
  const { message, cause } = thrown as Error
  return cause === undefined ? message.replace(/\.$/, '') : reasonOf(cause)
}
