/**
 * The one gate: the policy's verdict becomes a decision with its audit row, and a refusal its OAuth error. The row of an allowed deed travels in
 * the deed's own commit, so there is no deed without its row; a denial commits its row alone, and the same denial repeated is one row with a count.
 */
import { hash } from 'node:crypto'
import type { ActivePolicy, Deps } from './deps.ts'
import { type ErrorCode, OAuthError } from './oauth/error.ts'
import { idOf } from './oauth/identifier.ts'
import type { Principal } from './oauth/principal.ts'
import { timed } from './observe/trace.ts'
import {
  type Allowed,
  type Asked,
  type ClientFacts,
  type DenialReason,
  type Denied,
  evaluate,
  identityText,
  meshGrantFaults,
  questionText,
} from './policy/index.ts'
import type { Authorization } from './store/authorizations.ts'
import { countDenial, type Decision, insertDecision, keepRecord } from './store/decisions.ts'
import type { Write } from './store/engine.ts'

/** What was written lately; caches, so losing them costs a write and nothing else. */
export type Recent = {
  /** Digests of records that are in the store, and when that was last written down. */
  kept: Map<string, number>
  /** Denials by decision id: when they were last written, and how often they came since. */
  denials: Map<string, { at: number; since: number }>
  /** Digests of codes that are being redeemed now, and by how many requests. */
  redeeming: Map<string, number>
  /** Malformed grants of the tailnet policy that were logged already, by policy and digest. */
  faults: Set<string>
}

export const nothingRecent = (): Recent => ({ kept: new Map(), denials: new Map(), redeeming: new Map(), faults: new Set() })

const always = <Code extends ErrorCode>(code: Code): Record<DenialReason, ErrorCode> => ({
  no_grant: code,
  scope: code,
  target: code,
  identity: code,
  client: code,
  from: code,
  depth: code,
  subject: code,
})

/** Where something is asked; each has its words for "no" (RFC 6749 §4.1.2.1, §5.2; RFC 6750 §3.1; RFC 7591 §3.2.2; RFC 8693 §2.2.2). */
const refusals = {
  authorize: { ...always('access_denied'), scope: 'invalid_scope', target: 'invalid_target' },
  authorization_code: always('invalid_grant'),
  refresh_token: always('invalid_grant'),
  client_credentials: { ...always('unauthorized_client'), scope: 'invalid_scope', target: 'invalid_target' },
  token_exchange: { ...always('invalid_request'), scope: 'invalid_scope', target: 'invalid_target' },
  register: always('access_denied'),
  introspect: always('access_denied'),
  userinfo: always('invalid_token'),
  funnel: always('access_denied'),
  admin: always('access_denied'),
} as const satisfies Record<string, Record<DenialReason, ErrorCode>>

export type Entry = keyof typeof refusals

export type Facts = {
  entry: Entry
  client_id?: string
  /** The resource's URI. */
  resource?: string | null
  authorization_id?: string
  /** Of a request that it was not the policy that decided. */
  scopes?: readonly string[]
  /** Further facts for the audit, such as members of a registration that were ignored. */
  detail?: Record<string, unknown>
}

export type Decided = { verdict: Allowed; decision_id: string; writes: Write[] }

const aMinute = 60
const aDay = 86_400
const mostRemembered = 10_000

/** SHA-256 of a text, as records are kept by. */
const sha256 = (text: string) => hash('sha256', text)

const identityDigests = new WeakMap<Principal, { digest: string; body: string }>()

/** The identity as it is today, in the words of the audit. */
function identityRecord(principal: Principal) {
  let record = identityDigests.get(principal)
  if (!record) {
    const body = identityText(principal)
    record = { digest: sha256(body), body }
    identityDigests.set(principal, record)
  }
  return record
}

