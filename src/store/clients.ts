/** Software that the policy file does not name: registered by somebody (RFC 7591), or known by its metadata document. */
import type { ClientMetadata } from '../oauth/client_metadata.ts'
import type { Engine, Write } from './engine.ts'

export type StoredClient = {
  client_id: string
  kind: 'registered' | 'metadata_document'
  metadata: ClientMetadata
  secret_digest: string | null
  registration_token_digest: string | null
  /** Who registered it: "userid:…" or "node:…"; null for a document, which is nobody's. */
  owner: string | null
  /** What is the same software, brought again, has the same digest (`oauth/same_software`); null for what came before there was one, and for documents. */
  software: string | null
  /** Id of the initial access token that it came by; null where it came without. */
  initial_access_token: string | null
  /** That principal's login or node name, for people. */
  owner_name: string
  created_at: number
  used_at: number
  /** Seconds without use after which it is gone. */
  unused_ttl: number
  /** Until when a metadata document may be used without fetching it again (HTTP caching). */
  fresh_until: number | null
}

type Row = Omit<StoredClient, 'metadata'> & { metadata: string }

const fromRow = (row: Row): StoredClient => ({ ...row, metadata: JSON.parse(row.metadata) as ClientMetadata })
const alive = 'used_at + unused_ttl > $now'
/** The other way round, as the index `clients_by_end` wants it said. */
const gone = 'used_at + unused_ttl <= $now'

export const clients = (engine: Engine) => ({
  /** The client, unless it went unused for too long. */
  async find(client_id: string, now: number): Promise<StoredClient | undefined> {
    const row = await engine.get<Row>(`SELECT * FROM clients WHERE client_id = $client_id AND ${alive}`, { client_id, now })
    return row && fromRow(row)
  },

  async findByRegistrationToken(registration_token_digest: string, now: number): Promise<StoredClient | undefined> {
    const sql = `SELECT * FROM clients WHERE registration_token_digest = $registration_token_digest AND ${alive}`
    const row = await engine.get<Row>(sql, { registration_token_digest, now })
    return row && fromRow(row)
  },

  /** Ids of those that this owner brought of the same software, oldest first, ten at the most. */
  async again(owner: string, software: string, now: number): Promise<string[]> {
    const sql = `SELECT client_id FROM clients WHERE owner = $owner AND software = $software AND ${alive} ORDER BY client_id LIMIT 10`
    return (await engine.all<Pick<Row, 'client_id'>>(sql, { owner, software, now })).map(({ client_id }) => client_id)
  },

  /** Ids of what this owner brought, `limit` at the most. */
  async ofOwner(owner: string, limit: number): Promise<string[]> {
    const sql = 'SELECT client_id FROM clients WHERE owner = $owner LIMIT $limit'
    return (await engine.all<Pick<Row, 'client_id'>>(sql, { owner, limit })).map(({ client_id }) => client_id)
  },

  /** Oldest first, `limit` at the most, those after `after`. `earlier`: how often the same owner had brought the same software before. */
  async list(now: number, { after = '', limit = 100 } = {}): Promise<(StoredClient & { earlier: number })[]> {
    const earlier = `SELECT count(*) FROM clients AS one
      WHERE one.owner = clients.owner AND one.software = clients.software AND one.client_id < clients.client_id`
    const sql = `SELECT *, (${earlier}) AS earlier FROM clients WHERE client_id > $after AND ${alive} ORDER BY client_id LIMIT $limit`
    return (await engine.all<Row & { earlier: number }>(sql, { after, now, limit })).map((row) => ({
      ...fromRow(row),
      earlier: row.earlier,
    }))
  },

  /** Ids of those that went unused for too long, `limit` at the most. */
  async unused(now: number, limit: number): Promise<string[]> {
    const sql = `SELECT client_id FROM clients WHERE ${gone} ORDER BY used_at + unused_ttl LIMIT $limit`
    return (await engine.all<Pick<Row, 'client_id'>>(sql, { now, limit })).map(({ client_id }) => client_id)
  },
})

