import type { Client } from '../clients/client.ts'
import type { Deps } from '../deps.ts'
import { type ForeignJwt, isSignedBy } from '../keys/foreign_jwt.ts'
import { type ForeignKey, foreignKeysOf, isForSignatures } from '../keys/foreign_key.ts'
import { OAuthError, Unavailable } from '../oauth/error.ts'
import type { PublicJwk } from '../oauth/public_jwk.ts'
import { digest } from '../oauth/secret.ts'
import { giveBackAssertion, useAssertion } from '../store/client_assertions.ts'
import { GuardFailed } from '../store/engine.ts'
import { assertionOf, assertionWire, firstUse, isFor, wrongTimes } from './assertion.ts'
import type { Credentials, Method } from './method.ts'

const longestLife = 300
const longestJti = 256

/** RFC 8725 §3.11: a token of another kind is no assertion. draft-ietf-oauth-rfc7523bis names the last; without a word it may be one. */
const types = new Set([undefined, 'jwt', 'client-authentication+jwt'])

const refuse = (what: string) => new OAuthError('invalid_client', `The client assertion ${what}.`)

/** RFC 7523 §2.2 and §3: the client signs with its own key who it is, for whom, and that once. */
export const private_key_jwt: Method = {
  wire: assertionWire,
  present(_authorization, params) {
    const assertion = assertionOf(params, 'jwt-bearer')
    if (!assertion) return undefined
    const { jwt, client_id } = assertion
    return {
      client_id,
      async proves(client, credentials, deps) {
        if (!jwt) throw refuse('is not a signed JWT of an asymmetric algorithm that is supported here')
        checkClaims(deps, client, jwt)
        await checkSignature(deps, client, jwt)
        await useUp(deps, client, credentials, jwt)
        return { node: null }
      },
    }
  },
}

function checkClaims({ config: { issuer }, now }: Deps, client: Client, { header, alg, claims }: ForeignJwt): void {
  const { iss, sub, aud, jti } = claims
  const { client_id, assertions } = client
  const typ = typeof header.typ === 'string' ? header.typ.toLowerCase().replace(/^application\//, '') : header.typ
  if (!types.has(typ as string)) throw refuse('is a JWT of another kind (typ)')
  if (assertions.alg !== null && assertions.alg !== alg) throw refuse(`must be signed by ${assertions.alg}, as the client registered`)
  if (iss !== client_id || sub !== client_id) throw refuse('must have the client_id as iss and as sub')
  const audiences = assertions.token_endpoint_too ? [issuer, `${issuer}/token`] : [issuer]
  if (!isFor(aud, audiences)) throw refuse(`must have ${audiences.join(' or ')} as aud, and nothing else`)
  const wrong = wrongTimes(claims, now(), longestLife)
  if (wrong !== undefined) throw refuse(wrong)
  if (typeof jti !== 'string' || jti === '' || jti.length > longestJti) throw refuse(`needs a jti of ${longestJti} letters at the most`)
}

const made = new WeakMap<PublicJwk, readonly ForeignKey[]>()

/** To make a key takes as long as to verify a signature, so it is done for keys that are needed, and for those that the policy holds once. */
function madeOf(jwk: PublicJwk): readonly ForeignKey[] {
  const before = made.get(jwk)
  if (before) return before
  const keys = foreignKeysOf({ keys: [jwk] }, isForSignatures) ?? []
  made.set(jwk, keys)
  return keys
}

/** The keys that stand in the client's entry, or those at its address. Throws `Unavailable` where that cannot be read. */
async function keysOf({ clientKeys, now }: Deps, { client_id, keys }: Client, { kid }: ForeignJwt): Promise<readonly ForeignKey[]> {
  if (keys === null) return []
  if ('jwks' in keys) return keys.jwks.keys.filter((key) => kid === undefined || key.kid === kid).flatMap(madeOf)
  return clientKeys.at(keys.jwks_uri, { client_id, kid, now: now() })
}

const signatureProblems = {
  bad: 'is not signed by the key that it names',
  unknown: 'is not signed by a key of this client for its algorithm',
  ambiguous: 'may be signed by several keys of this client: say which one by a kid that only it has',
}

async function checkSignature(deps: Deps, client: Client, jwt: ForeignJwt): Promise<void> {
  const signed = isSignedBy(jwt, await keysOf(deps, client, jwt))
  if (signed !== 'good') throw refuse(signatureProblems[signed])
}

/** For a minute after that where assertions say when they were made (iat), else for six. */
const justRestored = () =>
  new Unavailable(
    'This server was restored from a backup just now, and cannot tell whether this assertion was used before. Try again with a new one.',
    {
      retryAfter: 60,
    },
  )

/**
 * RFC 7523 §3, 7.: once, and before what it authorises: what then is refused has used it up, and nothing can be done twice with it; what fails
 * by an outage gives it back. Only what the client itself has signed is written down.
 */
async function useUp({ store }: Deps, { client_id }: Client, { spent }: Credentials, { claims }: ForeignJwt): Promise<void> {
  const jti = digest(claims.jti as string)
  const first_use = firstUse(claims, longestLife)
  if (spent.has(jti)) return
  try {
    await store.commit([useAssertion(client_id, jti, { first_use, expires_at: claims.exp as number })])
  } catch (thrown) {
    if (!(thrown instanceof GuardFailed)) throw thrown
    if (Number((await store.meta.find('epoch')) ?? 0) > first_use) throw justRestored()
    throw refuse('was used before: make a new one for each request (jti)')
  }
  spent.set(jti, giveBackAssertion(client_id, jti))
}
