/** The audit: what was decided, for whom, and by the digests of the then policy and identity, why. Append only. */
import type { Engine, Write } from './engine.ts'

export type Decision = {
  id: string
  at: number
  last_at: number
  /** How often the same denial was given. */
  count: number
  /** Where it was asked: 'authorize', 'authorization_code', 'refresh_token', 'register', … */
  entry: string
  outcome: 'allowed' | 'denied'
  reason: string | null
  sentence: string | null
  /** Login or node name, for people. */
  principal: string | null
  user_id: string | null
  node_id: string | null
  client_id: string | null
  resource: string | null
  /** Asked and granted, space-separated. */
  scopes: string | null
  granted: string | null
  authorization_id: string | null
  /** What the policy was asked, JSON, less who asked; null where it was not the policy that decided. */
  question: string | null
  /** Further facts of the request, JSON. */
  detail: string | null
  /** Digests of the records in force. */
  policy: string
  identity: string | null
}

export type KeptRecord = { digest: string; kind: 'policy' | 'identity'; body: string; used_at: number }

export const decisions = (engine: Engine) => ({
  find: (id: string) => engine.get<Decision>('SELECT * FROM decisions WHERE id = $id', { id }),

  /** Newest first, from `since` (seconds) on, of one principal or of all; those after the one at `before` in that order. */
  page: ({
    since,
    before,
    limit,
    principal = null,
  }: {
    since: number
    before: { last_at: number; id: string } | null
    limit: number
    principal?: string | null
  }) => {
    const place = { since, last_at: before?.last_at ?? Number.MAX_SAFE_INTEGER, id: before?.id ?? '', limit }
    const within = 'last_at >= $since AND (last_at, id) < ($last_at, $id) ORDER BY last_at DESC, id DESC'
    return principal === null
      ? engine.all<Decision>(`SELECT * FROM decisions WHERE ${within} LIMIT $limit`, place)
      : engine.all<Decision>(`SELECT * FROM decisions WHERE principal = $principal AND ${within} LIMIT $limit`, { ...place, principal })
  },

  /** Identities as they were, the most lately used first; those after the one at `before` in that order. */
  identities: ({ before, limit }: { before: { used_at: number; digest: string } | null; limit: number }) =>
    engine.all<KeptRecord>(
      `SELECT * FROM records WHERE kind = 'identity' AND (used_at, digest) < ($used_at, $digest) ORDER BY used_at DESC, digest DESC LIMIT $limit`,
      { used_at: before?.used_at ?? Number.MAX_SAFE_INTEGER, digest: before?.digest ?? '', limit },
    ),

  record: (digest: string) => engine.get<KeptRecord>('SELECT * FROM records WHERE digest = $digest', { digest }),
})

const insert = `INSERT INTO decisions (id, at, last_at, count, entry, outcome, reason, sentence, principal, user_id, node_id, client_id, resource, scopes, granted,
    authorization_id, question, detail, policy, identity)
  VALUES ($id, $at, $last_at, $count, $entry, $outcome, $reason, $sentence, $principal, $user_id, $node_id, $client_id, $resource, $scopes, $granted,
    $authorization_id, $question, $detail, $policy, $identity)`

export const insertDecision = (decision: Decision): Write => ({ sql: insert, params: { ...decision } })

/** The decision that a write of `insertDecision` records; null for every other write. */
export const recordedIn = ({ sql, params }: Write): Decision | null => (sql === insert ? (params as Decision) : null)

/** A denial: the same one again is one row, with a count. */
export const countDenial = (decision: Decision): Write => ({
  sql: `${insert} ON CONFLICT (id) DO UPDATE SET count = count + $count, last_at = $last_at`,
  params: { ...decision },
})

export const keepRecord = (record: KeptRecord): Write => ({
  sql: `INSERT INTO records (digest, kind, body, used_at) VALUES ($digest, $kind, $body, $used_at)
    ON CONFLICT (digest) DO UPDATE SET used_at = $used_at`,
  params: { ...record },
})

/** The same engine, but that it keeps no decision and no record: for what is a decision about nobody. */
export const withoutDecisions = (engine: Engine): Engine => ({
  ...engine,
  commit: (writes) => engine.commit(writes.filter(({ sql }) => !/^INSERT INTO (?:decisions|records)\b/.test(sql))),
})
