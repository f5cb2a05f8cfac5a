/** Which certificate a configuration asks for, if any. */
import { ConfigError, type LiveConfig } from '../config.ts'
import type { Log } from '../deps.ts'
import { openLocalApi } from '../identity/local_api.ts'
import { CertificateError } from './certificate.ts'
import { type CertificateFiles, certificateFromFiles } from './from_files.ts'
import { certificateFromMesh } from './from_mesh.ts'
import type { Certificates } from './held.ts'

/** Where the certificate comes from; null where none is served. Throws ConfigError. */
export function certificateSource({ issuer, listen, mesh, development }: LiveConfig): CertificateFiles | 'mesh' | null {
  const { tls, tls_certificate_file: cert, tls_key_file: key } = listen
  const isServe = mesh.identity === 'serve' && !development
  if (cert !== undefined && key !== undefined) {
    if (isServe)
      throw new ConfigError(
        '"listen.tls_certificate_file" is for a listener that speaks https, and behind "tailscale serve" plain http is spoken on a unix socket. Remove one of them.',
      )
    return { cert, key }
  }
  return tls && !isServe && !development && new URL(issuer).protocol === 'https:' ? 'mesh' : null
}

/** The certificate of this configuration, kept fresh until closed; null where plain http is spoken. Throws ConfigError. */
export async function openCertificates(config: LiveConfig, { now, log }: { now: () => number; log: Log }): Promise<Certificates | null> {
  const source = certificateSource(config)
  if (source === null) return null
  const { hostname: name } = new URL(config.issuer)
  try {
    return source === 'mesh'
      ? await certificateFromMesh({ name, api: openLocalApi({ socket: config.mesh.socket }), now, log })
      : certificateFromFiles(source, { name, now, log })
  } catch (error) {
    if (error instanceof CertificateError) throw new ConfigError(`${error.message}\n${error.remedy}`, { cause: error })
    throw error
  }
}
