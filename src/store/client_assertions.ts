/** Assertions that clients have used (RFC 7523 §3, 7.): each is good for once. */
import type { Write } from './engine.ts'

/** Uses the assertion up; the commit fails where that was done before. `jti`: its digest. `expires_at`: seconds; it is kept for a while longer. */
export const useAssertion = (client_id: string, jti: string, expires_at: number): Write => ({
  sql: 'INSERT INTO client_assertions (client_id, jti, expires_at) VALUES ($client_id, $jti, $expires_at)',
  params: { client_id, jti, expires_at },
  expect: 1,
})
