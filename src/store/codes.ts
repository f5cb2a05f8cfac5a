/** Authorization codes (RFC 6749 §4.1.2), one for each authorization: by digest, once, for a minute. */
import type { Engine, Write } from './engine.ts'

export type Code = {
  authorization_id: string
  digest: string
  /** S256, base64url; null only for a confidential client of the policy whose PKCE is waived. */
  code_challenge: string | null
  redirect_uri: string
  nonce: string | null
  expires_at: number
  consumed_at: number | null
}

export const codes = (engine: Engine) => ({
  find: (authorization_id: string) =>
    engine.get<Code>('SELECT * FROM codes WHERE authorization_id = $authorization_id', { authorization_id }),
})

export const insertCode = (code: Code): Write => ({
  sql: `INSERT INTO codes (authorization_id, digest, code_challenge, redirect_uri, nonce, expires_at)
    VALUES ($authorization_id, $digest, $code_challenge, $redirect_uri, $nonce, $expires_at)`,
  params: { ...code },
})

/** Spends the code; the commit fails if someone else did so first. */
export const consumeCode = ({ authorization_id }: Code, now: number): Write => ({
  sql: 'UPDATE codes SET consumed_at = $now WHERE authorization_id = $authorization_id AND consumed_at IS NULL',
  params: { authorization_id, now },
  expect: 1,
})

/** SQL: the authorizations whose codes ended `seconds` ago without being redeemed: nothing came from them, and nothing will. */
export const neverRedeemed = (seconds: number) =>
  `SELECT authorization_id FROM codes WHERE consumed_at IS NULL AND expires_at <= $now - ${seconds}`
