/** What every code and token descends from. End it, and all that came from it is dead. */
import type { Amr } from '../oauth/authentication_context.ts'
import { neverRedeemed } from './codes.ts'
import type { Engine, Write } from './engine.ts'

export type Authorization = {
  id: string
  client_id: string
  /** The person that its tokens speak for; of a workload '', and `login` is what it is called, `node_id` and `address` its tagged node's or ''. */
  user_id: string
  login: string
  node_id: string
  address: string
  bind: 'user' | 'node'
  /** The resource's URI; null where only identity scopes were granted. */
  resource: string | null
  /** Space-separated. */
  scopes: string
  auth_time: number
  amr: Amr
  /** Claims that the request named one by one, as JSON by where they are wanted (OpenID Connect Core §5.5); null for none. */
  claims: string | null
  created_at: number
  /** The absolute end: no rotation extends it. */
  expires_at: number
  /** When its person was first not found in the mesh, and since when that is sure. */
  missing_since: number | null
  suspended_at: number | null
  ended_at: number | null
  end_reason: string | null
  /** The client that its tokens speak for, where that is no person (RFC 6749 §4.4). */
  workload: string | null
  /** What the exchanged token came from (RFC 8693); null where nothing was exchanged. */
  parent_id: string | null
  /** `jti` of the access token that was exchanged; null for an ID token. */
  subject_jti: string | null
  /** What the exchange was decided on, JSON (`tokens/exchanged`). */
  exchange: string | null
  /** The decision that made it; null for what is older than this column. */
  decision_id: string | null
}

/** Of one that a person gave: the columns of all others. */
export const ofPersonHere = { workload: null, parent_id: null, subject_jti: null, exchange: null } as const

/** Of a new one: what is yet to happen to it. */
export const freshly = { missing_since: null, suspended_at: null, ended_at: null, end_reason: null } as const

/** SQL: those that a person gave, who is looked for. What was exchanged falls with its root. */
const ofPeople = 'parent_id IS NULL AND workload IS NULL'

/** Whether tokens of this authorization may live. A suspended one may be asked again: its person may be back. */
export const isLive = (authorization: Authorization, now: number): boolean =>
  authorization.ended_at === null && authorization.expires_at > now

export const authorizations = (engine: Engine) => ({
  find: (id: string) => engine.get<Authorization>('SELECT * FROM authorizations WHERE id = $id', { id }),

  /** The authorization, and whether the token `jti` of it was revoked: all that a bearer of a JWT needs, in one read. */
  findForToken: (id: string, jti: string) =>
    engine.get<Authorization & { revoked: 0 | 1 }>(
      'SELECT *, EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = $jti) AS revoked FROM authorizations WHERE id = $id',
      { id, jti },
    ),

  /** What was exchanged from tokens of this one, in the order of their making: those after `after`. */
  children: (parent_id: string, after: string, limit: number) =>
    engine.all<Authorization>('SELECT * FROM authorizations WHERE parent_id = $parent_id AND id > $after ORDER BY id LIMIT $limit', {
      parent_id,
      after,
      limit,
    }),

  /**
   * Newest first; those that live, and from which a token may have come; without what was exchanged. Workloads get so many for themselves that people's would
   * not be seen: theirs are there where they are asked for by client or name.
   */
  list: (now: number, { client_id = null as string | null, login = null as string | null, before = '~', limit = 100 } = {}) =>
    engine.all<Authorization>(
      `SELECT * FROM authorizations WHERE id < $before AND ended_at IS NULL AND expires_at > $now AND parent_id IS NULL AND id NOT IN (${neverRedeemed(0)})
        AND ($client_id IS NULL OR client_id = $client_id) AND ($login IS NULL OR login = $login)
        AND (workload IS NULL OR workload IN ($client_id, $login)) ORDER BY id DESC LIMIT $limit`,
      { now, client_id, login, before, limit },
    ),

  /** All that live, by id, those after `after`. */
  living: (now: number, after: string, limit: number) =>
    engine.all<Authorization>(
      'SELECT * FROM authorizations WHERE id > $after AND ended_at IS NULL AND expires_at > $now ORDER BY id LIMIT $limit',
      { now, after, limit },
    ),

  /** A person's own, newest first; those that live, and from which a token may have come. */
  ofUser: (user_id: string, now: number, { before = '~', limit = 20 } = {}) =>
    engine.all<Authorization>(
      `SELECT * FROM authorizations WHERE user_id = $user_id AND id < $before AND ended_at IS NULL AND expires_at > $now AND ${ofPeople}
        AND id NOT IN (${neverRedeemed(0)}) ORDER BY id DESC LIMIT $limit`,
      { user_id, now, before, limit },
    ),

  /** The first person after `after` (a user id; '' is before all) of whom an authorization has not ended. */
  nextPerson: (after: string) =>
    engine.get<{ user_id: string }>(
      `SELECT user_id FROM authorizations WHERE user_id > $after AND ended_at IS NULL AND ${ofPeople} ORDER BY user_id LIMIT 1`,
      { after },
    ),

  /** The same for a person at one machine, of those that are bound to it. */
  nextBound: (after: { user_id: string; node_id: string }) =>
    engine.get<{ user_id: string; node_id: string }>(
      `SELECT user_id, node_id FROM authorizations WHERE (user_id, node_id) > ($user_id, $node_id) AND bind = 'node' AND ended_at IS NULL AND ${ofPeople}
        ORDER BY user_id, node_id LIMIT 1`,
      after,
    ),

  /** All of a person's that have not ended, by id, those after `after`. */
  ofPerson: (user_id: string, after: string, limit: number) =>
    engine.all<Authorization>(
      `SELECT * FROM authorizations WHERE user_id = $user_id AND id > $after AND ended_at IS NULL AND ${ofPeople} ORDER BY id LIMIT $limit`,
      { user_id, after, limit },
    ),

  /** Those whose person was not found when last looked for, by id, those after `after`. */
  missing: (after: string, limit: number) =>
    engine.all<Authorization>(
      'SELECT * FROM authorizations WHERE missing_since IS NOT NULL AND ended_at IS NULL AND id > $after ORDER BY id LIMIT $limit',
      { after, limit },
    ),

  /** Those whose person has been gone for sure since before `since`. */
  longGone: (since: number, limit: number) =>
    engine.all<Authorization>(
      'SELECT * FROM authorizations WHERE suspended_at < $since AND ended_at IS NULL ORDER BY suspended_at LIMIT $limit',
      { since, limit },
    ),
})

