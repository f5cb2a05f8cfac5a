import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import Database from 'better-sqlite3'
import { Unavailable } from '../../src/oauth/error.ts'
import { type Engine, GuardFailed } from '../../src/store/engine.ts'
import { StoreRefused } from '../../src/store/refused.ts'
import { assertTrusted, openSqlite, type SqliteOptions } from '../../src/store/sqlite.ts'
import { child } from './child.ts'
import { conforms } from './engine_conformance.ts'
import { freshDir } from './fresh_dir.ts'

conforms('SQLite', async (t) => {
  const file = join(freshDir(t), 'meshidp.db')
  return () => opened(t, file)
})

async function opened(t: TestContext, file: string, options: SqliteOptions = {}): Promise<Engine> {
  const engine = await openSqlite(file, options)
  t.after(() => engine.close())
  return engine
}

/** An engine with one table, `things`. */
async function start(t: TestContext, options: SqliteOptions = {}) {
  const file = join(freshDir(t), 'meshidp.db')
  const engine = await opened(t, file, {
    migrations: [{ id: 1, name: 'things', sql: 'CREATE TABLE things (id TEXT PRIMARY KEY, text TEXT)' }],
    ...options,
  })
  return {
    file,
    engine,
    put: (id: string, text = '') => engine.commit([{ sql: 'INSERT INTO things VALUES ($id, $text)', params: { id, text } }]),
    count: async () => (await engine.get<{ n: number }>('SELECT count(*) AS n FROM things', {}))?.n,
  }
}

const unavailable = (sentence: RegExp) => (error: unknown) =>
  error instanceof Unavailable && error.status === 503 && sentence.test(error.message) && Boolean(error.details.headers?.['retry-after'])

test('SQLite: every commit is synchronous=FULL in WAL, foreign keys hold, the schema is not trusted', async (t) => {
  const { file, engine } = await start(t)
  const pragma = async (name: string) => Object.values((await engine.get<object>(`PRAGMA ${name}`, {})) ?? {})[0]
  const other = new Database(file, { readonly: true })
  t.after(() => other.close())
  assert.equal(other.pragma('journal_mode', { simple: true }), 'wal')
  assert.equal(await pragma('synchronous'), 2)
  assert.equal(await pragma('foreign_keys'), 1)
  assert.equal(await pragma('trusted_schema'), 0)
  assert.equal(await pragma('temp_store'), 2)
})

test('SQLite: the database, its log and its index are readable by their owner only, also where they were not before', async (t) => {
  const { file, engine, put } = await start(t)
  await put('a')
  for (const suffix of ['', '-wal', '-shm']) assert.equal(statSync(file + suffix).mode & 0o777, 0o600, suffix)
  await engine.close()

  const loose = join(freshDir(t), 'loose.db')
  writeFileSync(loose, '', { mode: 0o644 })
  await opened(t, loose)
  assert.equal(statSync(loose).mode & 0o777, 0o600)
})

test('SQLite: versions that can lose a commit are refused, the one in use is not [threats 464]', async (t) => {
  for (const version of ['2.8.17', '3.51.2', '3.9.0', '3.52.0']) assert.throws(() => assertTrusted(version), StoreRefused, version)
  for (const version of ['3.51.3', '3.52.1', '3.53.0', '4.0.0']) assertTrusted(version)
  const { engine } = await start(t)
  assertTrusted(String((await engine.get<{ v: string }>('SELECT sqlite_version() AS v', {}))?.v))
})

test('SQLite: a damaged database is refused with a sentence [threats 463]', async (t) => {
  const { file, engine } = await start(t)
  await engine.commit(
    Array.from({ length: 500 }, (_, n) => ({
      sql: 'INSERT INTO things VALUES ($id, $text)',
      params: { id: `${n}`, text: 'x'.repeat(200) },
    })),
  )
  await engine.close()
  const sound = readFileSync(file)

  writeFileSync(file, Buffer.from(sound).fill(0x5a, 3 * 4096, 4 * 4096))
  await assert.rejects(openSqlite(file), (error) => error instanceof StoreRefused && /is damaged .* Restore a backup/.test(error.message))

  writeFileSync(file, sound.subarray(0, sound.length / 2))
  await assert.rejects(openSqlite(file), (error) => error instanceof StoreRefused && /is damaged/.test(error.message))

  writeFileSync(file, 'This is a letter, not a database. '.repeat(100))
  await assert.rejects(openSqlite(file), (error) => error instanceof StoreRefused && /not a database/.test(error.message))

  writeFileSync(file, sound)
  const again = await opened(t, file)
  assert.deepEqual(await again.get('SELECT count(*) AS n FROM things', {}), { n: 500 })
})

