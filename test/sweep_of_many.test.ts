/** 100,000 authorizations are looked through in small steps, between which requests have their turn. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sweep } from '../src/sweep.ts'
import { start } from './support/start.ts'
import { turns } from './support/turns.ts'

/** 100,000 people with one each. */
const fill = (now: number) => ({
  sql: `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
    INSERT INTO authorizations (id, client_id, user_id, login, node_id, address, bind, scopes, auth_time, created_at, expires_at)
    SELECT printf('%026d', i), 'client:filled', printf('%d', i), 'somebody@example.com', 'n', '127.0.0.2',
      CASE WHEN i % 10 = 1 THEN 'node' ELSE 'user' END, 'openid', $now, $now, $now + 86400 FROM n`,
  params: { now },
})

/** Milliseconds of CPU in one turn; the wall's would count what other programs take. */
const mostInATurn = 100

test('CWE-834: of 100,000 people 2,000 are gone: the sweep finds them, and nobody waits for it', async (t) => {
  const { daemon, clock } = await start(t)
  const { deps } = daemon
  await deps.store.engine.commit([fill(clock.now())])
  deps.identity.present = async () => ({ has: ({ user_id }) => !/[05]0$/.test(user_id), next_expiry: null })
  for (const what of ['noted', 'suspended', 'nothing new']) {
    const measured = turns()
    const began = performance.now()
    await sweep(deps)
    const longest = measured.stop()
    t.diagnostic(`${what}: ${Math.round(performance.now() - began)} ms, in the longest turn ${longest} ms`)
    assert.ok(longest < mostInATurn, `${what}: everybody waited for ${longest} ms`)
    clock.advance({ seconds: 30 })
  }
  const counted = await deps.store.engine.get<{ suspended: number }>(
    'SELECT count(*) AS suspended FROM authorizations WHERE suspended_at IS NOT NULL',
    {},
  )
  assert.deepEqual(counted, { suspended: 2000 })
})