/** A new authorization. For a client of the store (not of the policy) the commit fails if that client is gone meanwhile. */
export const insertAuthorization = (authorization: Authorization, clientIsStored: boolean): Write => ({
  sql: `INSERT INTO authorizations (id, client_id, user_id, login, node_id, address, bind, resource, scopes, auth_time, amr, claims, created_at, expires_at,
      workload, parent_id, subject_jti, exchange, decision_id)
    SELECT $id, $client_id, $user_id, $login, $node_id, $address, $bind, $resource, $scopes, $auth_time, $amr, $claims, $created_at, $expires_at,
      $workload, $parent_id, $subject_jti, $exchange, $decision_id
    WHERE ${clientIsStored ? 'EXISTS (SELECT 1 FROM clients WHERE client_id = $client_id)' : 'true'}`,
  params: { ...authorization },
  expect: 1,
})

/** A guard: the authorization has not ended meanwhile. */
export const authorizationLives = (id: string, now: number): Write => ({
  sql: 'UPDATE authorizations SET id = id WHERE id = $id AND ended_at IS NULL AND expires_at > $now',
  params: { id, now },
  expect: 1,
})

/** A guard: the token `jti` (null: an ID token, which is never revoked by itself) of a living authorization was not revoked meanwhile. */
export const subjectLives = (id: string, jti: string | null, now: number): Write => ({
  sql: `UPDATE authorizations SET id = id WHERE id = $id AND ended_at IS NULL AND expires_at > $now
    AND NOT EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = $jti)`,
  params: { id, jti, now },
  expect: 1,
})

/** Ends what the token `jti` of an authorization was exchanged for. */
export const endExchanged = (parent_id: string, subject_jti: string, now: number, reason: string): Write => ({
  sql: `UPDATE authorizations SET ended_at = $now, end_reason = $reason
    WHERE parent_id = $parent_id AND subject_jti = $subject_jti AND ended_at IS NULL`,
  params: { parent_id, subject_jti, now, reason },
})

/** Its person is there after all: a mistake undone heals. */
export const personFound = (id: string): Write => ({
  sql: 'UPDATE authorizations SET missing_since = NULL, suspended_at = NULL WHERE id = $id',
  params: { id },
})

export const endAuthorization = (id: string, now: number, reason: string): Write => ({
  sql: 'UPDATE authorizations SET ended_at = $now, end_reason = $reason WHERE id = $id AND ended_at IS NULL',
  params: { id, now, reason },
})

/** The mesh was asked, while Running, and the person is not there: that is noted. */
export const personMissing = (id: string, now: number): Write => ({
  sql: 'UPDATE authorizations SET missing_since = $now WHERE id = $id AND (missing_since IS NULL OR missing_since > $now) AND ended_at IS NULL',
  params: { id, now },
})

/** So long after they were first not found, people who are not found again are gone for sure. Seconds. */
export const sureAfter = 30

/** The person is gone for sure. The commit fails where they were found meanwhile, or somebody else was first. */
export const suspendAuthorization = (id: string, now: number): Write => ({
  sql: `UPDATE authorizations SET suspended_at = $now
    WHERE id = $id AND suspended_at IS NULL AND missing_since <= $now - ${sureAfter} AND ended_at IS NULL`,
  params: { id, now },
  expect: 1,
})

/** The person was gone for too long. The commit fails where they were found since it was read, or it has ended. */
export const endLongGone = ({ id, suspended_at }: Pick<Authorization, 'id' | 'suspended_at'>, now: number, reason: string): Write => ({
  sql: 'UPDATE authorizations SET ended_at = $now, end_reason = $reason WHERE id = $id AND suspended_at = $suspended_at AND ended_at IS NULL',
  params: { id, suspended_at, now, reason },
  expect: 1,
})

/** Deletes those of a client, with all that descends from them: for what nobody ever had. Of others the end is kept for a while (`endAuthorization`). */
export const deleteAuthorizations = (client_id: string): Write => ({
  sql: 'DELETE FROM authorizations WHERE client_id = $client_id',
  params: { client_id },
})
