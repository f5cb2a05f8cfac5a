import type { Deps } from '../deps.ts'
import { digest, firstRefreshToken } from '../oauth/secret.ts'
import type { Write } from '../store/engine.ts'
import { insertRefreshToken } from '../store/refresh_tokens.ts'

/** The refresh token that begins the family of an authorization, and the write that keeps it until then (seconds). */
export function newFamily(
  { randomBytes, keys, now }: Deps,
  authorization_id: string,
): { token: string; keep: (expires_at: number) => Write } {
  const token = firstRefreshToken(authorization_id, randomBytes, keys.succession)
  return { token, keep: (expires_at) => insertRefreshToken(authorization_id, digest(token), now(), expires_at) }
}
