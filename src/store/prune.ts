/** Deletes what has expired in small steps, each a commit of its own, so that nobody waits for the clean-up and a crash loses none of it. */
import { setTimeout } from 'node:timers/promises'
import type { Engine } from './engine.ts'

/** Rows of `table` for which `where` (SQL that may name `$now`, seconds) holds are due. The texts come from the program, never from a caller. */
export type PruneRule = {
  table: string
  /** The columns of the primary key, separated by commas. */
  key: string
  where: string
  /** Rows a step, at most. A row that many others cascade from wants a smaller one. */
  limit?: number
}

const ROWS_A_STEP = 100
/** Between steps the disk belongs to the requests, in milliseconds. */
const REST = 10

/** Goes through the rules in order until nothing is due, and resolves to the number of rows deleted (cascades not counted). */
export async function pruneExpired(engine: Engine, rules: readonly PruneRule[], now: number): Promise<number> {
  let deleted = 0
  for (const { table, key, where, limit = ROWS_A_STEP } of rules) {
    const due = `SELECT ${key} FROM ${table} WHERE ${where} LIMIT $limit`
    const count = async () =>
      (await engine.get<{ rows: number }>(`SELECT count(*) AS rows FROM (${due}) AS due`, { now, limit }))?.rows ?? 0

    for (let rows = await count(); rows > 0; rows = rows < limit ? 0 : await count()) {
      await engine.commit([{ sql: `DELETE FROM ${table} WHERE (${key}) IN (${due})`, params: { now, limit } }])
      deleted += rows
      await setTimeout(REST)
    }
  }
  return deleted
}
