import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { rulesOf } from '../../src/janitor.ts'
import type { Decision } from '../../src/store/decisions.ts'
import { pruneExpired } from '../../src/store/prune.ts'
import { eventually } from '../support/eventually.ts'
import { wiki } from '../support/example_policy.ts'
import { printed } from '../support/printed.ts'
import { type Started, start } from '../support/start.ts'

/** Denials of mallory and carol, and what alice did. */
async function someDecisions({ alice, mallory, clock }: Started) {
  const left = 86_400 - (clock.now() % 86_400)
  if (left < 3600) clock.advance({ seconds: left }) // the same denial is one row a day
  const client = await alice.register()
  await mallory.send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'] } })
  clock.advance({ seconds: 90 })
  await alice.signIn(client, wiki)
  for (let times = 0; times < 2; times++) {
    await mallory.send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'] } })
    clock.advance({ seconds: 90 })
  }
  return client
}

test('decisions query: by person, client, outcome, entry, reason and time, the newest first', async (t) => {
  const started = await start(t)
  const client = await someDecisions(started)
  const query = async (...argv: string[]) => {
    const { stdout } = await printed(['decisions', 'query', '--json', '--config', started.configFile, ...argv])
    return (JSON.parse(stdout) as { decisions: Decision[] }).decisions.map(({ entry, outcome, principal, count }) => [
      principal,
      entry,
      outcome,
      count,
    ])
  }
  const denied = ['mallory@other.com', 'register', 'denied', 3]
  const alices = [
    ['alice@example.com', 'authorization_code', 'allowed', 1],
    ['alice@example.com', 'authorize', 'allowed', 1],
    ['alice@example.com', 'register', 'allowed', 1],
  ]
  assert.deepEqual(await query('--principal', 'mallory@other.com'), [denied])
  assert.deepEqual((await query('--principal', 'alice@example.com')).toSorted(), alices.toSorted())
  assert.deepEqual(await query('--outcome', 'denied'), [denied])
  assert.deepEqual(await query('--reason', 'no_grant'), [denied])
  assert.deepEqual(
    (await query('--entry', 'register')).map(([who]) => who),
    ['mallory@other.com', 'alice@example.com'],
  )
  assert.deepEqual((await query('--client', client.client_id, '--entry', 'authorize')).length, 1)
  assert.deepEqual(await query('--since', '2126-01-01'), [])
  assert.equal((await query('--limit', '2')).length, 2)
  assert.deepEqual(await query('--principal', 'nobody@example.com'), [])
})

test('decisions query finds what is rare among many, and what is asked of one person by an index of theirs', async (t) => {
  const started = await start(t)
  const { store } = started.daemon.deps
  await someDecisions(started)
  const now = started.clock.now()
  await store.engine.commit([
    {
      sql: `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO decisions (id, at, last_at, count, entry, outcome, principal, policy)
        SELECT 'X' || i, $now + i, $now + i, 1, 'authorize', 'allowed', 'p' || (i % 100), 'none' FROM n`,
      params: { now },
    },
  ])
  const { stdout } = await printed(['decisions', 'query', '--json', '--outcome', 'denied', '--config', started.configFile])
  assert.equal(JSON.parse(stdout).decisions.length, 1)
  const ofOne = await printed(['decisions', 'query', '--json', '--principal', 'p7', '--limit', '1000', '--config', started.configFile])
  assert.equal(JSON.parse(ofOne.stdout).decisions.length, 200)
  const page = { principal: 'p7', since: 0, last_at: now + 1e6, id: '', limit: 10 }
  const plan = await store.engine.all<{ detail: string }>(
    'EXPLAIN QUERY PLAN SELECT * FROM decisions WHERE principal = $principal AND last_at >= $since AND (last_at, id) < ($last_at, $id) ORDER BY last_at DESC, id DESC LIMIT $limit',
    page,
  )
  assert.match(
    plan.map(({ detail }) => detail).join('\n'),
    /^SEARCH decisions USING INDEX decisions_by_principal \(principal=\? AND last_at/,
  )
})

test('decisions export: all that match as JSON Lines, page after page, with what was asked as JSON; without a daemon, too', async (t) => {
  const started = await start(t)
  await someDecisions(started)
  const run = (...argv: string[]) => printed(['decisions', 'export', '--config', started.configFile, ...argv])
  const { stdout } = await run()
  const all = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.equal(all.length, 4)
  assert.ok(all.some(({ question }) => typeof question === 'object' && question !== null))
  assert.equal((await run('--outcome', 'denied')).stdout.trimEnd().split('\n').length, 1)
  await started.close()
  assert.equal((await run()).stdout, stdout)
  assert.equal((await run('--principal', 'nobody@example.com')).stdout, '')
})

test('decisions tail: the last ones, then each that is made, and a denial again when it is repeated, until it is stopped', async (t) => {
  const started = await start(t)
  const { mallory, clock, configFile } = started
  await someDecisions(started)
  const { promise, resolve } = Promise.withResolvers<string>()
  let text = ''
  const tail = printed(['decisions', 'tail', '--config', configFile], {
    write: (more) => {
      text += more
    },
    keepPrivate: () => undefined,
    onHangup: () => undefined,
    untilStopped: () => promise,
  })
  const lines = () => text.trimEnd().split('\n')
  await eventually('the last ones', async () => lines().length === 4)
  await mallory.send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'] } })
  await eventually('the next one', async () => lines().length === 5)
  assert.match(lines()[4] ?? '', / {2}denied ×4 {2}register {2}mallory@other\.com {2}/)
  await started.carol.register()
  await eventually('another one', async () => lines().length === 6)
  assert.match(lines()[5] ?? '', / {2}(?:allowed|denied) {2}register {2}carol@example\.com {2}/)
  clock.advance({ seconds: 1 })
  await sleep(1200)
  assert.equal(lines().length, 6, 'nothing comes twice')
  resolve('SIGINT')
  assert.equal((await tail).code, 0)
})

test('decisions are kept for lifetimes.decisions, and then they go', async (t) => {
  const started = await start(t, { config: { lifetimes: { decisions: 3600 } } })
  await someDecisions(started)
  const { daemon, clock, configFile } = started
  const kept = async () => (await printed(['decisions', 'export', '--config', configFile])).stdout.split('\n').length - 1
  clock.advance({ seconds: 3000 })
  await pruneExpired(daemon.deps.store.engine, rulesOf(daemon.deps), clock.now())
  assert.equal(await kept(), 4)
  clock.advance({ seconds: 700 })
  await pruneExpired(daemon.deps.store.engine, rulesOf(daemon.deps), clock.now())
  assert.equal(await kept(), 0)
})
