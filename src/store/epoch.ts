/**
 * A state that was put back is of the past: what was spent, rotated, revoked or ended since then would come back to life. So a new epoch begins with it: of
 * what could be used at the time of the copy, nothing can.
 */
import type { Write } from './engine.ts'

/** Why authorizations ended that were alive in a state that was put back. */
export const restoredReason = 'this server was restored from a backup'

/**
 * Ends all that can be used once, or was given to somebody, before `now` (seconds): codes, tokens and refresh tokens end with their authorizations. Consents
 * and times of sign-in go, for they may have been taken back since; and nobody knows how often an initial access token was used since. `meta.epoch` is when.
 */
export const beginEpoch = (now: number): Write[] => [
  {
    sql: 'UPDATE authorizations SET ended_at = $now, end_reason = $reason WHERE ended_at IS NULL',
    params: { now, reason: restoredReason },
  },
  { sql: 'DELETE FROM tickets', params: {} },
  { sql: 'DELETE FROM consents', params: {} },
  { sql: 'DELETE FROM auth_times', params: {} },
  // Keys may have been withdrawn since; what a trust domain signs with today is asked of it.
  { sql: 'DELETE FROM trust_bundles', params: {} },
  { sql: 'UPDATE initial_access_tokens SET revoked_at = $now WHERE revoked_at IS NULL', params: { now } },
  {
    sql: "INSERT INTO meta (name, value) VALUES ('epoch', $epoch) ON CONFLICT (name) DO UPDATE SET value = $epoch",
    params: { epoch: String(now) },
  },
]
