/** Authorization codes (RFC 6749 §4.1.2): by digest, once, for a minute. */
import type { Engine, Write } from './engine.ts'

export type Code = {
  digest: string
  authorization_id: string
  /** S256, base64url; null only for a confidential client of the policy whose PKCE is waived. */
  code_challenge: string | null
  redirect_uri: string
  nonce: string | null
  expires_at: number
  consumed_at: number | null
}

export const codes = (engine: Engine) => ({
  find: (digest: string) => engine.get<Code>('SELECT * FROM codes WHERE digest = $digest', { digest }),
})

export const insertCode = (code: Code): Write => ({
  sql: `INSERT INTO codes (digest, authorization_id, code_challenge, redirect_uri, nonce, expires_at)
    VALUES ($digest, $authorization_id, $code_challenge, $redirect_uri, $nonce, $expires_at)`,
  params: { ...code },
})

/** Spends the code; the commit fails if someone else did so first. */
export const consumeCode = ({ digest }: Code, now: number): Write => ({
  sql: 'UPDATE codes SET consumed_at = $now WHERE digest = $digest AND consumed_at IS NULL',
  params: { digest, now },
  expect: 1,
})
