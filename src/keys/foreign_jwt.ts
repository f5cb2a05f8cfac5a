/** A JSON Web Token that somebody else made: taken apart strictly, and believed only when a key of theirs has signed it. */
import { isUtf8 } from 'node:buffer'
import type { SignatureAlgorithm } from '../oauth/signature_algorithms.ts'
import { parseStrictObject } from '../oauth/strict_json.ts'
import { type ForeignKey, keysFor } from './foreign_key.ts'
import { isSignatureAlgorithm, verifierOf } from './foreign_signature.ts'

export type ForeignJwt = {
  header: Readonly<Record<string, unknown>>
  alg: SignatureAlgorithm
  kid: string | undefined
  /** Not to be believed before `isSignedBy` says so. */
  claims: Readonly<Record<string, unknown>>
  signed: Buffer
  signature: Buffer
}

const longest = 16 * 1024

/** RFC 7515 §2, RFC 4648 §3.5: base64url without padding, and one text for one value. */
function decoded(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return text !== '' && bytes.toString('base64url') === text ? bytes : undefined
}

function objectIn(text: string): Record<string, unknown> | undefined {
  const bytes = decoded(text)
  return bytes && isUtf8(bytes) ? parseStrictObject(bytes.toString()) : undefined
}

/**
 * A text in compact serialisation (RFC 7515 §3.1) → its parts; undefined for all that is no signed JWT with one meaning, of an algorithm that we take. An
 * extension that has to be understood (`crit`, RFC 7515 §4.1.11) is none that we understand. `jku`, `jwk`, `x5u` and `x5c` are nothing to us (RFC 8725 §3.10).
 */
export function readForeignJwt(text: string): ForeignJwt | undefined {
  if (text.length > longest) return undefined
  const parts = text.split('.', 4)
  if (parts.length !== 3) return undefined
  const [first = '', second = '', third = ''] = parts
  const header = objectIn(first)
  const claims = objectIn(second)
  const signature = decoded(third)
  if (!header || !claims || !signature) return undefined
  const { alg, kid } = header
  if (!isSignatureAlgorithm(alg) || (kid !== undefined && typeof kid !== 'string')) return undefined
  if ('crit' in header || 'b64' in header) return undefined
  return { header, alg, kid, claims, signed: Buffer.from(`${first}.${second}`), signature }
}

/** `unknown`: there is no such key among these; `ambiguous`: several may be meant. */
export type Signed = 'good' | 'bad' | 'unknown' | 'ambiguous'

/** Whether one of these keys has signed it, by the algorithm that it is for. */
export function isSignedBy({ alg, kid, signed, signature }: ForeignJwt, keys: readonly ForeignKey[]): Signed {
  const fitting = keysFor(keys, alg, kid)
  if (fitting === null) return 'ambiguous'
  if (fitting.length === 0) return 'unknown'
  return fitting.some(({ key }) => verifierOf.get(alg)?.verify(signed, signature, key)) ? 'good' : 'bad'
}