/** Makes sure that the record is on disk before a decision names it. */
async function keep(deps: Deps, record: { digest: string; body: string }, kind: 'policy' | 'identity'): Promise<string> {
  const { kept } = deps.recent
  const now = deps.now()
  const at = kept.get(record.digest)
  if (at === undefined || now - at >= aDay) {
    await deps.store.commit([keepRecord({ ...record, kind, used_at: now })])
    if (kept.size >= mostRemembered) kept.clear()
    kept.set(record.digest, now)
  }
  return record.digest
}

export const nameOf = (principal: Principal): string => (principal.kind === 'user' ? principal.login : principal.node.name)

/** Grants of the tailnet policy that give nothing because they are malformed: each set of them is logged once. */
function reportedFaults({ recent, log }: Deps, policy: ActivePolicy, principal: Principal | null): readonly string[] | undefined {
  const found = meshGrantFaults(policy, principal)
  if (!found || !principal) return undefined
  const key = `${policy.hash} ${found.digest}`
  if (!recent.faults.has(key)) {
    if (recent.faults.size >= mostRemembered) recent.faults.clear()
    recent.faults.add(key)
    log.warn({ principal: nameOf(principal), faults: found.faults }, found.faults.join('\n'))
  }
  return found.faults
}

async function rowOf(
  deps: Deps,
  policy: ActivePolicy,
  principal: Principal | null,
  facts: Omit<Facts, 'entry'> & { entry: string },
  asked: Asked | null,
  at: number,
): Promise<Omit<Decision, 'id' | 'outcome'>> {
  const [policyDigest, identity] = await Promise.all([
    keep(deps, { digest: policy.hash, body: policy.text }, 'policy'),
    principal && keep(deps, identityRecord(principal), 'identity'),
  ])
  const faults = reportedFaults(deps, policy, principal)
  const detail = faults ? { ...facts.detail, mesh_grants_without_effect: faults } : facts.detail
  return {
    at,
    last_at: at,
    count: 1,
    entry: facts.entry,
    reason: null,
    sentence: null,
    principal: principal && nameOf(principal),
    user_id: principal?.kind === 'user' ? principal.user_id : null,
    node_id: principal?.node.id ?? null,
    client_id: facts.client_id ?? null,
    resource: facts.resource ?? null,
    scopes: (asked && 'scopes' in asked ? asked.scopes : facts.scopes)?.join(' ') ?? null,
    granted: null,
    question: asked && questionText(asked),
    authorization_id: facts.authorization_id ?? null,
    detail: detail ? JSON.stringify(detail) : null,
    policy: policyDigest,
    identity,
  }
}

/**
 * Asks the policy. Allowed: the verdict, and the writes that the deed must commit with its own. Denied: the row is on disk already, and
 * an OAuthError says so with the decision's id. Throws `Unavailable` where the row cannot be written.
 * @param made what the deed brings into being; no denial names it, so that the same denial repeated stays one row
 */
export async function decide(
  deps: Deps,
  policy: ActivePolicy,
  asked: Asked,
  facts: Facts,
  made: Pick<Facts, 'client_id' | 'authorization_id' | 'detail'> = {},
): Promise<Decided> {
  const verdict = timed(deps.trace, 'policy', () => evaluate(policy, asked, deps.now()))
  if (!verdict.allowed) throw await refuse(deps, policy, asked, facts, verdict)
  const at = deps.now()
  const row = await rowOf(deps, policy, asked.principal, { ...facts, ...made }, asked, at)
  const id = deps.newId()
  const writes = [insertDecision({ ...row, id, outcome: 'allowed', granted: verdict.scopes.join(' ') })]
  return { verdict, decision_id: id, writes }
}

/**
 * What comes from the public internet, through Funnel, may only come from a client that a grant lets in. Throws `access_denied`, after its row is on disk;
 * `Unavailable` where that cannot be written.
 */
