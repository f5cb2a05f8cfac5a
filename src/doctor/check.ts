/** What a check of the doctor is: one question about this installation, why it matters, and what to do. */
import type { TrustBundles } from '../clients/trust_bundles.ts'
import type { Config } from '../config.ts'
import type { ActivePolicy } from '../deps.ts'
import type { StatusAnswer } from '../identity/answers.ts'
import type { LocalApi } from '../identity/local_api.ts'
import type { PolicyError } from '../load_policy.ts'
import type { CertificateState } from '../tls/held.ts'

/** What a check found, in a sentence; `remedy`: what to do about it. */
export type Finding = { outcome: 'well' | 'skipped'; found: string } | { outcome: 'warning' | 'fault'; found: string; remedy: string }

export type Check = {
  /** For programs; does not change. */
  id: string
  /** What is looked at, in a few words. */
  title: string
  /** What goes wrong where it is not well. */
  why: string
  run: (subject: Subject) => Finding | Promise<Finding>
  /** The same, where it costs next to nothing and needs no more than that: the daemon asks it of itself, for `/readyz`. */
  cheap?: (subject: Pick<Subject, 'config'>) => Finding
}

/** What the running daemon answers to `status`, as far as it is looked at. */
export type DaemonStatus = {
  issuer: string
  listening: string[]
  unheard: string | null
  /** A sentence for each thing that keeps it from its work, with what to do. */
  troubles: string[]
  certificate: (CertificateState & { days_left: number | null }) | null
  policy: { hash: string }
  trust_bundles: ReturnType<TrustBundles['list']>
}

/** What the checks look at. What several of them need was found out once. */
export type Subject = {
  /** `issuer`: also where the configuration leaves it to this node, as far as it is known. */
  config: Config
  /** Seconds since the epoch. */
  now: () => number
  /** The directory of systemd credentials. */
  credentials: string | undefined
  api: LocalApi
  /** What tailscaled answered, or what kept it. */
  mesh: StatusAnswer | Error
  /** Null where none runs; an error where one may run, but does not answer this user. */
  daemon: DaemonStatus | Error | null
  /** The policy as its file holds it now, tests passed and secrets found. */
  policy: ActivePolicy | PolicyError
  /** Resolves with the steps of a whole sign-in, null where there is no state yet. Rejects with a sentence. */
  signIn: () => Promise<string[] | null>
}

export const well = (found: string): Finding => ({ outcome: 'well', found })
export const skipped = (found: string): Finding => ({ outcome: 'skipped', found })
export const warning = (found: string, remedy: string): Finding => ({ outcome: 'warning', found, remedy })
export const fault = (found: string, remedy: string): Finding => ({ outcome: 'fault', found, remedy })
