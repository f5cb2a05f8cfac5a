/** `npm run test:killed` fills the store with a million; without `MANY` it is 100,000. */
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { runAction } from '../src/admin/actions.ts'
import { rulesOf } from '../src/janitor.ts'
import { pruneExpired } from '../src/store/prune.ts'
import { policy } from './daemon/load.ts'
import { grafanaCallback, policyClient, wiki } from './support/example_policy.ts'
import { start, unhurried } from './support/start.ts'
import { turns } from './support/turns.ts'

const many = Number(process.env.MANY ?? 100_000)

/** So many sign-ins of as many people by this client, each with a refresh token; every tenth has expired long ago. */
const fill = (count: number, client_id: string, now: number) => {
  const numbers = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $count)'
  const id = "printf('%026d', i)"
  return [
    {
      sql: `${numbers} INSERT INTO authorizations (id, client_id, user_id, login, node_id, address, bind, resource, scopes, auth_time, created_at, expires_at)
        SELECT ${id}, $client_id, 'p' || i, 'somebody@example.com', 'n', '127.0.0.2', 'user', 'https://wiki.example.com/mcp', 'wiki:read', $now, $now,
          $now + CASE WHEN i % 10 = 0 THEN -864000 ELSE 864000 END FROM n`,
      params: { count, client_id, now },
    },
    {
      sql: `${numbers} INSERT INTO refresh_tokens (authorization_id, digest, expires_at, created_at) SELECT ${id}, ${id}, $now + 864000, $now FROM n`,
      params: { count, now },
    },
  ]
}

/** Milliseconds of CPU in one turn. */
const mostInATurn = 100

test(`among ${many.toLocaleString('en')} live tokens it starts, refreshes and introspects as among none, and what has expired goes in small steps [threats 487]`, async (t) => {
  const limits = { ...unhurried, per_principal: { rate: 1e9, burst: 1e9 } }
  const first = await start(t, { policy, config: { limits } })
  for (const write of fill(many, 'client:filled', first.clock.now())) await first.daemon.deps.store.commit([write])
  const restarted = await first.restart()
  const { alice, daemon, config } = restarted
  const bytes = statSync(join(config.state_directory, 'meshidp.db')).size
  t.diagnostic(`${Math.round(bytes / 2 ** 20)} MiB, ${Math.round(bytes / many)} bytes a sign-in`)

  const grafana = policyClient({ config }, 'grafana', grafanaCallback)
  const wikiServer = policyClient({ config }, 'wiki-server')
  let tokens = await alice.signIn(grafana, wiki)
  const measured = turns()
  for (let times = 0; times < 100; times++) {
    tokens = await alice.refresh(grafana, tokens)
    assert.equal((await alice.introspect(wikiServer, tokens.access_token)).active, true)
  }
  const longest = measured.stop()
  const cleaning = turns()
  const { deps } = daemon
  await pruneExpired(deps.store.engine, rulesOf(deps), deps.now()) // beside the daemon's own, where that has begun
  const longestClean = cleaning.stop()
  const left = await deps.store.engine.get<{ n: number }>("SELECT count(*) AS n FROM authorizations WHERE client_id = 'client:filled'", {})
  assert.equal(left?.n, many * 0.9)
  t.diagnostic(`longest turn: ${longest} ms of CPU with requests, ${longestClean} ms with the clean-up`)
  assert.ok(longest < mostInATurn && longestClean < mostInATurn)
})

test('CWE-834: 10,000 sign-ins and consents of one client end at once, and 10,000 consents of one person go: nobody waits for it [threats 488]', async (t) => {
  const { alice, daemon, clock } = await start(t)
  const { deps } = daemon
  const { client_id } = await alice.register()
  const consents = (user: string, client: string) => ({
    sql: `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
      INSERT INTO consents (user_id, client_id, resource, scopes, software_digest, agreed_at) SELECT ${user}, ${client}, 'r' || i, 's', 'd', $at FROM n`,
    params: { client_id, at: clock.now() - 500 * 86_400 },
  })
  const everybody = consents("'p' || i", '$client_id')
  await deps.store.commit([...fill(10_000, client_id, clock.now()), everybody])
  const onePerson = consents("'one'", "'c' || i")
  await deps.store.commit([{ ...onePerson, params: { at: onePerson.params.at } }])

  const revoking = turns()
  await runAction(deps, 'clients.revoke', { client_id })
  const longest = revoking.stop()
  const left = async (where: string) => (await deps.store.engine.get<{ n: number }>(`SELECT count(*) AS n FROM ${where}`, {}))?.n
  assert.equal(await left('authorizations WHERE ended_at IS NULL'), 0)
  assert.equal(await left("consents WHERE user_id <> 'one'"), 0)
  const pruning = turns()
  await pruneExpired(deps.store.engine, rulesOf(deps), deps.now())
  const longestPrune = pruning.stop()
  assert.equal(await left('consents'), 0)
  t.diagnostic(`longest turn: ${longest} ms of CPU to revoke, ${longestPrune} ms to forget`)
  assert.ok(longest < 3 * mostInATurn && longestPrune < mostInATurn)
})
