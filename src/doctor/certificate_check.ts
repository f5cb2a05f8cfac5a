/** Whether there is a certificate, for how long it is good, and whether the next one can be had. */
import { statSync } from 'node:fs'
import { LocalApiFault } from '../identity/local_api.ts'
import { CertificateError } from '../tls/certificate.ts'
import { type CertificateFiles, readCertificateFiles } from '../tls/from_files.ts'
import { fetchCertificate } from '../tls/from_mesh.ts'
import { certificateSource } from '../tls/index.ts'
import { type DaemonStatus, type Finding, fault, type Subject, skipped, warning, well } from './check.ts'

const aDay = 86_400

/** So many days before its end one in files should have been renewed. tailscaled renews by itself, and says when it cannot. */
const due = 14

/** Of a running daemon what it says; else it is looked for as a daemon of this user would. */
export async function certificate({ config, daemon, now, api }: Subject): Promise<Finding> {
  const { issuer, development, mesh } = config
  if (development) return skipped('The development mesh speaks plain http on loopback.')
  if (mesh.identity === 'serve') return well('That of "tailscale serve", which sees to it by itself.')
  if (issuer === undefined) return skipped('It is not known for which name it has to be.')
  const source = certificateSource({ ...config, issuer })
  if (source === null) return skipped('Plain http is configured, which is for loopback only.')
  try {
    if (daemon !== null && !(daemon instanceof Error)) return served(daemon, source, now())
    const { hostname } = new URL(issuer)
    const { from, until } = source === 'mesh' ? await fetchCertificate(api, hostname) : readCertificateFiles(source, hostname)
    if (from > now() + 60) return fault(`It is good from ${new Date(from * 1000).toUTCString()} only.`, 'Set the clock right.')
    return judged(until, source, now())
  } catch (error) {
    if (error instanceof CertificateError) return fault(error.message, error.remedy)
    const { message, cause } = error as Error
    return cause instanceof LocalApiFault ? fault(`${cause.message}.`, `${cause.remedy}.`) : fault(message, 'Restart tailscaled.')
  }
}

function served({ certificate }: DaemonStatus, source: CertificateFiles | 'mesh', now: number): Finding {
  const { until = null, problem = null } = certificate ?? {}
  if (problem === null) return until === null ? fault('The daemon has none.', 'See its log.') : judged(until, source, now)
  const { message, remedy } = problem
  return until !== null && until > now ? warning(`Good for ${daysTo(until, now)} more days. ${message}`, remedy) : fault(message, remedy)
}

const daysTo = (until: number, now: number) => Math.floor((until - now) / aDay)

function judged(until: number, source: CertificateFiles | 'mesh', now: number): Finding {
  const days = daysTo(until, now)
  const renew = source === 'mesh' ? 'See the log of tailscaled: journalctl -u tailscaled' : 'Renew it; the daemon reads it again by itself.'
  if (days < 0) return fault(`It ended on ${new Date(until * 1000).toUTCString()}.`, renew)
  if (source === 'mesh') return well(`tailscaled gives it; good for ${days} more days.`)
  if (days < due) return warning(`It ends in ${days} days.`, renew)
  return statSync(source.key).mode & 0o007
    ? warning(`Others can read its key ${source.key}, and pretend to be this server.`, `Run: chmod o= ${source.key}`)
    : well(`Good for ${days} more days.`)
}
