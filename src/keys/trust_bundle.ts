/** The bundle of a SPIFFE trust domain (SPIFFE Trust Domain and Bundle §4): the keys that sign its workloads' identity documents. */
import { parseStrictObject } from '../oauth/strict_json.ts'
import { type ForeignKey, foreignKeysOf } from './foreign_key.ts'

export type TrustBundle = {
  /** Of JWT-SVIDs alone; there may be none. */
  keys: readonly ForeignKey[]
  /** §4.1.1; null where it is not said. */
  sequence: bigint | null
  /** §4.1.2: seconds after which it wants to be looked at again; null where it is not said. */
  refresh_hint: number | null
}

/** The digits of the document's own `spiffe_sequence`: JSON's numbers are longer than JavaScript's (§4.1.1: 64 bits). Undefined where it is no such number. */
function sequenceDigits(text: string): string | undefined {
  const numbers = new Map<unknown, string | undefined>() // by the object that has the member: a key of the set may have one, too
  const document: unknown = JSON.parse(text, function (name, value, context?: { source?: string }) {
    if (name === 'spiffe_sequence' && typeof value === 'number') numbers.set(this, context?.source)
    return value
  })
  const source = numbers.get(document)
  return source !== undefined && /^\d{1,40}$/.test(source) ? source : undefined
}

/** Text → bundle; undefined where it is none. Keys of other uses and types are not looked at (§4.1.3, §4.2). */
export function parseTrustBundle(text: string): TrustBundle | undefined {
  const document = parseStrictObject(text)
  const keys = document && foreignKeysOf(document, (use) => use === 'jwt-svid') // JWT-SVID §6
  if (!document || !keys) return undefined
  const { spiffe_sequence, spiffe_refresh_hint: hint = null } = document
  const digits = spiffe_sequence === undefined ? undefined : sequenceDigits(text)
  if (spiffe_sequence !== undefined && digits === undefined) return undefined
  if (hint !== null && !(Number.isInteger(hint) && (hint as number) >= 0)) return undefined
  return { keys, sequence: digits === undefined ? null : BigInt(digits), refresh_hint: hint as number | null }
}
