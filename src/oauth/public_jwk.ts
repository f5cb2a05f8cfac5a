/** Public keys as others send them (RFC 7517), and whether one is worth trusting. */
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'

export type PublicJwk = {
  kty: string
  crv?: string
  x?: string
  y?: string
  n?: string
  e?: string
  kid?: string
  alg?: string
  use?: string
}

/** RFC 7518 §6.2.2, §6.3.2, §6.4.1: whoever sends these has leaked the key. */
const secretMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** More bits or a longer exponent only cost whoever verifies. */
const rsaBits = { least: 2048, most: 8192 }
const rsaExponent = { least: 65_537n, most: 2n ** 32n }

/** Points of small order on edwards25519, the sign aside: a signature under such a key fits many texts (RFC 8032 §8.4, RFC 8725 §3.4). */
const smallOrder = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
])

/** A JWK → the key; or what is wrong with it, as the end of a sentence that begins with its name. */
export function importPublicJwk(jwk: object): { key: KeyObject } | { wrong: string } {
  if (secretMembers.some((name) => Object.hasOwn(jwk, name)))
    return { wrong: 'holds secret members: send public keys only, and replace this one' }
  let key: KeyObject
  try {
    // OpenSSL refuses a point that is not on its curve, and a curve that it does not know.
    key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' })
  } catch {
    return { wrong: 'is not a public key of kty RSA, EC or OKP' }
  }
  const wrong = weakness(key, jwk)
  return wrong === undefined ? { key } : { wrong }
}

function weakness({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject, jwk: { x?: string }): string | undefined {
  if (asymmetricKeyType === 'ed25519' && isSmallOrder(jwk.x ?? '')) return 'is a point of small order, which anybody can sign for'
  if (asymmetricKeyType !== 'rsa') return undefined
  const { modulusLength = 0, publicExponent = 0n } = asymmetricKeyDetails
  if (modulusLength < rsaBits.least || modulusLength > rsaBits.most) return `must have ${rsaBits.least} to ${rsaBits.most} bits`
  const usual = publicExponent >= rsaExponent.least && publicExponent <= rsaExponent.most && publicExponent % 2n === 1n
  return usual ? undefined : 'must have the exponent 65537, or a larger odd one of at most 32 bits'
}

function isSmallOrder(x: string): boolean {
  const bytes = Buffer.from(x, 'base64url')
  bytes[31] = (bytes[31] ?? 0) & 0x7f
  return smallOrder.has(bytes.toString('hex'))
}
