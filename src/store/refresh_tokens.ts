/**
 * Refresh tokens, a row for each authorization: all of one authorization are one family (RFC 9700 §4.14.2), of which only the current token can be used, and
 * only the one before it can still be forgiven. Older ones are known by their text (`oauth/secret`), so a chain of any length is one row.
 */
import type { Engine, Write } from './engine.ts'

export type RefreshFamily = {
  authorization_id: string
  /** Of the current token. */
  digest: string
  /** Idle end of the current token, never after the authorization's own. */
  expires_at: number
  created_at: number
  /** The token before it, when it was spent, for which scopes (space-separated), and how often it yielded its successor again. */
  previous_digest: string | null
  rotated_at: number | null
  rotated_for: string | null
  replays: number
}

export const refreshTokens = (engine: Engine) => ({
  find: (authorization_id: string) =>
    engine.get<RefreshFamily>('SELECT * FROM refresh_tokens WHERE authorization_id = $authorization_id', { authorization_id }),
})

/** SQL: the authorization has not ended meanwhile. */
const lives = 'EXISTS (SELECT 1 FROM authorizations WHERE id = $authorization_id AND ended_at IS NULL AND expires_at > $now)'

/** The first token of a family; the commit fails if its authorization has ended meanwhile. */
export const insertRefreshToken = (authorization_id: string, digest: string, now: number, expires_at: number): Write => ({
  sql: `INSERT INTO refresh_tokens (authorization_id, digest, expires_at, created_at) SELECT $authorization_id, $digest, $expires_at, $now WHERE ${lives}`,
  params: { authorization_id, digest, now, expires_at },
  expect: 1,
})

/** Spends the current token for these scopes and puts its successor in its place; the commit fails if someone else did so first. */
export const rotateRefreshToken = (
  { authorization_id, digest }: RefreshFamily,
  successor: string,
  scopes: string,
  now: number,
  expires_at: number,
): Write => ({
  sql: `UPDATE refresh_tokens SET digest = $successor, expires_at = $expires_at, created_at = $now,
      previous_digest = $digest, rotated_at = $now, rotated_for = $scopes, replays = 0
    WHERE authorization_id = $authorization_id AND digest = $digest AND ${lives}`,
  params: { authorization_id, digest, successor, scopes, now, expires_at },
  expect: 1,
})

/** Lets the token before the current one yield it once more, `most` times in all. */
export const replayRefreshToken = ({ authorization_id, digest }: RefreshFamily, now: number, most: number): Write => ({
  sql: `UPDATE refresh_tokens SET replays = replays + 1
    WHERE authorization_id = $authorization_id AND digest = $digest AND replays < $most AND ${lives}`,
  params: { authorization_id, digest, now, most },
  expect: 1,
})
