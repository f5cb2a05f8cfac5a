/** JSON Web Tokens of our own making: signed here, and recognised here. Synchronous: an ES256 signature takes 20 µs. */
import { hash, sign, verify } from 'node:crypto'
import { toConcatenated, toDer } from './ecdsa_signature.ts'
import type { Keys } from './keyring.ts'
import type { Algorithm, SigningKey } from './keyset.ts'

/** RFC 9068 §2.1 and OpenID Connect Core §2: what kind of token a header announces. */
export type TokenType = 'at+jwt' | 'JWT'

export type Claims = Record<string, unknown>

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** The header of a token, letter for letter: we write one per key and type, and recognise no other. */
const headerOf = ({ kid, alg }: SigningKey, typ: TokenType) => encode({ alg, typ, kid })

/** OpenSSL's spelling of a signature ↔ that of RFC 7518 §3.3, §3.4. */
const spelling: Record<Algorithm, { out: (made: Buffer) => Buffer; in: (given: Buffer) => Buffer | undefined }> = {
  ES256: { out: toConcatenated, in: toDer },
  RS256: { out: (made) => made, in: (given) => given },
}

export type Jwts = {
  /** Claims → signed token in compact serialisation (RFC 7515 §3.1). */
  sign: (typ: TokenType, alg: Algorithm, claims: Claims) => string
  /** Token → the claims that we signed; undefined for all that is not ours to the letter. Does not look at `exp`. */
  open: (typ: TokenType, token: string) => Claims | undefined
}

type Known = {
  all: readonly SigningKey[]
  headers: Map<SigningKey, Record<TokenType, string>>
  byHeader: Record<TokenType, Map<string, SigningKey>>
  good: Map<string, Claims>
}

function knownOf(all: readonly SigningKey[]): Known {
  const known: Known = { all, headers: new Map(), byHeader: { 'at+jwt': new Map(), JWT: new Map() }, good: new Map() }
  for (const key of all) {
    known.headers.set(key, { 'at+jwt': headerOf(key, 'at+jwt'), JWT: headerOf(key, 'JWT') })
    for (const typ of ['at+jwt', 'JWT'] as const) known.byHeader[typ].set(headerOf(key, typ), key)
  }
  return known
}

/**
 * A token is ours only if its header is, letter for letter, one that we write: so no `alg`, `jku`, `jwk` or `crit` of a stranger is ever
 * interpreted (RFC 8725 §3.1). Signatures found good are remembered by digest, the last `remembered` of them; decisions never are.
 */
export function createJwts(keys: Keys, remembered = 2048): Jwts {
  let known: Known | undefined

  /** Of the keys that are there now: what a key that is gone has signed is nothing any more, however often it was found good. */
  function current(): Known {
    if (known?.all !== keys.all) known = knownOf(keys.all)
    return known
  }

  return {
    sign(typ, alg, claims) {
      const key = keys.signing(alg)
      const signed = `${current().headers.get(key)?.[typ]}.${encode(claims)}`
      const signature = sign('sha256', Buffer.from(signed), key.privateKey)
      return `${signed}.${spelling[alg].out(signature).toString('base64url')}`
    },

    open(typ, token) {
      const { good, byHeader } = current()
      const mark = typ + hash('sha256', token, 'base64url')
      const before = good.get(mark)
      if (before) return before
      const [header, payload, signature, ...more] = token.split('.', 4)
      const key = header === undefined ? undefined : byHeader[typ].get(header)
      if (!key || !payload || !signature || more.length > 0) return undefined
      const bytes = Buffer.from(signature, 'base64url')
      if (bytes.toString('base64url') !== signature) return undefined // RFC 4648 §3.5: one text for one signature
      const signed = Buffer.from(token.slice(0, token.lastIndexOf('.')))
      const spelled = spelling[key.alg].in(bytes)
      if (!spelled || !verify('sha256', signed, key.publicKey, spelled)) return undefined
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Claims
      if (good.size >= remembered) good.delete(good.keys().next().value as string)
      good.set(mark, claims)
      return claims
    },
  }
}
