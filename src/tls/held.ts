/** The certificate that is served: swapped whole, or not at all; and what is wrong with the next one. */
import type { Log } from '../deps.ts'
import type { Certificate, CertificateError } from './certificate.ts'

/** How it stands with the certificate: the one source for `/readyz`, `meshidp status`, the doctor and whatever else tells it. */
export type CertificateState = {
  /** The server name that it is for. */
  name: string
  source: 'files' | 'mesh'
  /** When the one that is served ends, seconds since the epoch; null where there is none yet. */
  until: number | null
  /** Why there is none, or no newer one. `since`: seconds since the epoch. */
  problem: { message: string; remedy: string; since: number } | null
}

export type Certificates = {
  current: () => Certificate | null
  state: () => CertificateState
  /** Calls `swapped` with each further one. */
  onChange: (swapped: (next: Certificate) => void) => void
  close: () => Promise<void>
}

export type Held = Omit<Certificates, 'close'> & {
  /** Serves it from now on; the same again changes nothing but that all is well. */
  adopt: (next: Certificate) => void
  /** Notes why there is no other one, and logs it where it is news. */
  refuse: (error: CertificateError) => void
}

const dayOf = (at: number) => new Date(at * 1000).toISOString().slice(0, 10)

export function holdCertificate({
  name,
  source,
  now,
  log,
}: Pick<CertificateState, 'name' | 'source'> & { now: () => number; log: Log }): Held {
  let held: Certificate | null = null
  let problem: CertificateState['problem'] = null
  const listeners: ((next: Certificate) => void)[] = []
  return {
    current: () => held,
    state: () => ({ name, source, until: held?.until ?? null, problem }),
    onChange: (swapped) => void listeners.push(swapped),
    adopt(next) {
      problem = null
      if (held?.cert === next.cert && held.key === next.key) return
      held = next
      if (next.until > now())
        log.info({ certificate: name, until: next.until }, `the certificate for ${name} is good until ${dayOf(next.until)}`)
      else
        log.error(
          { certificate: name, until: next.until },
          `The certificate for ${name} ended on ${dayOf(next.until)}: clients refuse it. Renew it; a new one is served as soon as it is there.`,
        )
      for (const swapped of listeners) swapped(next)
    },
    refuse({ message, remedy }) {
      if (problem?.message === message) return
      problem = { message, remedy, since: now() }
      const kept = held === null ? '' : ` The one until ${dayOf(held.until)} stays.`
      log.error({ certificate: name }, `${message}${kept} ${remedy}`)
    },
  }
}
