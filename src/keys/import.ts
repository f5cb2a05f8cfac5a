/** A private key that was made elsewhere. */
import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject, sign, verify } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import { OAuthError } from '../oauth/error.ts'
import { type Algorithm, successionName, unfitFor } from './keyset.ts'

/** The algorithm of each type of key. */
const algorithmOf = new Map<string | undefined, Algorithm>([
  ['ec', 'ES256'],
  ['rsa', 'RS256'],
])

const refuse = (what: string) => new OAuthError('invalid_request', `This key cannot be used: ${what}.`)

/** A private JWK (RFC 7517), or PEM (PKCS #8, SEC 1, PKCS #1), not encrypted. Throws OAuthError; no sentence quotes the key. */
export async function readPrivateKey(text: string): Promise<{ kid: string; alg: Algorithm; privateKey: KeyObject }> {
  const jwk = text.trimStart().startsWith('{') ? parse(text) : {}
  let privateKey: KeyObject
  try {
    privateKey = createPrivateKey(jwk.kty === undefined ? text : { key: jwk as JsonWebKey, format: 'jwk' })
  } catch {
    throw refuse('it must be a private key, as a JWK or in PEM without a passphrase')
  }
  const alg = algorithmOf.get(privateKey.asymmetricKeyType)
  const unfit = unfitFor(alg, privateKey)
  if (unfit || !alg) throw refuse(unfit ?? '')
  if (jwk.alg !== undefined && jwk.alg !== alg) throw refuse(`its "alg" is ${String(jwk.alg).slice(0, 20)}, not ${alg}`)
  // A JWK carries both halves, and nothing says that they belong together.
  const probe = Buffer.from('meshidp')
  if (!verify('sha256', probe, createPublicKey(privateKey), sign('sha256', probe, privateKey)))
    throw refuse('its public half is of another key')
  return { kid: jwk.kid === undefined ? await nameOf(privateKey) : fitName(jwk.kid), alg, privateKey }
}

/** RFC 7638: its thumbprint; what a command line would take for an option begins with "_". */
const nameOf = async (privateKey: KeyObject): Promise<string> =>
  (await calculateJwkThumbprint(createPublicKey(privateKey).export({ format: 'jwk' }) as JsonWebKey)).replace(/^-/, '_')

/** A name that `meshidp keys` can be told, and that is one key's. */
function fitName(kid: unknown): string {
  if (typeof kid !== 'string' || !/^\w[\w-]{0,99}$/.test(kid))
    throw refuse('its "kid" must be letters, digits, "-" and "_", 100 at the most, and not begin with "-"')
  if (kid === successionName) throw refuse(`its "kid" must not be "${successionName}": the key of the refresh tokens is called that`)
  return kid
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    throw refuse('it is not valid JSON')
  }
}
