/** What an admin can do, by name: the control socket serves these, and a command without a daemon calls them itself. */
import { z } from 'zod'
import type { Config } from '../config.ts'
import type { Deps } from '../deps.ts'
import { signInAgainstItself } from '../doctor/self_sign_in.ts'
import { daysLeft } from '../http/certificate_state.ts'
import { readinessOf } from '../http/readiness.ts'
import { OAuthError } from '../oauth/error.ts'
import { digest, newSecret } from '../oauth/secret.ts'
import { parseSelector } from '../policy/index.ts'
import type { PolicyInForce } from '../policy_file/in_force.ts'
import { type Authorization, endAuthorization } from '../store/authorizations.ts'
import { deleteClient, type StoredClient } from '../store/clients.ts'
import { forgetConsent } from '../store/consents.ts'
import type { Decision, KeptRecord } from '../store/decisions.ts'
import { GuardFailed } from '../store/engine.ts'
import { type InitialAccessToken, insertInitialAccessToken, revokeInitialAccessToken } from '../store/initial_access_tokens.ts'
import { decisionFilter, findDecisions } from './decisions.ts'
import { applyPolicy, policyApplyInput } from './policy_apply.ts'
import { revokeSubtree, trace } from './trace.ts'

/** What the actions need; a command without a daemon has no mesh and no policy. */
export type AdminDeps = { config: Config } & Pick<Deps, 'store' | 'keys' | 'now' | 'newId' | 'randomBytes'> & {
    live?: Deps & { policyInForce: PolicyInForce; addresses: () => string[]; stopping: () => boolean }
  }

type Action<Input extends z.ZodType = z.ZodType> = { input: Input; run: (deps: AdminDeps, input: z.output<Input>) => Promise<object> }

const action = <Input extends z.ZodType>(input: Input, run: Action<Input>['run']): Action => ({ input, run: run as Action['run'] })

const nothing = z.strictObject({})

/** The rows that a list holds at the most. */
export const mostRows = 1000
const limit = z.int().min(1).max(mostRows).default(100)

/** The first `limit` rows of what `list` finds, and whether there are more. */
async function page<Row>(name: string, limit: number, list: (limit: number) => Promise<Row[]>) {
  const rows = await list(limit + 1)
  return { [name]: rows.slice(0, limit), more: rows.length > limit }
}

/** A client as admins see it: never a digest. */
const shownClient = ({ secret_digest, registration_token_digest: _, software: __, ...client }: StoredClient) => ({
  ...client,
  confidential: secret_digest !== null,
})

async function clientOf({ store, now }: AdminDeps, client_id: string): Promise<StoredClient> {
  const client = await store.clients.find(client_id, now())
  if (!client)
    throw new OAuthError(
      'not_found',
      `There is no registered client ${client_id}. Those of the policy file are ended by editing that file. See: meshidp clients list`,
    )
  return client
}

async function authorizationOf({ store }: AdminDeps, id: string): Promise<Authorization> {
  const authorization = await store.authorizations.find(id)
  if (!authorization) throw new OAuthError('not_found', `There is no authorization ${id}. See: meshidp authorizations list`)
  return authorization
}

/** Who a recorded identity is, as people call them. */
const calledBy = (identity: { kind: string; login?: string; node: { name: string } }) => identity.login ?? identity.node.name

const aDay = 86_400
const aYear = 366 * aDay

function isNameable(text: string): boolean {
  const selector = parseSelector(text)
  return text === '*' || (!('refused' in selector) && (selector.kind === 'login' || selector.kind === 'tag'))
}

function stateOf(
  { revoked_at, expires_at, used, uses }: Pick<InitialAccessToken, 'revoked_at' | 'expires_at' | 'used' | 'uses'>,
  now: number,
) {
  if (revoked_at !== null) return 'revoked'
  if (expires_at <= now) return 'expired'
  return used < uses ? 'good' : 'used up'
}

const noDaemon = () => new OAuthError('not_found', 'No daemon is running on this state.')

