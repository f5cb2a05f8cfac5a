/** What every code and token descends from. End it, and all that came from it is dead. */
import type { Amr } from '../oauth/authentication_context.ts'
import { neverRedeemed } from './codes.ts'
import type { Engine, Write } from './engine.ts'

export type Authorization = {
  id: string
  client_id: string
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
  /** When its person was first not found in the mesh, and when that was sure. */
  missing_since: number | null
  suspended_at: number | null
  ended_at: number | null
  end_reason: string | null
}

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

  /** Newest first; those that live, and from which a token may have come. */
  list: (now: number, { client_id = null as string | null, login = null as string | null, before = '~', limit = 100 } = {}) =>
    engine.all<Authorization>(
      `SELECT * FROM authorizations WHERE id < $before AND ended_at IS NULL AND expires_at > $now AND id NOT IN (${neverRedeemed(0)})
        AND ($client_id IS NULL OR client_id = $client_id) AND ($login IS NULL OR login = $login) ORDER BY id DESC LIMIT $limit`,
      { now, client_id, login, before, limit },
    ),

  /** A person's own, newest first; those that live, and from which a token may have come. */
  ofUser: (user_id: string, now: number, { before = '~', limit = 20 } = {}) =>
    engine.all<Authorization>(
      `SELECT * FROM authorizations WHERE user_id = $user_id AND id < $before AND ended_at IS NULL AND expires_at > $now
        AND id NOT IN (${neverRedeemed(0)}) ORDER BY id DESC LIMIT $limit`,
      { user_id, now, before, limit },
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
  sql: `INSERT INTO authorizations (id, client_id, user_id, login, node_id, address, bind, resource, scopes, auth_time, amr, claims, created_at, expires_at)
    SELECT $id, $client_id, $user_id, $login, $node_id, $address, $bind, $resource, $scopes, $auth_time, $amr, $claims, $created_at, $expires_at
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

/** Its person is there after all: a mistake undone heals. */
export const personFound = (id: string): Write => ({
  sql: 'UPDATE authorizations SET missing_since = NULL, suspended_at = NULL WHERE id = $id',
  params: { id },
})

export const endAuthorization = (id: string, now: number, reason: string): Write => ({
  sql: 'UPDATE authorizations SET ended_at = $now, end_reason = $reason WHERE id = $id AND ended_at IS NULL',
  params: { id, now, reason },
})

/**
 * The mesh was asked, while Running, and the person is not there: the first time that is noted, and when it is so again 30 s later
 * or more, the authorization is suspended.
 */
export const personMissing = (id: string, now: number): Write => ({
  sql: `UPDATE authorizations SET missing_since = COALESCE(missing_since, $now),
    suspended_at = CASE WHEN suspended_at IS NULL AND missing_since <= $now - 30 THEN $now ELSE suspended_at END
    WHERE id = $id AND ended_at IS NULL`,
  params: { id, now },
})
