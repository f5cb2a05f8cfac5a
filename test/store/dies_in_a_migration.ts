/** Migrates, and dies by SIGKILL in the middle of the second migration. argv: file. */
import Database from 'better-sqlite3'
import { migrate } from '../../src/store/migrate.ts'

const db = new Database(process.argv[2] ?? '')
db.pragma('journal_mode = WAL')
db.function('die', { directOnly: false }, () => process.kill(process.pid, 'SIGKILL'))
migrate(db, [
  { id: 1, name: 'clients', sql: 'CREATE TABLE clients (id TEXT PRIMARY KEY)' },
  { id: 2, name: 'names', sql: "ALTER TABLE clients ADD COLUMN name TEXT; INSERT INTO clients VALUES ('half', 'done'); SELECT die();" },
])