export const actions = new Map<string, Action>([
  [
    'status',
    action(nothing, async ({ live }) => {
      if (!live) throw noDaemon()
      const policy = live.policyState()
      const mesh = live.identity.status()
      const certificate = live.certificate()
      return {
        ...(await readinessOf(live)),
        troubles: live.troubles().map(({ sentence }) => sentence),
        issuer: live.config.issuer,
        listening: live.addresses(),
        unheard: live.unheard(),
        certificate: certificate && { ...certificate, days_left: daysLeft(certificate, live.now()) },
        mesh,
        policy,
        trust_bundles: live.trustBundles.list(),
      }
    }),
  ],
  ['doctor.sign_in', action(nothing, async (deps) => ({ steps: await signInAgainstItself(deps) }))],
  [
    'reload',
    action(nothing, async ({ live }) => {
      if (!live) throw noDaemon()
      return live.policyInForce.reload()
    }),
  ],
  [
    'policy.apply',
    action(policyApplyInput, async ({ live }, input) => {
      if (!live) throw noDaemon()
      return applyPolicy(live, input)
    }),
  ],
  [
    'clients.list',
    action(z.strictObject({ after: z.string().default(''), limit }), ({ store, now }, { after, limit }) =>
      page('clients', limit, async (limit) => (await store.clients.list(now(), { after, limit })).map(shownClient)),
    ),
  ],
  [
    'clients.show',
    action(z.strictObject({ client_id: z.string() }), async (deps, { client_id }) => shownClient(await clientOf(deps, client_id))),
  ],
  [
    'clients.revoke',
    action(z.strictObject({ client_id: z.string() }), async (deps, { client_id }) => {
      await clientOf(deps, client_id)
      await deps.store.commit(deleteClient(client_id, deps.now(), 'its client was revoked by an admin (local:control)'))
      return { revoked: client_id }
    }),
  ],
  [
    'tokens.initial.create',
    action(
      z.strictObject({
        issued_for: z.string().refine(isNameable, {
          error: 'An initial access token is for a login name, such as alice@example.com, for a tag, such as tag:ci, or for "*".',
        }),
        uses: z.int().min(1).max(1000).default(1),
        lifetime: z
          .int()
          .min(1)
          .max(aYear)
          .default(7 * aDay),
      }),
      async ({ store, now, newId, randomBytes }, { issued_for, uses, lifetime }) => {
        const token = newSecret('initial_access_token', randomBytes)
        const row = { id: newId(), issued_for, uses, created_at: now(), expires_at: now() + lifetime }
        await store.commit([insertInitialAccessToken({ ...row, digest: digest(token) })])
        return { token, ...row }
      },
    ),
  ],
  [
    'tokens.initial.list',
    action(z.strictObject({ before: z.string().default('~'), limit }), ({ store, now }, { before, limit }) =>
      page('tokens', limit, async (limit) =>
        (await store.initialAccessTokens.list({ before, limit })).map(({ digest: _, ...token }) => ({
          ...token,
          state: stateOf(token, now()),
        })),
      ),
    ),
  ],
  [
    'tokens.initial.revoke',
    action(z.strictObject({ id: z.string() }), async ({ store, now }, { id }) => {
      await store.commit([revokeInitialAccessToken(id, now())]).catch((thrown) => {
        if (!(thrown instanceof GuardFailed)) throw thrown
        throw new OAuthError('not_found', `There is no initial access token ${id} that could be revoked. See: meshidp tokens initial list`)
      })
      return { revoked: id }
    }),
  ],
  ['tokens.trace', action(z.strictObject({ id: z.string() }), (deps, { id }) => trace(deps, id))],
  [
    'tokens.revoke',
    action(z.strictObject({ id: z.string(), preview: z.boolean().default(false) }), (deps, { id, preview }) =>
      revokeSubtree(deps, id, preview),
    ),
  ],
  [
    'authorizations.list',
    action(
      z.strictObject({
        client_id: z.string().nullable().default(null),
        login: z.string().nullable().default(null),
        before: z.string().default('~'),
        limit,
      }),
      ({ store, now }, filter) => page('authorizations', filter.limit, (limit) => store.authorizations.list(now(), { ...filter, limit })),
    ),
  ],
  [
    'authorizations.revoke',
    action(z.strictObject({ id: z.string() }), async (deps, { id }) => {
      const authorization = await authorizationOf(deps, id)
      await deps.store.commit([endAuthorization(id, deps.now(), 'revoked by an admin (local:control)'), forgetConsent(authorization)])
      return { revoked: id }
    }),
  ],
  [
    'decisions.list',
    action(decisionFilter.extend({ limit }), ({ store }, filter) =>
      page('decisions', filter.limit, (limit) => findDecisions(store, { ...filter, limit })),
    ),
  ],
  [
    'records.show',
    action(z.strictObject({ digests: z.array(z.string()).max(mostRows) }), async ({ store }, { digests }) => {
      const found = await Promise.all(digests.map((digest) => store.decisions.record(digest)))
      return { records: Object.fromEntries(found.flatMap((record) => (record ? [[record.digest, record.body]] : []))) }
    }),
  ],
  ['keys.list', action(nothing, async ({ keys }) => ({ keys: keys.list() }))],
  ['keys.rotate', action(z.strictObject({ now: z.boolean().default(false) }), async ({ keys }, how) => ({ keys: await keys.rotate(how) }))],
  [
    'keys.import',
    action(z.strictObject({ text: z.string().max(20_000), now: z.boolean().default(false) }), async ({ keys }, { text, now }) => ({
      keys: await keys.import(text, { now }),
    })),
  ],
  [
    'keys.retire',
    action(z.strictObject({ kid: z.string() }), async ({ keys }, { kid }) => ({ retired: kid, keys: await keys.retire(kid) })),
  ],
  [
    'identities.list',
    action(
      z.strictObject({ before: z.strictObject({ used_at: z.int(), digest: z.string() }).nullable().default(null), limit }),
      ({ store }, { limit, before }) => page('identities', limit, (limit) => store.decisions.identities({ before, limit })),
    ),
  ],
  [
    'identities.last',
    action(z.strictObject({ principal: z.string() }), async ({ store }, { principal }) => {
      let before: KeptRecord | null = null
      for (;;) {
        const records: KeptRecord[] = await store.decisions.identities({
          before: before && { used_at: before.used_at, digest: before.digest },
          limit: 200,
        })
        const found = records.find(({ body }) => calledBy(JSON.parse(body)) === principal)
        before = records.at(-1) ?? null
        if (found || !before) return { identity: found?.body ?? null, used_at: found?.used_at ?? null }
        await new Promise(setImmediate) // others wait for this thread too
      }
    }),
  ],
  [
    'policy.show',
    action(nothing, async ({ live }) => {
      if (!live) throw noDaemon()
      return { ...live.policyState(), text: live.policy().text }
    }),
  ],
  [
    'decisions.show',
    action(z.strictObject({ id: z.string() }), async ({ store }, { id }) => {
      const decision: Decision | undefined = await store.decisions.find(id)
      if (!decision) throw new OAuthError('not_found', `There is no decision ${id}. See: meshidp decisions list`)
      const [policy, identity] = await Promise.all([
        store.decisions.record(decision.policy),
        decision.identity === null ? undefined : store.decisions.record(decision.identity),
      ])
      return {
        ...decision,
        question: decision.question && JSON.parse(decision.question),
        detail: decision.detail && JSON.parse(decision.detail),
        records: { policy: policy?.body ?? null, identity: identity ? JSON.parse(identity.body) : null },
      }
    }),
  ],
])

/** Runs one by name, with input of any origin. Throws OAuthError with a sentence. */
export async function runAction(deps: AdminDeps, name: string, input: unknown): Promise<object> {
  const found = actions.get(name)
  if (!found) throw new OAuthError('not_found', `There is no action ${name}.`)
  const parsed = found.input.safeParse(input ?? {})
  if (!parsed.success)
    throw new OAuthError(
      'invalid_request',
      parsed.error.issues.map(({ path, message }) => (message.endsWith('.') ? message : `${path.join('.')}: ${message}`)).join('; '),
    )
  return found.run(deps, parsed.data)
}
