/** The record of decisions, as an admin asks for it. */
import { setImmediate as breathe } from 'node:timers/promises'
import { z } from 'zod'
import type { Decision } from '../store/decisions.ts'
import type { Store } from '../store/index.ts'

const word = z.string().nullable().default(null)

/** Every part narrows it; `since` in seconds, `before`: those after this one, the newest first. */
export const decisionFilter = z.strictObject({
  outcome: z.enum(['allowed', 'denied']).nullable().default(null),
  client_id: word,
  principal: word,
  entry: word,
  reason: word,
  since: z.int().default(0),
  before: z.strictObject({ last_at: z.int(), id: z.string() }).nullable().default(null),
})

export type DecisionFilter = z.output<typeof decisionFilter>

/** Rows that are looked at between two breaths, so that nobody waits for a question about millions of them. */
const aStep = 500

const compared = ['outcome', 'client_id', 'entry', 'reason'] as const

/** The newest `limit` decisions that match. Those of one principal have an index; what else is asked is looked at row by row. */
export async function findDecisions({ decisions }: Store, filter: DecisionFilter & { limit: number }): Promise<Decision[]> {
  const { since, principal, limit } = filter
  const wanted = compared.filter((name) => filter[name] !== null)
  const found: Decision[] = []
  for (let { before } = filter; ; ) {
    const rows = await decisions.page({ since, principal, before, limit: aStep })
    for (const row of rows) {
      if (!wanted.every((name) => row[name] === filter[name])) continue
      found.push(row)
      if (found.length === limit) return found
    }
    const last = rows.at(-1)
    if (rows.length < aStep || !last) return found
    before = { last_at: last.last_at, id: last.id }
    await breathe()
  }
}
