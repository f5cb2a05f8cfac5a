/** A client's public keys as it sends them (RFC 7517). A key that is here is one that can be used. */
import { OAuthError } from './error.ts'
import { importPublicJwk, type PublicJwk } from './public_jwk.ts'

export type ClientJwks = { keys: PublicJwk[] }

const mostKeys = 20
const publicMembers = ['kty', 'crv', 'x', 'y', 'n', 'e', 'kid', 'alg', 'use'] as const

const refuse = (sentence: string) => new OAuthError('invalid_client_metadata', sentence)

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
  const imported = importPublicJwk(value)
  if ('wrong' in imported) throw refuse(`${at} ${imported.wrong}.`)
  const given = new Map(Object.entries(value))
  const key: Record<string, string> = {}
  for (const name of publicMembers) {
    const member = given.get(name)
    if (member === undefined) continue
    if (typeof member !== 'string') throw refuse(`The member ${name} of key ${index + 1} of jwks must be a string.`)
    key[name] = member
  }
  return key as PublicJwk
}