export async function admitFromInternet(
  deps: Deps,
  policy: ActivePolicy,
  client: { client_id: string; facts: ClientFacts },
): Promise<void> {
  const asked = { app: 'funnel', principal: null, client: client.facts } as const
  const verdict = timed(deps.trace, 'policy', () => evaluate(policy, asked, deps.now()))
  if (!verdict.allowed) throw await refuse(deps, policy, asked, { entry: 'funnel', client_id: client.client_id }, verdict)
}

/** The error for a verdict that denies, after its row is on disk. */
export async function refuse(
  deps: Deps,
  policy: ActivePolicy,
  asked: Asked,
  facts: Facts,
  { reason, sentence, near, reasons }: Denied,
): Promise<OAuthError> {
  const said = [sentence, ...near].join(' ')
  const id = await recordDenial(deps, policy, asked.principal, facts, reason, said, asked)
  return new OAuthError(refusals[facts.entry][reason], `${said} Ask an admin, and mention decision ${id}.`, {
    decision_id: id,
    denial: { sentence, near, reasons },
  })
}

/**
 * Writes a denial's row; the same facts on one day are one row with a count, so that nobody fills the disk. Within a minute only the first of
 * them is written at once. Resolves with the decision's id. `asked`: what the policy was asked, where that made the difference.
 */
export async function recordDenial(
  deps: Deps,
  policy: ActivePolicy,
  principal: Principal | null,
  facts: Facts,
  reason: string,
  sentence: string,
  asked: Asked | null = null,
): Promise<string> {
  const at = deps.now()
  // Only what the caller cannot make up at will: with the scopes or the sentence in it, one person could fill the disk.
  const who = principal && identityRecord(principal).digest
  const key = JSON.stringify([facts.entry, reason, who, facts.client_id, facts.resource, facts.authorization_id, policy.hash])
  const id = idOf(at - (at % aDay), hash('sha256', key, 'buffer'))
  const { denials } = deps.recent
  deps.metrics.decided(facts.entry, 'denied', reason)
  deps.trace.decision_id = id
  deps.trace.client_id ??= facts.client_id
  const last = denials.get(id)
  if (last && at - last.at < aMinute) {
    last.since++
    return id
  }
  const row = await rowOf(deps, policy, principal, facts, asked, at)
  await deps.store.commit([countDenial({ ...row, id, outcome: 'denied', reason, sentence, count: 1 + (last?.since ?? 0) })])
  if (denials.size >= mostRemembered) denials.clear()
  denials.set(id, { at, since: 0 })
  return id
}

/**
 * The row of what the mesh itself brings upon an authorization, without any request; it travels in the commit of that deed.
 * @param outcome `denied` where tokens of it stop, `allowed` where they may go on
 */
export async function sweptRow(
  deps: Deps,
  policy: ActivePolicy,
  authorization: Authorization,
  outcome: 'allowed' | 'denied',
  sentence: string,
): Promise<Write> {
  const { id, client_id, resource, login, user_id, node_id } = authorization
  const row = await rowOf(deps, policy, null, { entry: 'sweep', client_id, resource, authorization_id: id }, null, deps.now())
  const reason = outcome === 'denied' ? 'identity' : null
  return insertDecision({ ...row, id: deps.newId(), outcome, reason, sentence, principal: login, user_id, node_id })
}

/** The row of an authorization that a policy ended when it was applied; it travels in the commit of that deed. `asked`: what the policy would not give. */
export async function appliedRow(
  deps: Deps,
  policy: ActivePolicy,
  { id, client_id, resource, login, user_id, node_id, scopes }: Authorization,
  { why, principal, asked }: { why: Denied; principal: Principal | null; asked: Asked | null },
): Promise<Write> {
  const facts = { entry: 'policy_apply', client_id, resource, authorization_id: id, scopes: scopes.split(' ') }
  const row = await rowOf(deps, policy, principal, facts, asked, deps.now())
  const sentence = [why.sentence, ...why.near].join(' ')
  return insertDecision({ ...row, id: deps.newId(), outcome: 'denied', reason: why.reason, sentence, principal: login, user_id, node_id })
}
