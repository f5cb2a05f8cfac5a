/** Everyone waits while SQLite looks, so it finds rows by an index, and never looks at all of a table. Each statement of a busy hour is asked for its plan. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { runAction } from '../../src/admin/actions.ts'
import { noLongerGiven } from '../../src/admin/no_longer_given.ts'
import { deleteOrphans, deleteUnused, rulesOf } from '../../src/janitor.ts'
import type { Engine, Params } from '../../src/store/engine.ts'
import { migrations } from '../../src/store/migrations/index.ts'
import { pruneExpired } from '../../src/store/prune.ts'
import { endSuspended, sweep } from '../../src/sweep.ts'
import { wiki } from '../support/example_policy.ts'
import { Refusal } from '../support/person.ts'
import { type Started, start } from '../support/start.ts'
import { changeMesh } from '../support/token_request.ts'

/** Each different statement that the engine is given from now on, with its parameters. */
function overhear(engine: Engine): ReadonlyMap<string, Params> {
  const statements = new Map<string, Params>()
  const before = { ...engine }
  const hear = ({ sql, params }: { sql: string; params: Params }) => void statements.set(sql, params)
  Object.assign(engine, {
    get: (sql, params) => {
      hear({ sql, params })
      return before.get(sql, params)
    },
    all: (sql, params) => {
      hear({ sql, params })
      return before.all(sql, params)
    },
    commit: (writes) => {
      writes.forEach(hear)
      return before.commit(writes)
    },
  } satisfies Partial<Engine>)
  return statements
}

/** What people, software, admins and the janitor do. */
async function aBusyTime(started: Started) {
  const {
    alice,
    bob,
    clock,
    daemon: { deps },
  } = started
  const { store, now } = deps
  const admin = (action: string, input = {}) => runAction(deps, action, input)
  const client = await alice.register()
  const tokens = await alice.signIn(client, { ...wiki, scope: 'wiki:read openid offline_access' })
  const { access_token, refresh_token = '' } = await alice.refresh(client, tokens)
  await alice.send('/userinfo', { headers: { authorization: `Bearer ${access_token}` } })
  await alice.send('/')
  for (const token of [access_token, refresh_token]) await alice.send('/revoke', { form: { token, client_id: client.client_id } })
  await assert.rejects(alice.refresh(client, tokens), Refusal)
  const other = await bob.register()
  const { code } = await bob.code(other, wiki)
  await assert.rejects(bob.token(client, { grant_type: 'authorization_code', code, redirect_uri: client.redirect_uri }), Refusal)
  const asRegistered = { headers: { authorization: `Bearer ${other.registration_access_token}` } }
  await bob.send(`/register/${other.client_id}`, asRegistered)
  await bob.send(`/register/${other.client_id}`, { method: 'DELETE', ...asRegistered })
  for (const list of ['clients.list', 'authorizations.list', 'decisions.list', 'identities.list']) await admin(list)
  await admin('decisions.list', { since: now() - 60, principal: 'alice@example.com', outcome: 'denied' })
  await admin('identities.last', { principal: 'nobody@example.com' })
  await alice.signIn(client, wiki)
  await alice.signIn(client, wiki)
  await noLongerGiven({ ...deps, stopping: () => false }, deps.policy(), { end: false, listed: 1 })
  await store.engine.commit([
    { sql: "UPDATE authorizations SET bind = 'node' WHERE id = (SELECT max(id) FROM authorizations)", params: {} },
  ])
  for (const removed of [true, true, false, true, true]) {
    await changeMesh(started, { machines: { 'alice-laptop': { removed }, 'alice-phone': { removed } } })
    await sweep(deps)
    clock.advance({ seconds: 30 })
  }
  for (const hours of [25, 24 * 500]) {
    clock.advance({ hours })
    await endSuspended(deps)
    await deleteOrphans(deps)
    await deleteUnused(deps)
    await pruneExpired(store.engine, rulesOf(deps), now())
  }
}

/** A row of constants; the rows of a subquery, which has a limit; an index of nothing but what is looked for. */
const notATable = /^SCAN (?:CONSTANT ROW|due|.* INDEX registrants_without)$/

test('CWE-834: every statement finds its rows by an index, or goes along one in order and stops at its limit', async (t) => {
  const started = await start(t)
  const statements = overhear(started.daemon.deps.store.engine)
  await aBusyTime(started)
  assert.ok(statements.size > 40, `${statements.size} statements`)

  const db = new Database(':memory:')
  t.after(() => db.close())
  for (const { sql } of migrations) db.exec(sql)
  const scans = [...statements].flatMap(([sql, params]) =>
    (db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(params) as { detail: string }[])
      .filter(({ detail }) => detail.startsWith('SCAN') && !notATable.test(detail))
      .map(({ detail }) => `${detail}: ${sql}`),
  )
  assert.deepEqual(scans, [])
})
