/** Opaque access tokens: what they say, by the digest of their text, next to their authorization. A JWT access token has no row. */
import type { Engine, Write } from './engine.ts'

export type OpaqueToken = {
  authorization_id: string
  digest: string
  /** JSON: what a JWT would say (RFC 9068 §2.2). */
  claims: string
  expires_at: number
}

export const accessTokens = (engine: Engine) => ({
  find: (authorization_id: string, digest: string) =>
    engine.get<OpaqueToken>('SELECT * FROM access_tokens WHERE authorization_id = $authorization_id AND digest = $digest', {
      authorization_id,
      digest,
    }),
})

export const insertAccessToken = (token: OpaqueToken): Write => ({
  sql: 'INSERT INTO access_tokens (authorization_id, digest, claims, expires_at) VALUES ($authorization_id, $digest, $claims, $expires_at)',
  params: { ...token },
})
