/** JWTs of clients and trust domains, made by hand: so that a test can make every bad one, too. */
import { constants, createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'

export const encoded = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

export type Pair = { privateKey: KeyObject; publicKey: KeyObject; alg: string; kid: string }

let made = 0

/** A key pair for this algorithm. */
export function newPair(alg = 'ES256', kid = `key-${++made}`): Pair {
  const curves: Record<string, string> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }
  const namedCurve = curves[alg]
  const { privateKey, publicKey } = namedCurve
    ? generateKeyPairSync('ec', { namedCurve })
    : alg.startsWith('Ed')
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { privateKey, publicKey, alg, kid }
}

/** The public JWK; `more` overrides, undefined leaves out. */
export const jwkOf = ({ publicKey, kid }: Pair, more: Record<string, unknown> = {}): Record<string, unknown> =>
  JSON.parse(JSON.stringify({ ...publicKey.export({ format: 'jwk' }), kid, ...more }))

/** RFC 7518 §3.1: the signature of a text, by the algorithm's own rules. */
export function signatureOf(text: string, { alg, privateKey }: Pick<Pair, 'alg' | 'privateKey'>): Buffer {
  const data = Buffer.from(text)
  if (alg.startsWith('Ed')) return sign(null, data, privateKey)
  const bits = Number(alg.slice(2))
  if (alg.startsWith('ES')) return sign(`sha${bits}`, data, { key: privateKey, dsaEncoding: 'ieee-p1363' })
  if (alg.startsWith('PS'))
    return sign(`sha${bits}`, data, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: bits / 8 })
  return sign(`sha${bits}`, data, privateKey)
}

/** A JWT with these claims; of the header, too, undefined leaves out. */
export function jwtBy(pair: Pair, claims: unknown, header: Record<string, unknown> = {}): string {
  const signed = `${encoded({ alg: pair.alg, kid: pair.kid, ...header })}.${encoded(claims)}`
  return `${signed}.${signatureOf(signed, pair).toString('base64url')}`
}

/** The same, signed by HMAC with `secret`: what is hoped to be taken for a signature by somebody who knows only public things. */
export function jwtByHmac(secret: string | Buffer, claims: unknown, header: Record<string, unknown> = {}): string {
  const signed = `${encoded({ alg: 'HS256', ...header })}.${encoded(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

/** RFC 7523 §3: what a client's assertion has to say. */
export const assertionClaims = (client_id: string, aud: unknown, now: number, more: Record<string, unknown> = {}) => ({
  iss: client_id,
  sub: client_id,
  aud,
  jti: randomUUID(),
  iat: now,
  exp: now + 60,
  ...more,
})

export const jwtBearer = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
export const jwtSpiffe = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe'

export const asserted = (client_assertion: string, client_assertion_type = jwtBearer) => ({ client_assertion_type, client_assertion })
