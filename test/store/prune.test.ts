import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Unavailable } from '../../src/oauth/error.ts'
import type { Engine, Write } from '../../src/store/engine.ts'
import { pruneExpired } from '../../src/store/prune.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { freshDir } from './fresh_dir.ts'

/** An engine with `codes` that expire at 1, 2, … `many`, and as many `uses` of them, keyed by two columns. */
async function start(t: TestContext, many: number) {
  const real = await openSqlite(join(freshDir(t), 'meshidp.db'), {
    migrations: [
      {
        id: 1,
        name: 'codes',
        sql: `CREATE TABLE codes (id INTEGER PRIMARY KEY, expires_at INTEGER NOT NULL);
          CREATE TABLE uses (id INTEGER, kind TEXT, expires_at INTEGER NOT NULL, PRIMARY KEY (id, kind));`,
      },
    ],
  })
  t.after(() => real.close())
  const each: Write[] = ['INSERT INTO codes VALUES ($n, $n)', "INSERT INTO uses VALUES ($n, 'token', $n)"].flatMap((sql) =>
    Array.from({ length: many }, (_, n) => ({ sql, params: { n: n + 1 } })),
  )
  await real.commit(each)
  /** How many rows were left after each commit. */
  const left: number[] = []
  const count = async (table: string) => (await real.get<{ n: number }>(`SELECT count(*) AS n FROM ${table}`, {}))?.n ?? 0
  const engine: Engine = {
    ...real,
    async commit(writes) {
      await real.commit(writes)
      left.push((await count('codes')) + (await count('uses')))
    },
  }
  return { engine, real, left, count }
}

const codes = { table: 'codes', key: 'id', where: 'expires_at <= $now' }
const uses = { table: 'uses', key: 'id, kind', where: 'expires_at <= $now' }

test('What has expired is deleted, what has not is kept, also with a key of several columns', async (t) => {
  const { engine, real, count } = await start(t, 10)
  assert.equal(await pruneExpired(engine, [codes, { ...uses, where: 'expires_at + 2 <= $now' }], 7), 12)
  assert.deepEqual(await real.all('SELECT id FROM codes ORDER BY id LIMIT 20', {}), [{ id: 8 }, { id: 9 }, { id: 10 }])
  assert.equal(await count('uses'), 5)
  assert.equal(await pruneExpired(engine, [codes, uses], 0), 0)
})

test('No commit deletes more rows than the limit of its rule [threats 475]', async (t) => {
  const { engine, left } = await start(t, 40)
  assert.equal(
    await pruneExpired(
      engine,
      [
        { ...codes, limit: 10 },
        { ...uses, limit: 16 },
      ],
      35,
    ),
    70,
  )
  assert.deepEqual(left, [70, 60, 50, 45, 29, 13, 10])
})

test('Others commit between the steps, and a row that is renewed in time is kept [threats 475]', async (t) => {
  const { engine, real, count } = await start(t, 30)
  const pruned = pruneExpired(engine, [{ ...codes, limit: 10 }], 30)
  await real.commit([{ sql: 'UPDATE codes SET expires_at = 99 WHERE id = $id', params: { id: 30 }, expect: 1 }])
  assert.equal(await pruned, 29)
  assert.equal(await count('codes'), 1)
})

test('A clean-up that the end of the daemon interrupts keeps what it has done, and the rest for next time [threats 475]', async (t) => {
  const { engine, real, left } = await start(t, 30)
  const interrupted: Engine = {
    ...engine,
    async commit(writes) {
      await engine.commit(writes)
      if (left.length === 2) throw new Unavailable('The daemon is stopping.')
    },
  }
  await assert.rejects(pruneExpired(interrupted, [{ ...codes, limit: 10 }], 30), Unavailable)
  assert.equal(await pruneExpired(real, [{ ...codes, limit: 10 }], 30), 10)
})
