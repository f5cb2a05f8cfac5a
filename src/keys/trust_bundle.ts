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

/** JSON's numbers are longer than JavaScript's (§4.1.1: at least 64 bits), so the digits are read. Strict JSON has the member once. */
const sequenceDigits = /"spiffe_sequence"\s*:\s*(\d{1,40})\s*[,}]/

/** Text → bundle; undefined where it is none. Keys of other uses and types are not looked at (§4.1.3, §4.2). */
export function parseTrustBundle(text: string): TrustBundle | undefined {
  const document = parseStrictObject(text)
  const keys = document && foreignKeysOf(document, (use) => use === 'jwt-svid') // JWT-SVID §6
  if (!document || !keys) return undefined
  const { spiffe_sequence, spiffe_refresh_hint: hint = null } = document
  const digits = sequenceDigits.exec(text)?.[1]
  if (spiffe_sequence !== undefined && digits === undefined) return undefined
  if (hint !== null && !(Number.isInteger(hint) && (hint as number) >= 0)) return undefined
  return { keys, sequence: digits === undefined ? null : BigInt(digits), refresh_hint: hint as number | null }
}
