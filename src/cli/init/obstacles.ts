/** What will keep the daemon from its certificate, said before it starts: it may run as another user than this command. */
import type { LiveConfig } from '../../config.ts'
import type { StatusAnswer } from '../../identity/answers.ts'
import { openLocalApi } from '../../identity/local_api.ts'
import { CertificateError } from '../../tls/certificate.ts'
import { fetchCertificate, httpsIsOff, permit } from '../../tls/from_mesh.ts'
import { certificateSource } from '../../tls/index.ts'
import { mayHaveCertificates } from './machine.ts'

/** The user of the service (src/systemd/units.ts). */
const serviceUser = 'meshidp'

/**
 * For each a sentence, and a line that says what to do. `asService`: whether the service will run, as a user of its own. `dry`: tailscaled is not asked for the
 * certificate, which it might have to get first.
 */
export async function obstacles(
  config: LiveConfig,
  status: StatusAnswer,
  { asService, dry }: { asService: boolean; dry: boolean },
): Promise<string[]> {
  if (certificateSource(config) !== 'mesh') return []
  const error = dry ? (status.CertDomains?.length ? null : httpsIsOff()) : await refusal(config)
  return [
    ...(error ? [`${error.message}\n  ${error.remedy}`] : []),
    ...(asService && !mayHaveCertificates(serviceUser)
      ? [`tailscaled gives certificates to root only, and the service runs as ${serviceUser}.\n  ${permit(serviceUser).remedy}`]
      : []),
  ]
}

/** Why tailscaled gives this user no certificate; null where it does, or does not answer, which the doctor says. */
async function refusal({ issuer, mesh }: LiveConfig): Promise<CertificateError | null> {
  const api = openLocalApi({ socket: mesh.socket })
  try {
    await fetchCertificate(api, new URL(issuer).hostname)
    return null
  } catch (error) {
    return error instanceof CertificateError ? error : null
  } finally {
    await api.close()
  }
}
