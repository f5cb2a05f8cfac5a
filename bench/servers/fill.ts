/** A database as years of use leave it: written with the store's own statements, in big transactions, before the daemon is started on it. */
import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { setImmediate as breathe } from 'node:timers/promises'
import Database, { type Statement } from 'better-sqlite3'
import { createIdentifiers } from '../../src/oauth/identifier.ts'
import { freshly, insertAuthorization, ofPersonHere } from '../../src/store/authorizations.ts'
import { insertRegisteredClient } from '../../src/store/clients.ts'
import { consumeCode, insertCode } from '../../src/store/codes.ts'
import { rememberConsent, setAuthTime } from '../../src/store/consents.ts'
import { type Decision, insertDecision, keepRecord } from '../../src/store/decisions.ts'
import type { Write } from '../../src/store/engine.ts'
import { insertRefreshToken } from '../../src/store/refresh_tokens.ts'
import { REDIRECT_URI, REGISTRATION } from './server.ts'

const A_DAY = 86_400
/** How long an authorization lives where nothing is configured, and how long the janitor then leaves it. */
const LIFETIME = 90 * A_DAY
const KEPT_AFTER = A_DAY
/** How long decisions are kept where nothing is configured: the janitor has none left that are older. */
const DECISIONS_KEPT = 90 * A_DAY
/** How long a client may go unused where no grant says so. */
const CLIENT_TTL = 90 * A_DAY
const TOKENS_PER_CLIENT = 10
const TOKENS_PER_PERSON = 200
/** One authorization in so many was consented to on a page, by somebody who is remembered. */
const TOKENS_PER_CONSENT = 4
const ROWS_A_TRANSACTION = 5000

/**
 * Writes `rows` sign-ins, evenly over the last 91 days, each with the code that it began with, its refresh token, and its two decisions; of the
 * clients and people that so many need. So a few end in each minute, as they do in real use. Resolves with a sentence that counts them.
 */
export async function fill(file: string, rows: number, resource: string, progress: (text: string) => void): Promise<string> {
  const db = new Database(file)
  // Speed, for nothing is lost with this file: the whole of it is in memory until it is written at the end.
  db.pragma('synchronous = OFF')
  db.pragma('cache_size = -1000000')
  const statements = new Map<string, Statement>()
  const apply = ({ sql, params }: Write) => {
    const statement = statements.get(sql) ?? db.prepare(sql)
    statements.set(sql, statement)
    statement.run(params)
  }
  /** Calls `writesOf` for each number below `count`. */
  async function inTransactions(what: string, count: number, writesOf: (index: number) => readonly Write[]): Promise<void> {
    for (let from = 0; from < count; from += ROWS_A_TRANSACTION) {
      db.transaction(() => {
        for (let index = from; index < Math.min(count, from + ROWS_A_TRANSACTION); index++) writesOf(index).forEach(apply)
      })()
      progress(`${from.toLocaleString('en')} of ${count.toLocaleString('en')} ${what}`)
      await breathe()
    }
  }

  const end = Math.floor(Date.now() / 1000)
  const begin = end - LIFETIME - KEPT_AFTER
  const digest = () => randomBytes(32).toString('base64url')
  const any = <T>(values: readonly T[]): T => values[Math.floor(Math.random() * values.length)] as T
  let now = begin
  const newId = createIdentifiers(() => now, randomBytes)
  const policy = digest()

  const people = Array.from({ length: Math.ceil(rows / TOKENS_PER_PERSON) }, (_, index) => ({
    user_id: String(4_000_000_000_000_000 + index),
    login: `person${index}@example.com`,
    node_id: `nPerson${index}CNTRL`,
    address: `100.64.${(index >> 8) & 255}.${index & 255}`,
    identity: digest(),
  }))
  await inTransactions('people', people.length, (index) => {
    const { user_id, login, node_id, identity } = people[index] as (typeof people)[number]
    const body = JSON.stringify({ kind: 'user', user_id, login, groups: [], capabilities: {}, node: { id: node_id } })
    return [
      keepRecord({ digest: identity, kind: 'identity', body, used_at: now }),
      setAuthTime(user_id, node_id, { auth_time: end, confirmed: 0 }),
    ]
  })

  const clients: string[] = []
  await inTransactions('clients', Math.ceil(rows / TOKENS_PER_CLIENT), () => {
    const client_id = `dcr_${newId()}`
    const { user_id, login } = any(people)
    clients.push(client_id)
    const client = {
      client_id,
      kind: 'registered',
      metadata: REGISTRATION as never, // no more than what a request says: the store keeps it as text
      secret_digest: null,
      registration_token_digest: digest(),
      software: null,
      initial_access_token: null,
      owner: `userid:${user_id}`,
      owner_name: login,
      created_at: begin,
      used_at: end - Math.floor(Math.random() * (CLIENT_TTL - A_DAY)),
      unused_ttl: CLIENT_TTL,
      fresh_until: null,
    } as const
    return insertRegisteredClient(client, Number.MAX_SAFE_INTEGER)
  })

  await inTransactions('refresh tokens', rows, (index) => {
    now = begin + Math.floor((index * (end - begin)) / rows)
    const { user_id, login, node_id, address, identity } = any(people)
    const id = newId()
    const client_id = any(clients)
    const expires_at = now + LIFETIME
    const code = {
      authorization_id: id,
      digest: digest(),
      code_challenge: digest(),
      redirect_uri: REDIRECT_URI,
      nonce: null,
      expires_at: now + 60,
      consumed_at: null,
    }
    const decision = (entry: string): Decision => ({
      id: newId(),
      at: now,
      last_at: now,
      count: 1,
      entry,
      outcome: 'allowed',
      reason: null,
      sentence: null,
      principal: login,
      user_id,
      node_id,
      client_id,
      resource,
      scopes: 'openid email read',
      granted: 'openid email read',
      authorization_id: entry === 'authorize' ? null : id,
      question: JSON.stringify({
        app: 'authorize',
        client: { client_id, name: null },
        resource: 'resource:bench',
        scopes: ['openid', 'email', 'read'],
      }),
      detail: null,
      policy,
      identity,
    })
    return [
      insertAuthorization(
        {
          id,
          client_id,
          user_id,
          login,
          node_id,
          address,
          bind: 'user',
          resource,
          scopes: 'openid email read',
          auth_time: now,
          amr: 'mesh',
          claims: null,
          created_at: now,
          expires_at,
          ...freshly,
          ...ofPersonHere,
          decision_id: null,
        },
        true,
      ),
      insertCode(code),
      ...(now > end - DECISIONS_KEPT ? [insertDecision(decision('authorize'))] : []),
      consumeCode(code, now + 1),
      // Judged by the clock of then: an authorization that has ended since had its token too.
      insertRefreshToken(id, digest(), now, expires_at),
      ...(now > end - DECISIONS_KEPT ? [insertDecision(decision('authorization_code'))] : []),
      ...(index % TOKENS_PER_CONSENT === 0
        ? [rememberConsent({ user_id, client_id, resource, scopes: 'read', software_digest: digest(), agreed_at: now })]
        : []),
    ]
  })

  progress('to the disk')
  db.pragma('synchronous = FULL')
  db.pragma('wal_checkpoint(TRUNCATE)')
  db.close()
  const mebibytes = Math.round(statSync(file).size / 2 ** 20)
  return `${rows.toLocaleString('en')} refresh tokens of ${clients.length.toLocaleString('en')} clients, ${mebibytes.toLocaleString('en')} MiB, before the first start`
}
