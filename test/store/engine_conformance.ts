/** What every engine must hold to. Written in the subset of SQL that SQLite and PostgreSQL share; run by one test file an engine. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Unavailable } from '../../src/oauth/error.ts'
import { type Engine, GuardFailed, type Write } from '../../src/store/engine.ts'

/** Opens an empty database; each call of the answer opens the same one, and closes it after the test. */
export type Fresh = (t: TestContext) => Promise<() => Promise<Engine>>

const tables: Write[] = [
  { sql: 'CREATE TABLE owners (id TEXT PRIMARY KEY)', params: {} },
  {
    sql: 'CREATE TABLE codes (id TEXT PRIMARY KEY, owner TEXT REFERENCES owners (id) ON DELETE CASCADE, consumed_at BIGINT, seen BIGINT NOT NULL DEFAULT 0)',
    params: {},
  },
]

const insert = (id: string, owner: string | null = null): Write => ({
  sql: 'INSERT INTO codes (id, owner) VALUES ($id, $owner)',
  params: { id, owner },
})
const consume = (id: string): Write => ({
  sql: 'UPDATE codes SET consumed_at = $now WHERE id = $id AND consumed_at IS NULL',
  params: { id, now: 1_900_000_000 },
  expect: 1,
})
const ids = async (engine: Engine) =>
  (await engine.all<{ id: string }>('SELECT id FROM codes ORDER BY id LIMIT 10000', {})).map(({ id }) => id)