/** Registers a client; the commit fails its guard where its owner has `max_clients` already. */
export function insertRegisteredClient(client: StoredClient & { owner: string }, max_clients: number): Write[] {
  return [
    {
      sql: 'INSERT INTO registrants (owner, clients) VALUES ($owner, 0) ON CONFLICT (owner) DO UPDATE SET missing_since = NULL',
      params: { owner: client.owner },
    },
    clientsLeft(client.owner, max_clients),
    insertClient(client),
  ]
}

/** Changes nothing; the guard is its point. */
const clientsLeft = (owner: string, max_clients: number): Write => ({
  sql: 'UPDATE registrants SET clients = clients WHERE owner = $owner AND clients < $max_clients',
  params: { owner, max_clients },
  expect: 1,
})

const insertClient = (client: StoredClient): Write => ({
  sql: `INSERT INTO clients (client_id, kind, metadata, secret_digest, registration_token_digest, owner, software, initial_access_token, owner_name, created_at, used_at, unused_ttl, fresh_until)
    VALUES ($client_id, $kind, $metadata, $secret_digest, $registration_token_digest, $owner, $software, $initial_access_token, $owner_name, $created_at, $used_at, $unused_ttl, $fresh_until)`,
  params: { ...client, metadata: JSON.stringify(client.metadata) },
})

/** Keeps a metadata document as it was fetched, over an older one. */
export function keepMetadataDocument(client: StoredClient): Write {
  const { sql, params } = insertClient(client)
  return {
    sql: `${sql} ON CONFLICT (client_id) DO UPDATE SET metadata = $metadata, used_at = $used_at, unused_ttl = $unused_ttl, fresh_until = $fresh_until`,
    params,
  }
}

/** RFC 7592 §2.2: replaces what the client said of itself, and its registration access token with it. */
export const updateClient = (client: StoredClient, registration_token_digest: string): Write => ({
  sql: `UPDATE clients SET metadata = $metadata, software = $software, secret_digest = $secret_digest, registration_token_digest = $fresh, used_at = $used_at
    WHERE client_id = $client_id AND registration_token_digest = $registration_token_digest`,
  params: {
    client_id: client.client_id,
    metadata: JSON.stringify(client.metadata),
    software: client.software,
    secret_digest: client.secret_digest,
    used_at: client.used_at,
    registration_token_digest: client.registration_token_digest,
    fresh: registration_token_digest,
  },
  expect: 1,
})

/** RFC 7592 §2.1: a registration access token that was shown for another client is not to be trusted again. */
export const revokeRegistrationToken = (registration_token_digest: string): Write => ({
  sql: 'UPDATE clients SET registration_token_digest = NULL WHERE registration_token_digest = $registration_token_digest',
  params: { registration_token_digest },
})

/** Whether a use should be written down: not each one, but early enough that a client in use never counts as unused. */
export const isUseDue = ({ used_at, unused_ttl }: StoredClient, now: number): boolean => used_at < now - Math.min(86_400, unused_ttl / 4)

/** Remembers the use, so that the client does not count as unused. */
export const clientUsed = (client_id: string, now: number): Write => ({
  sql: 'UPDATE clients SET used_at = $now WHERE client_id = $client_id',
  params: { client_id, now },
  expect: 1,
})

/** Deletes a client, ends all its authorizations and forgets who agreed to it, in one commit. */
export const deleteClient = (client_id: string, now: number, reason: string): Write[] => [
  { sql: 'DELETE FROM clients WHERE client_id = $client_id', params: { client_id } },
  {
    sql: 'UPDATE authorizations SET ended_at = $now, end_reason = $reason WHERE client_id = $client_id AND ended_at IS NULL',
    params: { client_id, now, reason },
  },
  { sql: 'DELETE FROM consents WHERE client_id = $client_id', params: { client_id } },
]

/** Deletes the row alone: of a client that is known from elsewhere now. */
export const forgetClient = (client_id: string): Write => ({
  sql: 'DELETE FROM clients WHERE client_id = $client_id',
  params: { client_id },
})

/** Deletes a client that went unused for too long; the commit fails where it was used meanwhile. */
export const deleteUnusedClient = (client_id: string, now: number): Write[] => [
  { sql: `UPDATE clients SET used_at = used_at WHERE client_id = $client_id AND ${gone}`, params: { client_id, now }, expect: 1 },
  ...deleteClient(client_id, now, 'its client went unused for too long'),
]
