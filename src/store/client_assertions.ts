/** Assertions that clients have used (RFC 7523 §3, 7.): each is good for once. */
import type { Write } from './engine.ts'

/**
 * Uses the assertion up; the commit fails where that was done before, or may have been: before a backup was restored (`epoch.ts`). `jti`: its digest. Times in
 * seconds: `first_use` is the earliest at which it can have been used; until `expires_at` it is kept, and a while longer.
 */
export const useAssertion = (
  client_id: string,
  jti: string,
  { first_use, expires_at }: { first_use: number; expires_at: number },
): Write => ({
  sql: `INSERT INTO client_assertions (client_id, jti, expires_at) SELECT $client_id, $jti, $expires_at
    WHERE NOT EXISTS (SELECT 1 FROM meta WHERE name = 'epoch' AND CAST(value AS INTEGER) > $first_use)`,
  params: { client_id, jti, first_use, expires_at },
  expect: 1,
})

/** Takes that back: what the assertion was for could not be done, by no fault of its client. */
export const giveBackAssertion = (client_id: string, jti: string): Write => ({
  sql: 'DELETE FROM client_assertions WHERE client_id = $client_id AND jti = $jti',
  params: { client_id, jti },
})
