/** Tokens asked about where they came from (RFC 7662): a revoked one is dead here as soon as an answer that was kept has aged. */
import { createHash } from 'node:crypto'
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import type { OAuthTokenVerifier } from '@modelcontextprotocol/sdk/server/auth/provider.js'
import type { AuthInfo } from '@modelcontextprotocol/sdk/server/auth/types.js'
import { metadataOf, patience } from './authorization_server.ts'
import { Outage } from './outage.ts'

/** Without secret and proof the machine that this server runs on is its credential (`node` in the policy): it then names itself, and nothing else. */
export type Credentials = {
  client_id: string
  client_secret?: string
  /** Parameters that prove the client in place of a secret, made anew for each request: a client assertion. */
  proof?: () => Promise<Record<string, string>>
  /** By which way the authorization server is asked; default: the global one. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
}

type Introspection = { active: boolean; aud?: string; exp?: number; sub?: string; client_id?: string; scope?: string; act?: object }
type Kept = { until: number; answer: Promise<Introspection> }

const mostKept = 1000

/**
 * `credentials` are this server's own: the policy must let that client introspect `resource`. `cacheSeconds`: how long an answer is used
 * again; it is also how long a revoked token may still work. `now`: seconds. The verifier throws the SDK's InvalidTokenError, or Outage.
 */
export function checkByIntrospection({
  issuer,
  resource,
  credentials,
  cacheSeconds,
  now,
}: {
  issuer: string
  resource: string
  credentials: Credentials
  cacheSeconds: number
  now: () => number
}): OAuthTokenVerifier {
  const metadata = metadataOf(issuer)
  const { client_id, client_secret: secret, proof, fetch = globalThis.fetch } = credentials
  const kept = new Map<string, Kept>()

  async function ask(token: string): Promise<Introspection> {
    const { introspection_endpoint } = await metadata()
    const named = secret === undefined && { client_id, ...(await proof?.()) }
    const response = await fetch(introspection_endpoint, {
      method: 'POST',
      headers: secret === undefined ? {} : { authorization: basic(client_id, secret) },
      body: new URLSearchParams({ token, token_type_hint: 'access_token', ...named }),
      redirect: 'error',
      signal: AbortSignal.timeout(patience),
    }).catch((cause) => {
      throw new Outage(`${issuer} does not answer.`, { cause })
    })
    // Also a 401: then our own credential is wrong, and the caller can do nothing about it.
    if (!response.ok) throw new Outage(`${issuer} refuses introspection: ${response.status} ${await response.text()}`)
    return (await response.json()) as Introspection
  }

  /** The answer, kept by the token's digest. Requests at the same moment share one question; a failure is not kept. */
  function askedLately(token: string): Promise<Introspection> {
    const key = createHash('sha256').update(token).digest('base64url')
    const known = kept.get(key)
    if (known && known.until > now()) return known.answer
    if (kept.size >= mostKept) kept.clear()
    const answer = ask(token)
    kept.set(key, { until: now() + cacheSeconds, answer })
    answer.catch(() => kept.delete(key))
    return answer
  }

  return {
    async verifyAccessToken(token): Promise<AuthInfo> {
      const { active, aud, exp = 0, sub, client_id = '', scope = '', act } = await askedLately(token)
      if (!active || exp <= now()) throw new InvalidTokenError('This access token has ended, or it is not known.')
      if (aud !== resource) throw new InvalidTokenError('This access token is for another server.')
      return { token, clientId: client_id, scopes: scope.split(' '), expiresAt: exp, resource: new URL(resource), extra: { sub, act } }
    },
  }
}

/** RFC 6749 §2.3.1: both are form-encoded before they are joined. */
const basic = (client_id: string, client_secret: string) =>
  `Basic ${Buffer.from(`${encodeURIComponent(client_id)}:${encodeURIComponent(client_secret)}`).toString('base64')}`
