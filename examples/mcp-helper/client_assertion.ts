/** private_key_jwt (RFC 7523 §2.2): a server proves itself by a key of its own, and nobody else holds a secret of it. */
import { createPrivateKey, type KeyObject, randomUUID } from 'node:crypto'
import { SignJWT } from 'jose'
import type { Credentials } from './check_by_introspection.ts'

/** Key type, or curve → algorithm, of those that meshidp takes. */
const algorithms = new Map([
  ['ed25519', 'EdDSA'],
  ['prime256v1', 'ES256'],
  ['rsa', 'PS256'],
])

/** The key, and what it signs by. Throws an error with a sentence where it is none that serves. */
function signingKey(pem: string): { key: KeyObject; alg: string } {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (cause) {
    throw new Error('The key file holds no private key in PEM that can be read without a password.', { cause })
  }
  const kind = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? ''
  const alg = algorithms.get(kind)
  if (!alg) throw new Error(`The key file holds a key of the kind ${kind}. It has to be one of ${[...algorithms.keys()].join(', ')}.`)
  return { key, alg }
}

/** `pem`: a private key, whose public half stands in the policy (`jwks`). Throws where it is none that serves. */
export function byKey({ client_id, issuer, pem }: { client_id: string; issuer: string; pem: string }): Credentials {
  const { key, alg } = signingKey(pem)
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
