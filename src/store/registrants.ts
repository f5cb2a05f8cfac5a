/** Whoever registered software: how much of it there is, and since when none of their machines is in the mesh. */
import type { Engine, Write } from './engine.ts'

export type Registrant = { owner: string; clients: number; missing_since: number | null }

export const registrants = (engine: Engine) => ({
  /** Those who have software here, after `after`, `limit` at the most. */
  list: (after: string, limit: number) =>
    engine.all<Registrant>('SELECT * FROM registrants WHERE owner > $after AND clients > 0 ORDER BY owner LIMIT $limit', { after, limit }),
})

export const registrantMissing = (owner: string, now: number): Write => ({
  sql: 'UPDATE registrants SET missing_since = $now WHERE owner = $owner AND (missing_since IS NULL OR missing_since > $now)',
  params: { owner, now },
})

export const registrantFound = (owner: string): Write => ({
  sql: 'UPDATE registrants SET missing_since = NULL WHERE owner = $owner',
  params: { owner },
})

/** Changes nothing; the commit fails where they have come back meanwhile, and registered anew. */
export const stillMissing = (owner: string, missing_since: number): Write => ({
  sql: 'UPDATE registrants SET missing_since = missing_since WHERE owner = $owner AND missing_since = $missing_since',
  params: { owner, missing_since },
  expect: 1,
})
