/** A certificate with its private key: read, and held against the name that clients will ask for. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { tls } from '../node_http.ts'

export type Certificate = {
  /** The chain, leaf first, PEM. */
  cert: string
  /** PEM. */
  key: string
  /** Good from and until, seconds since the epoch. */
  from: number
  until: number
}

/** There is no certificate that could be used; the message says why, `remedy` what to do. */
export class CertificateError extends Error {
  override name = 'CertificateError'
  readonly remedy: string
  /** Whether it stays so until somebody changes something: then a daemon that has none refuses to start. */
  readonly lasting: boolean
  constructor(message: string, { remedy, lasting, cause }: { remedy: string; lasting: boolean; cause?: unknown }) {
    super(message, { cause })
    this.remedy = remedy
    this.lasting = lasting
  }
}

/** Key and chain for the server name `name`. Throws Error with the end of a sentence that begins with what was read; it holds nothing of the key. */
export function readCertificate({ cert, key }: { cert: string; key: string }, name: string): Certificate {
  const leaf = firstOf(cert)
  if (!leaf.checkPrivateKey(privateKey(key))) throw new Error('the key is not that of the certificate')
  // RFC 9110 §4.3.4, RFC 9525: clients compare the name in the URL with the alternative names, and with nothing else.
  if ((isIP(name) ? leaf.checkIP(name) : leaf.checkHost(name, { subject: 'never' })) === undefined)
    throw new Error(`the certificate is not for ${name}, but for ${leaf.subjectAltName ?? 'no name at all'}`)
  tls().createSecureContext({ cert, key }) // throws for what this TLS library will not serve, such as a short RSA key
  return { cert, key, ...validityOf(leaf) }
}

/** From when until when a certificate is good, seconds since the epoch. */
export const validityOf = ({ validFromDate, validToDate }: X509Certificate): Pick<Certificate, 'from' | 'until'> => ({
  from: Math.floor(validFromDate.getTime() / 1000),
  until: Math.floor(validToDate.getTime() / 1000),
})

function firstOf(cert: string): X509Certificate {
  try {
    return new X509Certificate(cert)
  } catch (cause) {
    throw new Error('the certificate is not PEM', { cause })
  }
}

function privateKey(key: string) {
  try {
    return createPrivateKey(key)
  } catch (cause) {
    throw new Error('the key is not PEM, or has a passphrase', { cause })
  }
}

const keyBlock = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]*?-----END \1-----\n?/
const certificateBlocks = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----\n?/g

/** A key and a chain in one text → both. */
export const splitPem = (text: string): { cert: string; key: string } => ({
  key: keyBlock.exec(text)?.[0] ?? '',
  cert: (text.match(certificateBlocks) ?? []).join(''),
})
