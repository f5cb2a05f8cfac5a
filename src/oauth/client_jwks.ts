/** A client's public keys as it sends them (RFC 7517). Structure only: that a key works is seen when it is used. */
import { createPublicKey, type JsonWebKey } from 'node:crypto'
import { OAuthError } from './error.ts'

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
export type ClientJwks = { keys: PublicJwk[] }

const mostKeys = 20
const publicMembers = ['kty', 'crv', 'x', 'y', 'n', 'e', 'kid', 'alg', 'use'] as const
/** RFC 7518 §6.2.2, §6.3.2, §6.4.1: a client that sends these has leaked its key. */
const secretMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']
const rsaBits = { least: 2048, most: 8192 }

const refuse = (sentence: string, cause?: unknown) => new OAuthError('invalid_client_metadata', sentence, { cause })

/** The key set of a `jwks` member, reduced to public members. Throws `invalid_client_metadata`. */
export function parseClientJwks(value: unknown): ClientJwks {
  const keys = typeof value === 'object' && value !== null && Object.hasOwn(value, 'keys') ? (value as { keys: unknown }).keys : undefined
  if (!Array.isArray(keys) || keys.length === 0) throw refuse('jwks must be an object whose member keys lists at least one key.')
  if (keys.length > mostKeys) throw refuse(`jwks can list ${mostKeys} keys at most.`)
  return { keys: keys.map(parseKey) }
}

function parseKey(value: unknown, index: number): PublicJwk {
  const at = `Key ${index + 1} of jwks`
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse(`${at} is not an object.`)
  const given = new Map(Object.entries(value))
  if (secretMembers.some((name) => given.has(name)))
    throw refuse(`${at} holds secret members: send public keys only, and replace this one.`)
  const key: Record<string, string> = {}
  for (const name of publicMembers) {
    const member = given.get(name)
    if (member === undefined) continue
    if (typeof member !== 'string') throw refuse(`The member ${name} of key ${index + 1} of jwks must be a string.`)
    key[name] = member
  }
  checkUsable(key, at)
  return key as PublicJwk
}

/** OpenSSL refuses a point that is not on its curve, and a curve that it does not know. */
function checkUsable(key: JsonWebKey, at: string): void {
  let bits: number | undefined
  try {
    bits = createPublicKey({ key, format: 'jwk' }).asymmetricKeyDetails?.modulusLength
  } catch (cause) {
    throw refuse(`${at} is not a public key of kty RSA, EC or OKP.`, cause)
  }
  if (bits !== undefined && (bits < rsaBits.least || bits > rsaBits.most))
    throw refuse(`${at} must have ${rsaBits.least} to ${rsaBits.most} bits.`)
}
