/** Refresh tokens by digest. All of one authorization are one family (RFC 9700 §4.14.2). */
import type { Engine, Write } from './engine.ts'

export type RefreshToken = {
  digest: string
  authorization_id: string
  created_at: number
  /** Idle end, never after the authorization's own; of a spent token, when it was spent: a day later its row may go. */
  expires_at: number
  consumed_at: number | null
  /** The scopes that it was spent for, space-separated. */
  consumed_with: string | null
  /** How often it yielded its successor again within the grace. */
  replays: number
}

export const refreshTokens = (engine: Engine) => ({
  find: (digest: string) => engine.get<RefreshToken>('SELECT * FROM refresh_tokens WHERE digest = $digest', { digest }),

  /** The one token of this family that is still to be used, expired or not. */
  current: (authorization_id: string) =>
    engine.get<RefreshToken>('SELECT * FROM refresh_tokens WHERE authorization_id = $authorization_id AND consumed_at IS NULL LIMIT 1', {
      authorization_id,
    }),
})

/** A token of a family; the commit fails if its authorization has ended meanwhile. */
export const insertRefreshToken = (token: Pick<RefreshToken, 'digest' | 'authorization_id' | 'created_at' | 'expires_at'>): Write => ({
  sql: `INSERT INTO refresh_tokens (digest, authorization_id, created_at, expires_at)
    SELECT $digest, id, $created_at, $expires_at FROM authorizations WHERE id = $authorization_id AND ended_at IS NULL AND expires_at > $created_at`,
  params: { ...token },
  expect: 1,
})

/** Spends the token for these scopes; the commit fails if someone else did so first. */
export const consumeRefreshToken = ({ digest }: RefreshToken, now: number, scopes: string): Write => ({
  sql: `UPDATE refresh_tokens SET consumed_at = $now, consumed_with = $scopes, expires_at = $now
    WHERE digest = $digest AND consumed_at IS NULL`,
  params: { digest, now, scopes },
  expect: 1,
})

/** Lets a spent token yield its successor once more, `most` times in all, while that successor is unused. */
export const replayRefreshToken = ({ digest }: RefreshToken, successor: string, most: number): Write => ({
  sql: `UPDATE refresh_tokens SET replays = replays + 1 WHERE digest = $digest AND consumed_at IS NOT NULL AND replays < $most
    AND EXISTS (SELECT 1 FROM refresh_tokens AS next WHERE next.digest = $successor AND next.consumed_at IS NULL)`,
  params: { digest, successor, most },
  expect: 1,
})
