/** How TLS is spoken (RFC 9325). */
import { constants } from 'node:crypto'
import type { SecureContextOptions } from 'node:tls'
import type { Certificate } from '../tls/certificate.ts'

/** RFC 9325 §4.2, RFC 8446 §9.1: forward secrecy and authenticated encryption, nothing else. Clients without AES in hardware may choose ChaCha20. */
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  ...['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305'].flatMap((cipher) => [`ECDHE-ECDSA-${cipher}`, `ECDHE-RSA-${cipher}`]),
].join(':')

/** RFC 9325 §3.1.1: TLS 1.3 and 1.2; §3.5: no renegotiation; §3.3: no compression, which OpenSSL has not built in. */
export const secureOptions = ({ cert, key }: Certificate): SecureContextOptions => ({
  cert,
  key,
  ciphers,
  minVersion: 'TLSv1.2',
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_PRIORITIZE_CHACHA,
  honorCipherOrder: true,
})

/** Who connects and does not finish the handshake in so many milliseconds is gone. */
export const handshakeTimeout = 10_000
