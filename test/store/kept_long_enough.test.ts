import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { rulesOf } from '../../src/janitor.ts'
import type { Write } from '../../src/store/engine.ts'
import { pruneExpired } from '../../src/store/prune.ts'
import { start } from '../support/start.ts'

const day = 86_400

/** Seconds by which the clocks of others may differ, and for which a token may still be shown after its end. */
const skew = 300

/** Something that was spent, or ended, at a time of its own around now. */
const spent = fc.record({ expires: fc.integer({ min: -10 * day, max: 2 * day }), ended: fc.option(fc.integer({ min: -10 * day, max: 0 })) })

test('RFC 9700 §4.14.2, RFC 7523 §3: whatever the times, nothing is forgotten that a second use would be noticed by [threats 476]', async (t) => {
  const { daemon, clock } = await start(t)
  const { deps } = daemon
  const { engine } = deps.store
  const now = clock.now()
  const clear = ['authorizations', 'revoked_tokens', 'client_assertions'].map(
    (table): Write => ({ sql: `DELETE FROM ${table}`, params: {} }),
  )

  await fc.assert(
    fc.asyncProperty(fc.array(spent, { minLength: 1, maxLength: 20 }), async (all) => {
      const rows = all.flatMap(({ expires, ended }, at): Write[] => {
        const params = { id: `A${at}`, expires_at: now + expires, ended_at: ended === null ? null : now + ended, now }
        return [
          {
            sql: `INSERT INTO authorizations (id, client_id, user_id, login, node_id, address, bind, scopes, auth_time, created_at, expires_at, ended_at, end_reason)
              VALUES ($id, 'c', 'u', 'l', 'n', 'a', 'user', 's', $now, $now, $expires_at, $ended_at, $ended_at)`,
            params,
          },
          {
            sql: "INSERT INTO codes (authorization_id, digest, redirect_uri, expires_at, consumed_at) VALUES ($id, $id, 'r', $now, $now)",
            params,
          },
          {
            sql: 'INSERT INTO refresh_tokens (authorization_id, digest, expires_at, created_at) VALUES ($id, $id, $expires_at, $now)',
            params,
          },
          { sql: 'INSERT INTO revoked_tokens (jti, expires_at) VALUES ($id, $expires_at)', params },
          { sql: "INSERT INTO client_assertions (client_id, jti, expires_at) VALUES ('c', $id, $expires_at)", params },
        ].map(({ sql, params }) => ({
          sql,
          params: Object.fromEntries(Object.entries(params).filter(([name]) => sql.includes(`$${name}`))),
        }))
      })
      await engine.commit([...clear, ...rows])
      await pruneExpired(engine, rulesOf(deps), now)
      const left = async (table: string, column: string) =>
        new Set((await engine.all<Record<string, string>>(`SELECT ${column} FROM ${table} LIMIT 1000`, {})).map((row) => row[column]))
      const [families, codes, jtis, assertions] = await Promise.all([
        left('refresh_tokens', 'authorization_id'),
        left('codes', 'authorization_id'),
        left('revoked_tokens', 'jti'),
        left('client_assertions', 'jti'),
      ])
      for (const [at, { expires, ended }] of all.entries()) {
        const id = `A${at}`
        if (expires <= -skew) continue // by itself it is nothing any more
        assert.ok(jtis.has(id) && assertions.has(id), `${id}: a token id`)
        // One that has ended refuses all that came from it; what was never there refuses it too.
        if (ended === null) assert.ok(families.has(id) && codes.has(id), `${id}: what was spent of a sign-in that lives`)
      }
    }),
    { numRuns: 100 },
  )
})
