/** What every endpoint and grant type gets as its first argument: one plain object, types only. */
import type { ClientKeys } from './clients/client_keys.ts'
import type { MetadataDocuments } from './clients/metadata_document.ts'
import type { TrustBundles } from './clients/trust_bundles.ts'
import type { LiveConfig } from './config.ts'
import type { Recent } from './decide.ts'
import type { Identity } from './identity/identity.ts'
import type { Jwts } from './keys/jwt.ts'
import type { Keyring } from './keys/keyring.ts'
import type { Metrics } from './observe/metrics.ts'
import type { Trace } from './observe/trace.ts'
import type { Policy, Resource } from './policy/index.ts'
import type { Store } from './store/index.ts'
import type { CertificateState } from './tls/held.ts'

export type Log = {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** The policy in force, with what the file names but does not hold. Immutable; a reload swaps the whole. */
export type ActivePolicy = Policy & {
  /** client_id → digest of its secret, for clients of the policy file. */
  secret_digests: ReadonlyMap<string, string>
  /** By URI, without a slash at its end. */
  resources_by_uri: ReadonlyMap<string, Resource>
  /** When it came into force, seconds; and how. */
  loaded_at: number
  source: PolicySource
}

/** What brought a policy: the daemon's start, SIGHUP, `meshidp reload`, a change of the file, `meshidp policy apply`. */
export type PolicySource = 'start' | 'SIGHUP' | 'reload' | 'watch' | 'apply'

/** How it stands with the policy: the one source for `/readyz`, `meshidp status`, pages and whatever else tells it. */
export type PolicyState = {
  file: string
  /** Of that in force. */
  hash: string
  source: PolicySource
  loaded_at: number
  problem: PolicyProblem | null
}

/** The file on disk is not usable, so the last good policy is in force. */
export type PolicyProblem = {
  /** A line for each fault, with its place; not for strangers. */
  message: string
  /** Of the first fault in the text; null where it lies elsewhere. */
  place: { line: number; column: number } | null
  /** Seconds. */
  since: number
  source: PolicySource
}

/** Something that is not as it must be. `brief` is for anybody who asks, `sentence` for whoever runs the daemon. */
export type Trouble = { name: 'store' | 'descriptors'; brief: string; sentence: string }

export type Deps = {
  config: LiveConfig
  /** Seconds since the epoch, whole. */
  now: () => number
  randomBytes: (size: number) => Buffer
  /** Identifiers in the order of their making (`oauth/identifier`). */
  newId: () => string
  identity: Identity
  /** The only way out: fetches Client ID Metadata Documents, guarded. */
  documents: MetadataDocuments
  /** The same for keys that clients publish (`jwks_uri`). */
  clientKeys: ClientKeys
  /** What the SPIFFE trust domains that the configuration names sign with. */
  trustBundles: TrustBundles
  log: Log
  /** What is known of the request that is being answered; outside of one nobody reads it. */
  trace: Trace
  metrics: Metrics
  store: Store
  keys: Keyring
  jwts: Jwts
  /** What was written, and what is being redeemed, a moment ago: losing it costs a write, or leniency towards a client that sends twice. */
  recent: Recent
  /** How often one person or tagged node may ask for something that writes, wherever they ask from. */
  perPrincipal: { take: (key: string) => number }
  policyState: () => PolicyState
  /** What keeps the daemon from its work now, as it has noticed itself. */
  troubles: () => readonly Trouble[]
  /** False until the clock has gone on for an hour without a leap: what cannot be undone waits until then. */
  isClockSure: () => boolean
  /** Where this node can be reached and nobody listens, in a sentence that says what to do; null where all is well. */
  unheard: () => string | null
  /** Ids of the doctor's cheap checks that find a fault now. */
  ailments: () => readonly string[]
  /** How it stands with the certificate; null where plain http is spoken. */
  certificate: () => CertificateState | null
  /** Read once a request, so that a reload in the middle changes nothing. */
  policy: () => ActivePolicy
}