/** Registers the suite for the engine called `name`. */
export function conforms(name: string, fresh: Fresh): void {
  const rule = (title: string, run: (engine: Engine, open: () => Promise<Engine>) => Promise<void>) =>
    test(`${name}: ${title}`, async (t) => {
      const open = await fresh(t)
      const engine = await open()
      await engine.commit(tables)
      await run(engine, open)
    })

  rule('get answers with the first row or undefined, all with every row, by named parameters', async (engine) => {
    await engine.commit([insert('a'), insert('b')])
    assert.deepEqual({ ...(await engine.get<object>('SELECT id, owner FROM codes WHERE id = $id', { id: 'a' })) }, { id: 'a', owner: null })
    assert.equal(await engine.get('SELECT id FROM codes WHERE id = $id', { id: 'c' }), undefined)
    assert.deepEqual(await engine.all('SELECT id FROM codes WHERE id = $id OR $id = id LIMIT 2', { id: 'b' }), [{ id: 'b' }])
    assert.deepEqual(await engine.all('SELECT id FROM codes WHERE id = $id LIMIT 2', { id: 'c' }), [])
  })

  rule('a value is never SQL: what is hostile comes back as it went in [threats 479, 481]', async (engine) => {
    const hostile = ["'); DROP TABLE codes; --", '" OR ""="', '%', '_', '$id', '?1', '\\', 'ключ 🔑', '']
    await engine.commit(hostile.map((id) => insert(id)))
    for (const id of hostile) assert.deepEqual(await engine.all('SELECT id FROM codes WHERE id = $id LIMIT 10', { id }), [{ id }])
    assert.deepEqual((await ids(engine)).sort(), hostile.sort())
  })

  rule('whole seconds far beyond 2038 stay what they are [threats 496]', async (engine) => {
    await engine.commit([
      insert('a'),
      { sql: 'UPDATE codes SET consumed_at = $at', params: { at: 253_402_300_799 } },
      insert('b'),
      { sql: 'UPDATE codes SET seen = $at WHERE id = $id', params: { at: Number.MAX_SAFE_INTEGER, id: 'b' } },
    ])
    assert.deepEqual(await engine.all('SELECT consumed_at, seen FROM codes ORDER BY id LIMIT 2', {}), [
      { consumed_at: 253_402_300_799, seen: 0 },
      { consumed_at: null, seen: Number.MAX_SAFE_INTEGER },
    ])
  })

  rule('a commit runs its writes in order, each seeing those before it', async (engine) => {
    await engine.commit([
      insert('a'),
      { sql: 'UPDATE codes SET seen = seen + 1 WHERE id = $id', params: { id: 'a' }, expect: 1 },
      { sql: 'UPDATE codes SET seen = seen * 10 WHERE seen = 1', params: {}, expect: 1 },
    ])
    assert.deepEqual(await engine.get('SELECT seen FROM codes', {}), { seen: 10 })
  })

  rule('commits made at the same moment land in the order in which they were made', async (engine) => {
    await engine.commit([insert('a')])
    await Promise.all(
      [2, 3, 5].map((n) => engine.commit([{ sql: 'UPDATE codes SET seen = seen * 10 + $n WHERE id = $id', params: { n, id: 'a' } }])),
    )
    assert.deepEqual(await engine.get('SELECT seen FROM codes', {}), { seen: 235 })
  })

  rule('a guard that fails undoes its whole commit, and names the write', async (engine) => {
    const spend = consume('nobody')
    await assert.rejects(engine.commit([insert('a'), spend, insert('b')]), (error) => error instanceof GuardFailed && error.write === spend)
    assert.deepEqual(await ids(engine), [])
  })

  rule('a guard that expects no row fails when there is one', async (engine) => {
    await engine.commit([insert('a')])
    await assert.rejects(engine.commit([insert('b'), { ...consume('a'), expect: 0 }]), GuardFailed)
    assert.deepEqual(await engine.all('SELECT id, consumed_at FROM codes LIMIT 9', {}), [{ id: 'a', consumed_at: null }])
  })

  rule('one that fails takes nobody with it who committed at the same moment', async (engine) => {
    const nonsense: Write = { sql: 'INSERT INTO nowhere (id) VALUES ($id)', params: { id: 'x' } }
    const landed = await Promise.allSettled([
      engine.commit([insert('a')]),
      engine.commit([insert('b'), consume('nobody')]),
      engine.commit([insert('c')]),
      engine.commit([insert('d'), nonsense]),
      engine.commit([insert('e'), insert('a')]),
      engine.commit([insert('f'), insert('g')]),
    ])
    assert.deepEqual(
      landed.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'rejected', 'fulfilled'],
    )
    assert.deepEqual(await ids(engine), ['a', 'c', 'f', 'g'])
  })

  rule('a mistake in the SQL is neither a race nor an outage, and nothing of its commit stays', async (engine) => {
    const notOurs = (error: unknown) => !(error instanceof GuardFailed) && !(error instanceof Unavailable)
    await assert.rejects(engine.commit([insert('a'), { sql: 'INSERT INTO nowhere (id) VALUES (1)', params: {} }]), notOurs)
    await assert.rejects(engine.commit([insert('b'), { sql: 'UPDATE codes SET seen = NULL', params: {} }]), notOurs)
    await assert.rejects(engine.get('SELECT nothing FROM codes', {}), notOurs)
    assert.deepEqual(await ids(engine), [])
  })

  rule('a row that is there already, or refers to one that is not, is a race that somebody else won', async (engine) => {
    await engine.commit([{ sql: 'INSERT INTO owners (id) VALUES ($id)', params: { id: 'alice' } }, insert('a', 'alice')])
    for (const write of [insert('a'), insert('b', 'bob')]) {
      await assert.rejects(engine.commit([insert('c'), write]), (error) => error instanceof GuardFailed && error.write === write)
    }
    assert.deepEqual(await ids(engine), ['a'])
  })

  rule('what descends from a row goes with it, in the same commit', async (engine) => {
    await engine.commit([{ sql: 'INSERT INTO owners (id) VALUES ($id)', params: { id: 'alice' } }, insert('a', 'alice'), insert('b')])
    await engine.commit([{ sql: 'DELETE FROM owners WHERE id = $id', params: { id: 'alice' }, expect: 1 }])
    assert.deepEqual(await ids(engine), ['b'])
  })

  rule('of 50 that check and consume one row at the same moment exactly one wins', async (engine) => {
    await engine.commit([insert('code')])
    const attempts = await Promise.allSettled(
      Array.from({ length: 50 }, async (_, n) => {
        const held = await engine.get<{ consumed_at: number | null }>('SELECT consumed_at FROM codes WHERE id = $id', { id: 'code' })
        assert.equal(held?.consumed_at, null)
        await engine.commit([consume('code'), insert(`token ${n}`)])
      }),
    )
    const losers = attempts.filter((attempt) => attempt.status === 'rejected')
    assert.equal(losers.length, 49)
    for (const { reason } of losers) assert.ok(reason instanceof GuardFailed, String(reason))
    assert.equal((await ids(engine)).filter((id) => id.startsWith('token')).length, 1)
  })

  rule('a read sees all of a commit or nothing, and all once it is resolved', async (engine) => {
    const seen = new Set<number>()
    let resolved = false
    const commit = engine.commit(['a', 'b', 'c', 'd'].map((id) => insert(id))).then(() => {
      resolved = true
    })
    while (!resolved) {
      seen.add((await ids(engine)).length)
      await new Promise(setImmediate)
    }
    await commit
    seen.add((await ids(engine)).length)
    assert.deepEqual([...seen], [0, 4])
  })

  rule('only commit writes', async (engine) => {
    await assert.rejects(engine.get("INSERT INTO codes (id) VALUES ('a') RETURNING id", {}))
    await assert.rejects(engine.all("INSERT INTO codes (id) VALUES ('b') RETURNING id", {}))
    assert.deepEqual(await ids(engine), [])
  })

  rule('a commit of nothing succeeds', (engine) => engine.commit([]))

  rule('closing finishes what is in flight; it is there when the database is opened again', async (engine, open) => {
    const commits = Array.from({ length: 200 }, (_, n) => engine.commit([insert(`${n}`)]))
    await Promise.all([engine.close(), ...commits])
    assert.equal((await ids(await open())).length, 200)
  })

  rule('after closing everything is Unavailable, and closing again is nothing', async (engine) => {
    await engine.close()
    await engine.close()
    await assert.rejects(engine.get('SELECT 1', {}), Unavailable)
    await assert.rejects(engine.all('SELECT 1', {}), Unavailable)
    await assert.rejects(engine.commit([insert('a')]), Unavailable)
  })
}
