/** private_key_jwt (RFC 7523 §2.2): a server proves itself by a key of its own, and nobody else holds a secret of it. */
import { createPrivateKey, randomUUID } from 'node:crypto'
import { SignJWT } from 'jose'
import type { Credentials } from './check_by_introspection.ts'

/** Key type → algorithm, of those that meshidp takes. */
const algorithms = new Map([
  ['ed25519', 'EdDSA'],
  ['ec', 'ES256'],
  ['rsa', 'PS256'],
])

/** `pem`: a private key in PKCS #8, whose public half stands in the policy (`jwks`). Throws where it is none that serves. */
export function byKey({ client_id, issuer, pem }: { client_id: string; issuer: string; pem: string }): Credentials {
  const key = createPrivateKey(pem)
  const alg = algorithms.get(key.asymmetricKeyType ?? '')
  if (!alg) throw new Error(`This key is of the type ${key.asymmetricKeyType}. It has to be one of ${[...algorithms.keys()].join(', ')}.`)
  return {
    client_id,
    // Good for once, so it is signed anew for each request; `aud` is the issuer, so that no other server can use it.
    proof: async () => ({
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await new SignJWT({ jti: randomUUID() })
        .setProtectedHeader({ alg, typ: 'JWT' })
        .setIssuer(client_id)
        .setSubject(client_id)
        .setAudience(issuer)
        .setIssuedAt()
        .setExpirationTime('1m')
        .sign(key),
    }),
  }
}
