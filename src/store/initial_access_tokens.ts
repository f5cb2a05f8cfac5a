/** Initial access tokens (RFC 7591 §3). */
import type { Engine, Write } from './engine.ts'

export type InitialAccessToken = {
  id: string
  digest: string
  /** A login, a tag, or `*` for whomever the policy lets. */
  issued_for: string
  uses: number
  used: number
  created_at: number
  expires_at: number
  revoked_at: number | null
}

export const initialAccessTokens = (engine: Engine) => ({
  find: (digest: string) => engine.get<InitialAccessToken>('SELECT * FROM initial_access_tokens WHERE digest = $digest', { digest }),

  /** Newest first, `limit` at the most, those before `before`; also what is used up, revoked or expired, as long as it is kept. */
  list: ({ before = '~', limit = 100 } = {}) =>
    engine.all<InitialAccessToken>('SELECT * FROM initial_access_tokens WHERE id < $before ORDER BY id DESC LIMIT $limit', {
      before,
      limit,
    }),
})

export const insertInitialAccessToken = (token: Omit<InitialAccessToken, 'used' | 'revoked_at'>): Write => ({
  sql: `INSERT INTO initial_access_tokens (id, digest, issued_for, uses, created_at, expires_at)
    VALUES ($id, $digest, $issued_for, $uses, $created_at, $expires_at)`,
  params: { ...token },
})

/** One use; the commit fails where none is left, or it is not good any more. */
export const useInitialAccessToken = (id: string, now: number): Write => ({
  sql: 'UPDATE initial_access_tokens SET used = used + 1 WHERE id = $id AND used < uses AND expires_at > $now AND revoked_at IS NULL',
  params: { id, now },
  expect: 1,
})

/** The commit fails where there is none, or it was revoked before. */
export const revokeInitialAccessToken = (id: string, now: number): Write => ({
  sql: 'UPDATE initial_access_tokens SET revoked_at = $now WHERE id = $id AND revoked_at IS NULL',
  params: { id, now },
  expect: 1,
})
