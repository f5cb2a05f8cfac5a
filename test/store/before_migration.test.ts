import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import type { Migration } from '../../src/store/migrate.ts'
import { StoreRefused } from '../../src/store/refused.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { freshDir } from './fresh_dir.ts'

const history: Migration[] = Array.from({ length: 6 }, (_, at) => ({
  id: at + 1,
  name: `no${at + 1}`,
  sql: `CREATE TABLE t${at + 1} (id TEXT)`,
}))
const atNoon = Date.UTC(2026, 10, 29, 12) / 1000
const copiesIn = (dir: string) =>
  readdirSync(dir)
    .filter((name) => name !== 'meshidp.db')
    .sort()

test('A database is copied before its schema changes, named by schema and time; one copy a schema, of the newest three [threats 470]', async (t) => {
  const dir = freshDir(t)
  const file = join(dir, 'meshidp.db')
  const upTo = async (count: number, now: number) => (await openSqlite(file, { migrations: history.slice(0, count), now })).close()

  await upTo(1, atNoon)
  assert.deepEqual(copiesIn(dir), [], 'there was nothing yet')
  await upTo(1, atNoon + 1)
  assert.deepEqual(copiesIn(dir), [], 'nothing changes')

  const engine = await openSqlite(file)
  await engine.commit([{ sql: "INSERT INTO t1 VALUES ('kept')", params: {} }])
  await engine.close()
  await upTo(3, atNoon + 2)
  assert.deepEqual(copiesIn(dir), ['meshidp-schema-1-20261129T120002Z.db'])
  const copy = join(dir, 'meshidp-schema-1-20261129T120002Z.db')
  assert.equal(statSync(copy).mode & 0o777, 0o600)
  const db = new Database(copy)
  assert.deepEqual(db.prepare('SELECT id FROM t1').pluck().all(), ['kept'])
  assert.deepEqual(db.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 't2'").pluck().get(), 0)
  db.close()

  // One that fails after it was copied, again and again, as where systemd starts it anew.
  const broken = [...history.slice(0, 3), { id: 4, name: 'no4', sql: 'SELECT nonsense' }]
  for (const now of [atNoon + 3, atNoon + 4]) await assert.rejects(openSqlite(file, { migrations: broken, now }), /nonsense/)
  assert.deepEqual(copiesIn(dir), ['meshidp-schema-1-20261129T120002Z.db', 'meshidp-schema-3-20261129T120004Z.db'])

  for (const [count, now] of [
    [4, atNoon + 5],
    [5, atNoon + 6],
    [6, atNoon + 7],
  ] as const)
    await upTo(count, now)
  assert.deepEqual(
    copiesIn(dir),
    [3, 4, 5].map((schema) => `meshidp-schema-${schema}-20261129T12000${schema + 2}Z.db`),
  )
})

test('What attempts that were killed have left of a copy goes before the next one is made: they would fill the disk [threats 470]', async (t) => {
  const dir = freshDir(t)
  const file = join(dir, 'meshidp.db')
  await (await openSqlite(file, { migrations: history.slice(0, 1), now: atNoon })).close()
  const left = ['.meshidp-schema-1-20261129T110000Z.db.unfinished', '.meshidp-schema-1-20261129T110005Z.db.unfinished']
  for (const name of [...left, `${left[0]}-journal`, `${left[1]}-wal`]) writeFileSync(join(dir, name), 'half')
  writeFileSync(join(dir, '.meshidp-schema-notes'), 'of an admin')
  await (await openSqlite(file, { migrations: history.slice(0, 2), now: atNoon })).close()
  assert.deepEqual(copiesIn(dir), ['.meshidp-schema-notes', 'meshidp-schema-1-20261129T120000Z.db'])
})

test('Where the copy cannot be made nothing is migrated', async (t) => {
  const dir = freshDir(t)
  const file = join(dir, 'meshidp.db')
  await (await openSqlite(file, { migrations: history.slice(0, 1), now: atNoon })).close()
  // A directory has the name that the copy would be written under.
  mkdirSync(join(dir, '.meshidp-schema-1-20261129T120000Z.db.unfinished'))
  await assert.rejects(
    openSqlite(file, { migrations: history, now: atNoon }),
    (error) => error instanceof StoreRefused && /must be copied before its schema changes, and that failed/.test(error.message),
  )
  const db = new Database(file)
  t.after(() => db.close())
  assert.equal(db.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 't2'").pluck().get(), 0)
})
