/** Access tokens revoked before their end (RFC 7009), remembered by `jti` until then. */
import type { Engine, Write } from './engine.ts'

export const revokedTokens = (engine: Engine) => ({
  has: async (jti: string): Promise<boolean> => (await engine.get('SELECT 1 FROM revoked_tokens WHERE jti = $jti', { jti })) !== undefined,
})

export const revokeToken = (jti: string, expires_at: number): Write => ({
  sql: 'INSERT INTO revoked_tokens (jti, expires_at) VALUES ($jti, $expires_at) ON CONFLICT (jti) DO NOTHING',
  params: { jti, expires_at },
})
