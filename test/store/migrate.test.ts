import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import Database from 'better-sqlite3'
import { type Migration, migrate, pendingMigrations } from '../../src/store/migrate.ts'
import { StoreRefused } from '../../src/store/refused.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { child } from './child.ts'
import { freshDir } from './fresh_dir.ts'

const clients: Migration = { id: 1, name: 'clients', sql: 'CREATE TABLE clients (id TEXT PRIMARY KEY)' }
const names: Migration = { id: 2, name: 'names', sql: 'ALTER TABLE clients ADD COLUMN name TEXT' }

function opened(t: TestContext, file: string) {
  const db = new Database(file)
  t.after(() => db.close())
  return {
    db,
    recorded: () => db.prepare('SELECT id FROM migrations ORDER BY id').pluck().all(),
    columns: (table: string) => db.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(table),
  }
}

const fresh = (t: TestContext) => opened(t, join(freshDir(t), 'meshidp.db'))
const refused = (sentence: RegExp) => (error: unknown) => error instanceof StoreRefused && sentence.test(error.message)

test('Migrations run in order, once; run again they are nothing [threats 470]', (t) => {
  const { db, recorded, columns } = fresh(t)
  migrate(db, [clients])
  assert.deepEqual(pendingMigrations(db, [clients, names]), [names])
  migrate(db, [clients, names])
  migrate(db, [clients, names])
  assert.deepEqual(recorded(), [1, 2])
  assert.deepEqual(columns('clients'), ['id', 'name'])
  assert.deepEqual(pendingMigrations(db, [clients, names]), [])
})

test('Looking at what is pending writes nothing', (t) => {
  const { db } = fresh(t)
  assert.deepEqual(pendingMigrations(db, [clients, names]), [clients, names])
  assert.equal(db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get(), 0)
})

test('A database that a newer program has written is refused, and not touched [threats 470]', async (t) => {
  const { db, columns } = fresh(t)
  migrate(db, [clients, names])
  assert.throws(() => migrate(db, [clients]), refused(/newer than this program: it has migration 2 \(names\).*newer version again/))
  await assert.rejects(openSqlite(db.name, { migrations: [clients] }), refused(/newer than this program/))
  assert.deepEqual(columns('clients'), ['id', 'name'])
})

test('A migration that was edited after its release, or slipped in before others, is refused', (t) => {
  const { db, columns } = fresh(t)
  migrate(db, [clients, names])
  const third = { id: 3, name: 'more', sql: 'CREATE TABLE more (id TEXT)' }
  const edited = { ...names, sql: `${names.sql} NOT NULL DEFAULT ''` }
  assert.throws(() => migrate(db, [clients, edited, third]), refused(/Migration 2 \(names\) of the database is not the one/))
  assert.throws(() => migrate(db, [clients, third]), refused(/Migration 2 \(names\)/))
  assert.deepEqual(columns('more'), [])
})

test('A migration that fails leaves the schema of before; those before it stay [threats 470]', (t) => {
  const { db, recorded, columns } = fresh(t)
  const broken = { ...names, sql: `${names.sql}; INSERT INTO nowhere VALUES (1)` }
  assert.throws(() => migrate(db, [clients, broken]), /no such table: nowhere/)
  assert.deepEqual([recorded(), columns('clients')], [[1], ['id']])
  migrate(db, [clients, names])
  assert.deepEqual(
    [recorded(), columns('clients')],
    [
      [1, 2],
      ['id', 'name'],
    ],
  )
})

test('Killed in the middle of a migration, the database has the schema of before and is migrated at the next start [threats 470]', async (t) => {
  const file = join(freshDir(t), 'meshidp.db')
  const { signal, stderr } = await child(t, 'dies_in_a_migration.ts', file).ended
  assert.equal(signal, 'SIGKILL', stderr)

  const { db, recorded, columns } = opened(t, file)
  assert.deepEqual([recorded(), columns('clients')], [[1], ['id']])
  assert.equal(db.prepare('SELECT count(*) FROM clients').pluck().get(), 0)

  const engine = await openSqlite(file, { migrations: [clients, names] })
  await engine.close()
  assert.deepEqual(
    [recorded(), columns('clients')],
    [
      [1, 2],
      ['id', 'name'],
    ],
  )
})

test('A table is rebuilt without losing the rows that refer to it; a migration that leaves dangling rows is undone', (t) => {
  const { db } = fresh(t)
  const codes: Migration = {
    id: 2,
    name: 'codes',
    sql: `CREATE TABLE codes (client TEXT REFERENCES clients (id) ON DELETE CASCADE);
      INSERT INTO clients VALUES ('a'); INSERT INTO codes VALUES ('a');`,
  }
  const rebuild: Migration = {
    id: 3,
    name: 'rebuild',
    sql: `CREATE TABLE anew (id TEXT PRIMARY KEY, name TEXT); INSERT INTO anew SELECT id, NULL FROM clients;
      DROP TABLE clients; ALTER TABLE anew RENAME TO clients;`,
  }
  migrate(db, [clients, codes, rebuild])
  assert.equal(db.prepare('SELECT count(*) FROM codes').pluck().get(), 1)
  assert.equal(db.pragma('foreign_keys', { simple: true }), 1)

  const forget: Migration = { id: 4, name: 'forget', sql: 'DELETE FROM clients' }
  assert.throws(() => migrate(db, [clients, codes, rebuild, forget]), refused(/Migration 4 \(forget\) would leave rows of codes/))
  assert.equal(db.prepare('SELECT count(*) FROM clients').pluck().get(), 1)
  assert.equal(db.pragma('foreign_keys', { simple: true }), 1)
})