test('SQLite: a full disk refuses all that share the commit, writes nothing, keeps reading, and heals by itself [threats 457]', async (t) => {
  const { engine, put, count } = await start(t)
  await put('before')
  const pages = (n: number) => engine.get(`PRAGMA max_page_count = ${n}`, {})
  await pages(8)

  const large = 'x'.repeat(64 * 1024)
  const outcomes = await Promise.allSettled([put('small'), put('large', large), put('small too')])
  for (const outcome of outcomes) assert.ok(outcome.status === 'rejected' && unavailable(/disk is full/)(outcome.reason))
  await assert.rejects(put('alone', large), unavailable(/disk is full/))
  assert.equal(await count(), 1)

  await put('fits')
  await pages(1_000_000)
  await Promise.all([put('small'), put('large', large)])
  assert.equal(await count(), 4)
})

test('SQLite: a lock that another program holds is waited for, then Unavailable; reads go on, and so do commits when it is gone [threats 460]', async (t) => {
  const { file, put, count } = await start(t, { busyTimeout: 60 })
  const other = new Database(file)
  t.after(() => other.close())

  other.exec("BEGIN IMMEDIATE; INSERT INTO things VALUES ('theirs', '')")
  const refused = Promise.allSettled([put('a'), put('b')])
  assert.equal(await count(), 0)
  for (const outcome of await refused) assert.ok(outcome.status === 'rejected' && unavailable(/locked by another program/)(outcome.reason))

  other.exec('ROLLBACK')
  await put('c')
  assert.equal(await count(), 1)
})

test('SQLite: a commit that met a lock lands when the lock goes in time, in its order', async (t) => {
  const { file, engine, put } = await start(t, { busyTimeout: 60_000 })
  const other = new Database(file)
  t.after(() => other.close())

  other.exec('BEGIN IMMEDIATE')
  const ids = Array.from({ length: 100 }, (_, n) => `${n}`) // more than one group
  const commits = ids.map((id) => put(id))
  await new Promise(setImmediate)
  other.exec('COMMIT')
  await Promise.all(commits)
  assert.deepEqual(
    await engine.all('SELECT id FROM things ORDER BY rowid LIMIT 200', {}),
    ids.map((id) => ({ id })),
  )
})

test('SQLite: closing waits for what waits for a lock', async (t) => {
  const { file, engine, put } = await start(t, { busyTimeout: 60_000 })
  const other = new Database(file)
  t.after(() => other.close())

  other.exec('BEGIN IMMEDIATE')
  const commit = put('a')
  await new Promise(setImmediate)
  const closed = engine.close()
  other.exec('COMMIT')
  await Promise.all([commit, closed])
  assert.equal(other.prepare('SELECT count(*) FROM things').pluck().get(), 1)
})

test('SQLite: the queue is bounded: a flood is refused beyond it, and all that was accepted lands [threats 460]', async (t) => {
  const { put, count } = await start(t)
  const outcomes = await Promise.allSettled(Array.from({ length: 5000 }, (_, n) => put(`${n}`)))
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
  assert.equal(refused.length, 5000 - 4096)
  for (const { reason } of refused) assert.ok(unavailable(/cannot keep up/)(reason))
  assert.equal(await count(), 4096)
})

test('SQLite: a statement that ends the transaction is refused with all that share it, and nothing of it stays', async (t) => {
  const { engine, put, count } = await start(t)
  await put('a')
  const rogue = engine.commit([
    { sql: "INSERT INTO things VALUES ('b', '')", params: {} },
    { sql: "INSERT OR ROLLBACK INTO things VALUES ('a', '')", params: {} },
  ])
  const outcomes = await Promise.allSettled([put('c'), rogue, put('d')])
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected', 'rejected'],
  )
  assert.equal(await count(), 1)
  await put('e')
  assert.equal(await count(), 2)
})

