/** The certificate from two files, which are watched: whoever renews them tells nobody. */
import { readFileSync } from 'node:fs'
import type { Log } from '../deps.ts'
import { watchFile } from '../policy_file/watch.ts'
import { type Certificate, CertificateError, readCertificate } from './certificate.ts'
import { type Certificates, holdCertificate } from './held.ts'

export type CertificateFiles = { cert: string; key: string }

/** Reads both. Throws CertificateError. */
export function readCertificateFiles(files: CertificateFiles, name: string): Certificate {
  try {
    return readCertificate({ cert: readFileSync(files.cert, 'utf8'), key: readFileSync(files.key, 'utf8') }, name)
  } catch (cause) {
    throw new CertificateError(`The certificate ${files.cert} with the key ${files.key} cannot be used: ${(cause as Error).message}.`, {
      remedy: `Put a certificate for ${name} and its key there, readable by this user.`,
      lasting: true,
      cause,
    })
  }
}

/** The certificate in these files, now and whenever they change. Throws CertificateError where it is not usable at the start. */
export function certificateFromFiles(
  files: CertificateFiles,
  { name, now, log }: { name: string; now: () => number; log: Log },
): Certificates {
  const held = holdCertificate({ name, source: 'files', now, log })
  held.adopt(readCertificateFiles(files, name))

  /** Of two files one is always written first, so a pair that does not fit is looked at again with the other's change. */
  function read(): void {
    try {
      const next = readCertificateFiles(files, name)
      const { until = 0 } = held.current() ?? {}
      if (next.until <= now() && until > now()) throw ended(files, next)
      held.adopt(next)
    } catch (error) {
      held.refuse(error as CertificateError)
    }
  }
  const watches = [files.cert, files.key].map((path) => watchFile(path, { changed: read, again: () => held.state().problem !== null, log }))
  return {
    ...held,
    async close() {
      await Promise.all(watches.map((watch) => watch.close()))
    },
  }
}

const ended = ({ cert }: CertificateFiles, { until }: Certificate) =>
  new CertificateError(`The certificate ${cert} ended on ${new Date(until * 1000).toUTCString()}.`, {
    remedy: 'Renew it.',
    lasting: true,
  })
