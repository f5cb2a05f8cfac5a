/** Signatures of others: each algorithm with the keys that it takes. */
import { constants, type KeyObject, verify } from 'node:crypto'
import type { SignatureAlgorithm } from '../oauth/signature_algorithms.ts'

type Verifier = {
  fits: (key: KeyObject) => boolean
  verify: (signed: Buffer, signature: Buffer, key: KeyObject) => boolean
}

const hashes = { 256: 'sha256', 384: 'sha384', 512: 'sha512' } as const
type Bits = keyof typeof hashes

const isRsa = ({ asymmetricKeyType }: KeyObject) => asymmetricKeyType === 'rsa'

const pkcs1 = (bits: Bits): Verifier => ({
  fits: isRsa,
  verify: (signed, signature, key) => verify(hashes[bits], signed, key, signature),
})

/** RFC 7518 §3.5: the salt is as long as the hash. */
const pss = (bits: Bits): Verifier => ({
  fits: isRsa,
  verify: (signed, signature, key) =>
    verify(hashes[bits], signed, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: bits / 8 }, signature),
})

/** RFC 7518 §3.4: r‖s, each of the size of the curve. */
const ecdsa = (bits: Bits, namedCurve: string, size: number): Verifier => ({
  fits: ({ asymmetricKeyType, asymmetricKeyDetails }) => asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === namedCurve,
  verify: (signed, signature, key) =>
    signature.length === 2 * size && verify(hashes[bits], signed, { key, dsaEncoding: 'ieee-p1363' }, signature),
})

const ed25519: Verifier = {
  fits: ({ asymmetricKeyType }) => asymmetricKeyType === 'ed25519',
  verify: (signed, signature, key) => verify(null, signed, key, signature),
}

const verifiers: Record<SignatureAlgorithm, Verifier> = {
  ES256: ecdsa(256, 'prime256v1', 32),
  ES384: ecdsa(384, 'secp384r1', 48),
  ES512: ecdsa(512, 'secp521r1', 66),
  PS256: pss(256),
  PS384: pss(384),
  PS512: pss(512),
  RS256: pkcs1(256),
  RS384: pkcs1(384),
  RS512: pkcs1(512),
  Ed25519: ed25519,
  EdDSA: ed25519,
}

export const verifierOf: ReadonlyMap<SignatureAlgorithm, Verifier> = new Map(Object.entries(verifiers) as [SignatureAlgorithm, Verifier][])

/** A stranger says what is looked up here. */
export const isSignatureAlgorithm = (alg: unknown): alg is SignatureAlgorithm => verifierOf.has(alg as SignatureAlgorithm)
