/** The certificate that tailscaled gets for the name of this node, and keeps (LocalAPI, `cert`). It is in memory here, and on no disk of ours. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../deps.ts'
import { type LocalApi, LocalApiFault } from '../identity/local_api.ts'
import { startRounds } from '../rounds.ts'
import { thisUser } from '../this_user.ts'
import { type Certificate, CertificateError, readCertificate, splitPem } from './certificate.ts'
import { type Certificates, holdCertificate } from './held.ts'

const anHour = 3600

/**
 * Seconds until the next question. tailscaled renews in the background what it is asked for, once two thirds of its life are over, so a question an hour is
 * what keeps it fresh. Where it did not even answer, that costs nobody anything; where it tried and failed, an authority counts the attempts.
 */
const wait = {
  ok: ({ from, until }: Certificate) => Math.min(anHour, Math.max(1, (until - from) / 100)),
  unanswered: () => 5,
  refused: (failures: number) => Math.min(anHour, 60 * 2 ** (failures - 1)),
}

/** What is left of its life when tailscaled is told to renew it, and to say why if it cannot. */
const dueShare = 1 / 4

/** How often is looked whether it is time: by the clock of the day, for a machine may have slept. Milliseconds. */
const lookEvery = 1000

/** How long a start waits for the first answer; then it goes on without. Milliseconds. */
const patience = 15_000

export type MeshCertificates = { name: string; api: LocalApi; now: () => number; log: Log }

/** The certificate of this node, renewed as long as it is not closed. Throws CertificateError where there is none, and nothing will change that by itself. */
export async function certificateFromMesh({ name, api, now, log }: MeshCertificates): Promise<Certificates> {
  const held = holdCertificate({ name, source: 'mesh', now, log })
  let last = 0
  let next = 0
  let failures = 0
  let asking: Promise<void> | null = null

  /** Also after the clock was set back: what was planned by the one that was ahead may be years away. */
  const isDue = () => now() >= next || now() < last

  async function ask(): Promise<void> {
    last = now()
    try {
      let found = await fetchCertificate(api, name)
      held.adopt(found)
      const least = (found.until - found.from) * dueShare
      if (found.until - now() < least) {
        found = await fetchCertificate(api, name, { minValidity: least })
        held.adopt(found)
      }
      failures = 0
      next = now() + wait.ok(found)
    } catch (thrown) {
      const error = thrown instanceof CertificateError ? thrown : unanswered(name, thrown as Error)
      if (thrown instanceof CertificateError) failures++
      next = now() + (thrown instanceof CertificateError ? wait.refused(failures) : wait.unanswered())
      held.refuse(error)
      if (error.lasting && held.current() === null) throw error
    }
  }
  const once = (): Promise<void> => {
    asking ??= ask().finally(() => {
      asking = null
    })
    return asking
  }

  try {
    await Promise.race([once(), sleep(patience, undefined, { ref: false })])
  } catch (error) {
    await api.close()
    throw error
  }
  const rounds = startRounds(lookEvery, async () => {
    if (isDue()) await once().catch(() => undefined) // `refuse` has said it
  })
  return {
    ...held,
    async close() {
      await api.close() // what is being asked fails
      await rounds.stop()
      await asking?.catch(() => undefined)
    },
  }
}

const unanswered = (name: string, { message, cause }: Error) =>
  new CertificateError(
    `tailscaled did not answer when it was asked for the certificate of ${name}: ${cause instanceof LocalApiFault ? cause.message : message}.`,
    { remedy: cause instanceof LocalApiFault ? `${cause.remedy}.` : 'It is asked again.', lasting: false, cause },
  )

/** Asks tailscaled for it. Throws CertificateError where it gives none that can be used, and Unavailable where it does not answer. */
export async function fetchCertificate(api: LocalApi, name: string, options: { minValidity?: number } = {}): Promise<Certificate> {
  const { status, text } = await api.certificate(name, options)
  if (status !== 200) throw await refusal(api, name, status, text)
  try {
    return readCertificate(splitPem(text), name)
  } catch (cause) {
    throw new CertificateError(`What tailscaled gave as the certificate of ${name} cannot be used: ${(cause as Error).message}.`, {
      remedy: 'See "tailscale cert" on this machine.',
      lasting: false,
      cause,
    })
  }
}

const orFiles = 'or name one of your own in "listen.tls_certificate_file" and "listen.tls_key_file"'

async function refusal(api: LocalApi, name: string, status: number, text: string): Promise<CertificateError> {
  if (status === 403)
    return new CertificateError(`tailscaled gives the certificate of ${name} to root only.`, { ...permit(thisUser().name), lasting: true })
  if (status === 404)
    return new CertificateError('This tailscaled gets no certificates.', { remedy: `Install one that does, ${orFiles}.`, lasting: true })
  const { BackendState, CertDomains } = await api.status({ peers: false })
  if (BackendState === 'Running' && !CertDomains?.length) return httpsIsOff()
  if (BackendState === 'Running' && !CertDomains?.includes(name))
    return new CertificateError(`tailscaled gets certificates for ${CertDomains?.join(', ')}, not for ${name}.`, {
      remedy: `Set "issuer" to such a name, ${orFiles}.`,
      lasting: true,
    })
  return new CertificateError(`tailscaled could not get a certificate for ${name}: ${text.trim().slice(0, 500).replaceAll(/\s+/g, ' ')}.`, {
    remedy: 'It is tried again. The log of tailscaled says more: journalctl -u tailscaled',
    lasting: false,
  })
}

export const httpsIsOff = () =>
  new CertificateError('This tailnet has HTTPS certificates off, so tailscaled gets none.', {
    remedy: `Switch them on in the admin console, under DNS; ${orFiles}.`,
    lasting: true,
  })

/** What lets a user have certificates of tailscaled. */
export const permit = (user: string) => ({
  remedy: `Let ${user} have it: echo TS_PERMIT_CERT_UID=${user} | sudo tee -a /etc/default/tailscaled; sudo systemctl restart tailscaled`,
})
