import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { clients } from '../../src/store/clients.ts'
import type { Engine } from '../../src/store/engine.ts'
import { migrations } from '../../src/store/migrations/index.ts'

test('software that went unused is found without looking at every client, for the janitor asks each minute while everyone waits', async () => {
  const db = new Database(':memory:')
  for (const { sql } of migrations) db.exec(sql)
  const plans: string[] = []
  const engine = {
    all: async (sql: string, params: object) => {
      for (const { detail } of db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(params) as { detail: string }[]) plans.push(detail)
      return []
    },
  }
  await clients(engine as unknown as Engine).unused(1, 50)
  assert.equal(plans.length, 1, plans.join('; '))
  assert.match(plans[0] ?? '', /^SEARCH clients USING .*INDEX clients_by_end /)
  db.close()
})