test('SQLite: what only COMMIT can refuse is undone with all that share it, and the next commit lands', async (t) => {
  const { engine, put, count } = await start(t)
  const deferred = 'CREATE TABLE notes (thing TEXT REFERENCES things (id) DEFERRABLE INITIALLY DEFERRED)'
  await engine.commit([{ sql: deferred, params: {} }])
  const dangling = engine.commit([{ sql: "INSERT INTO notes VALUES ('nothing')", params: {} }])
  for (const outcome of await Promise.allSettled([put('a'), dangling])) {
    assert.ok(outcome.status === 'rejected' && unavailable(/nothing was saved/)(outcome.reason))
  }
  assert.equal(await count(), 0)
  await put('b')
  assert.equal(await count(), 1)
})

test('SQLite: racing inserts of one row: the loser is told to look again', async (t) => {
  const { put } = await start(t)
  const [first, second] = await Promise.allSettled([put('a'), put('a')])
  assert.equal(first.status, 'fulfilled')
  assert.ok(second.status === 'rejected' && second.reason instanceof GuardFailed)
})

test('SQLite: killed at any statement of a redemption, either nothing happened or all of it [threats 454]', async (t) => {
  const dir = freshDir(t)
  const schema = 'CREATE TABLE codes (id TEXT PRIMARY KEY, consumed INTEGER); CREATE TABLE tokens (id TEXT PRIMARY KEY);'
  const redemptions = [0, 1, 2, 3, 4].map(async (at) => {
    const file = join(dir, `${at}.db`)
    const before = await openSqlite(file, {
      migrations: [{ id: 1, name: 'codes', sql: `${schema} INSERT INTO codes VALUES ('code', 0);` }],
    })
    await before.close()
    const { signal, stderr } = await child(t, 'dies_at_a_statement.ts', file, `${at}`).ended
    assert.equal(signal, 'SIGKILL', stderr)

    const after = await opened(t, file)
    const found = await after.get('SELECT consumed, (SELECT count(*) FROM tokens) AS tokens FROM codes', {})
    assert.deepEqual(found, at === 4 ? { consumed: 1, tokens: 2 } : { consumed: 0, tokens: 0 }, `killed at ${at}`)
  })
  await Promise.all(redemptions)
})

test('SQLite: kill -9 under load, 10 times: what was resolved is there, everything is whole, the database opens at once', async (t) => {
  const file = join(freshDir(t), 'meshidp.db')
  const made = await openSqlite(file, {
    migrations: [{ id: 1, name: 'pairs', sql: 'CREATE TABLE spent (id TEXT PRIMARY KEY); CREATE TABLE issued (id TEXT PRIMARY KEY);' }],
  })
  await made.close()

  const promised: string[] = []
  for (let round = 0; round < 10; round++) {
    const writer = child(t, 'commits_until_killed.ts', file, `${round}`)
    await writer.speaks()
    const after = Math.random() * 40
    await new Promise((resolve) => setTimeout(resolve, after))
    writer.kill()
    const { stdout, stderr, signal } = await writer.ended
    assert.equal(signal, 'SIGKILL', stderr)
    // A line that the kill cut short was not promised to anyone.
    promised.push(...stdout.slice(0, stdout.lastIndexOf('\n')).split('\n'))

    const engine = await openSqlite(file)
    const rows = async (table: string) => new Set((await engine.all<{ id: string }>(`SELECT id FROM ${table}`, {})).map(({ id }) => id))
    const [spent, issued] = [await rows('spent'), await rows('issued')]
    await engine.close()
    const lost = promised.filter((id) => !spent.has(id))
    assert.deepEqual(lost, [], `lost in round ${round}, killed ${after} ms after the first commit`)
    assert.deepEqual(spent, issued, `torn in round ${round}`)
  }
  assert.ok(promised.length > 10 * 16)
})
