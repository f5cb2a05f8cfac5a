/**
 * Redeems a code in one commit, and dies by SIGKILL just before its statement `at` (from 0; the number of statements: between the last
 * one and COMMIT; one more: right after the commit was resolved). argv: file, at.
 */
import type { Write } from '../../src/store/engine.ts'
import { openSqlite } from '../../src/store/sqlite.ts'

const [file = '', at = ''] = process.argv.slice(2)
const engine = await openSqlite(file)

/** Not a statement: the engine dies at the moment in which it looks at what to run next. */
const death: Write = {
  get sql(): string {
    process.kill(process.pid, 'SIGKILL')
    return 'SELECT 1'
  },
  params: {},
}
const redemption: Write[] = [
  { sql: 'UPDATE codes SET consumed = 1 WHERE id = $id AND consumed = 0', params: { id: 'code' }, expect: 1 },
  { sql: 'INSERT INTO tokens (id) VALUES ($id)', params: { id: 'access' } },
  { sql: 'INSERT INTO tokens (id) VALUES ($id)', params: { id: 'refresh' } },
]

if (Number(at) <= redemption.length) redemption.splice(Number(at), 0, death)
await engine.commit(redemption)
process.kill(process.pid, 'SIGKILL')
