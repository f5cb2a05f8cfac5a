/** Commits pairs of rows, 16 at a time, and says the id of each whose commit was resolved. argv: file, round. */
import { openSqlite } from '../../src/store/sqlite.ts'

const [file = '', round = ''] = process.argv.slice(2)
const engine = await openSqlite(file)

await Promise.all(
  Array.from({ length: 16 }, async (_, lane) => {
    for (let n = 0; ; n++) {
      const params = { id: `${round}/${lane}/${n}` }
      await engine.commit([
        { sql: 'INSERT INTO spent (id) VALUES ($id)', params },
        { sql: 'INSERT INTO issued (id) VALUES ($id)', params },
      ])
      process.stdout.write(`${params.id}\n`)
    }
  }),
)
