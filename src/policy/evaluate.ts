/** The engine: one question, one verdict. A question is looked up on the shelf of its kind; no rule of somebody else is touched. */
import { isOneOf, parseSpiffeId, type SpiffeId } from '../oauth/spiffe_id.ts'
import { denied, reasonsOf, refused } from './denial.ts'
import { isIdentityScope } from './identity_scopes.ts'
import { passing, reached } from './inquiry.ts'
import { compareLeniency, defaultTerms, noLimits, strictest, type Terms } from './limits.ts'
import { shelvesOf } from './mesh_grants.ts'
import type { Policy } from './policy.ts'
import { groupsOf, principalKeys, workloadKeys } from './principal_keys.ts'
import type { AdminRule, AuthorizeRule, ClientCredentialsRule, Engine, ExchangeRule, Grant, RegisterRule } from './rules.ts'
import { foldAscii, registered } from './selector.ts'
import type { Allowed, Asked, ClientFacts, Verdict } from './verdict.ts'

type Judge<A> = (engine: Engine, asked: A, now: number | undefined) => Verdict
const judges: { [App in Asked['app']]: Judge<Extract<Asked, { app: App }>> } = {
  authorize,
  register,
  exchange,
  client_credentials,
  introspect,
  funnel,
  claims,
  admin,
}

/**
 * Decides one question on a compiled policy. Pure: the same arguments give the same verdict, and it throws for none that fits the types.
 * @param now seconds since the epoch; without it, a grant that expires gives nothing
 */
export function evaluate(policy: Policy, asked: Asked, now?: number): Verdict {
  return (judges[asked.app] as Judge<Asked>)(policy.compiled as Engine, asked, now)
}

/** Identity scopes are decided against the client, all others against the resource: one request may need both. */
function authorize(engine: Engine, asked: Extract<Asked, { app: 'authorize' }>, now: number | undefined): Verdict {
  const { principal, client } = asked
  const resource = asked.resource === null ? null : engine.resources.get(asked.resource)
  if (principal.kind !== 'user') return refused(asked, 'identity')
  if (resource === undefined) return refused(asked, 'target')

  // RFC 6749 §3.3: nothing asked is the default, and ours is all that the policy gives at this resource.
  const wanted = asked.scopes.length === 0 && resource ? [...resource.scopes.keys()] : unique(asked.scopes)
  const api = wanted.filter((scope) => !isIdentityScope(scope))
  const identity = wanted.filter((scope) => isIdentityScope(scope))
  const common = { shelves: shelvesOf(engine, 'authorize', principal), keys: principalKeys(engine, principal), principal, now }
  const admitted = (rule: AuthorizeRule) => admits(engine, rule, client)
  const atResource = resource && {
    ...common,
    targets: [resource.name],
    conditions: { scope: (rule: AuthorizeRule) => api.length === 0 || gives(rule, api), client: admitted },
  }
  const atClient = {
    ...common,
    targets: [isNamed(engine, client) ? client.name : registered],
    conditions: { scope: (rule: AuthorizeRule) => gives(rule, identity), client: admitted },
  }

  const best = mostLenient([...(atResource ? passing(atResource) : []), ...(identity.length > 0 ? passing(atClient) : [])])
  const scopes = wanted.filter((scope) => best.has(scope))
  // A token for a resource is worth something there whatever its scopes, so whoever may nothing there gets none, identity scopes or not.
  const outsider = atResource && !reached(atResource).some(admitted)
  if (outsider || scopes.length === 0) {
    const signsIn = outsider && api.length === 0 && passing(atClient).length === 0 // both are missing, so one more is not enough
    const mending = [
      ...(atResource && api.length + Number(outsider) > 0 && !signsIn ? [atResource] : []),
      ...(outsider || identity.length === 0 ? [] : [atClient]),
    ]
    return denied(engine, asked, atResource ?? atClient, resource ?? null, mending)
  }

  return given(scopes, asked.scopes, best)
}

/**
 * RFC 8693. One capability must hold whole: who acts, where the subject token is from, how deep, and for each scope what is held. Unless it
 * says `beyond_subject`, the scope is given only where the policy gives it to the subject itself, with whatever software.
 */
function exchange(engine: Engine, asked: Extract<Asked, { app: 'exchange' }>, now: number | undefined): Verdict {
  const { principal, client, actor, other, from, held, depth, impersonate } = asked
  const resource = engine.resources.get(asked.resource)
  if (!resource) return refused(asked, 'target')

  const wanted = asked.scopes.length === 0 ? [...resource.scopes.keys()] : unique(asked.scopes)
  const isPerson = principal?.kind === 'user'
  const keys = isPerson ? principalKeys(engine, principal) : workloadKeys(engine, principal, asked.subject ?? null)
  const subject = { targets: [resource.name], keys, principal, now, conditions: {} }
  const own: Map<string, { grant: Grant; terms: Terms }> = isPerson
    ? mostLenient(passing({ ...subject, shelves: shelvesOf(engine, 'authorize', principal) }))
    : mostLenient(passing({ ...subject, shelves: shelvesOf(engine, 'client_credentials', principal) }))
  const acting = [
    { keys: workloadKeys(engine, actor, client), facts: client },
    ...(other ? [{ keys: workloadKeys(engine, asked.other_actor ?? null, other), facts: other }] : []),
  ]
  const exchanges = (rule: ExchangeRule, scope: string) => held.some((one) => rule.scopes.get(scope)?.has(one))
  const reaches = (rule: ExchangeRule, scope: string) => rule.beyond_subject || own.has(scope)
  const inquiry = {
    ...subject,
    shelves: shelvesOf(engine, 'exchange', principal),
    conditions: {
      actor: (rule: ExchangeRule) =>
        acting.every(({ keys, facts }) =>
          rule.actors.some((one) => (one.kind === 'spiffe' ? isWorkload(facts, one.pattern) : keys.includes(one.key))),
        ),
      from: (rule: ExchangeRule) => rule.from.has(from),
      depth: (rule: ExchangeRule) => depth <= rule.max_depth,
      impersonate: (rule: ExchangeRule) => rule.impersonate || !impersonate,
      scope: (rule: ExchangeRule) => wanted.some((scope) => exchanges(rule, scope) && (own.size === 0 || reaches(rule, scope))),
      subject: (rule: ExchangeRule) => rule.beyond_subject || own.size > 0,
    },
  }
  const rules = passing(inquiry)
  const gives = (rule: ExchangeRule, scope: string) => exchanges(rule, scope) && reaches(rule, scope)
  const scopes = wanted.filter((scope) => rules.some((rule) => gives(rule, scope)))
  if (scopes.length === 0) return denied(engine, asked, inquiry, resource)

  // What is given beyond the subject has the default terms, unless the subject's own are more lenient: one more grant never makes it stricter.
  const termsOf = (scope: string): Terms => {
    const its = own.get(scope)?.terms ?? defaultTerms
    const beyond = rules.some((rule) => rule.beyond_subject && exchanges(rule, scope))
    return beyond && compareLeniency(defaultTerms, its) > 0 ? defaultTerms : its
  }
  const givers = [...rules.filter((rule) => scopes.some((scope) => gives(rule, scope))), ...scopes.flatMap((scope) => own.get(scope) ?? [])]
  const refresh_token = rules.some((rule) => rule.refresh_token && scopes.every((scope) => gives(rule, scope)))
  return { ...allowed(givers, { ...strictest(scopes.map(termsOf)), refresh_token }), scopes, dropped: without(asked.scopes, scopes) }
}

function client_credentials(engine: Engine, asked: Extract<Asked, { app: 'client_credentials' }>, now: number | undefined): Verdict {
  const { principal, client } = asked
  const resource = engine.resources.get(asked.resource)
  if (!resource) return refused(asked, 'target')

  const wanted = asked.scopes.length === 0 ? [...resource.scopes.keys()] : unique(asked.scopes)
  const inquiry = {
    shelves: shelvesOf(engine, 'client_credentials', principal),
    targets: [resource.name],
    keys: workloadKeys(engine, principal, client),
    principal,
    now,
    conditions: { scope: (rule: ClientCredentialsRule) => gives(rule, wanted) },
  }
  const best = mostLenient(passing(inquiry))
  const scopes = wanted.filter((scope) => best.has(scope))
  return scopes.length === 0 ? denied(engine, asked, inquiry, resource) : given(scopes, asked.scopes, best)
}

/** All conditions must hold in one capability; of those that do, the longest lifetime, the largest number and the milder reading count. */
function register(engine: Engine, asked: Extract<Asked, { app: 'register' }>, now: number | undefined): Verdict {
  const { principal, via, confidential } = asked
  const inquiry = {
    shelves: shelvesOf(engine, 'register', principal),
    targets: [''],
    keys: principalKeys(engine, principal),
    principal,
    now,
    conditions: {
      // Who shows an initial access token may do what they may without it, too.
      via: (rule: RegisterRule) => rule.via.has(via) || (via === 'initial_access_token' && rule.via.has('dcr')),
      hosts: (rule: RegisterRule) => asked.hosts.every((host) => admitsHost(rule, host)),
      confidential: (rule: RegisterRule) => rule.confidential || !confidential,
    },
  }
  const rules = passing(inquiry)
  if (rules.length === 0) return denied(engine, asked, inquiry, null)
  return allowed(rules, {
    client_ttl: Math.max(...rules.map((rule) => rule.limits.client_ttl)),
    max_clients: Math.max(...rules.map((rule) => rule.limits.max_clients)),
    metadata: rules.some((rule) => rule.limits.metadata === 'lenient') ? 'lenient' : 'strict',
  })
}

function introspect(engine: Engine, asked: Extract<Asked, { app: 'introspect' }>, now: number | undefined): Verdict {
  const { principal, client, resource } = asked
  if (!engine.resources.has(resource)) return refused(asked, 'target')
  const keys = workloadKeys(engine, principal, client)
  const inquiry = { shelves: shelvesOf(engine, 'introspect', principal), targets: [resource], keys, principal, now, conditions: {} }
  const rules = passing(inquiry)
  return rules.length === 0 ? denied(engine, asked, inquiry, null) : allowed(rules, { chain: rules.some(({ chain }) => chain) })
}

function funnel(engine: Engine, asked: Extract<Asked, { app: 'funnel' }>, now: number | undefined): Verdict {
  const { principal, client } = asked
  const keys = workloadKeys(engine, principal, client)
  const inquiry = { shelves: [engine.shelves.funnel], targets: [''], keys, principal, now, conditions: {} }
  const rules = passing(inquiry)
  return rules.length === 0 ? denied(engine, asked, inquiry, null) : allowed(rules)
}

/** What is let out at the client and at the resource, united. Of two values for one claim the one whose JSON sorts first counts. */
function claims(engine: Engine, asked: Extract<Asked, { app: 'claims' }>, now: number | undefined): Verdict {
  const { principal, client, resource } = asked
  if (resource !== null && !engine.resources.has(resource)) return refused(asked, 'target')
  const targets = [isNamed(engine, client) ? client.name : registered, ...(resource === null ? [] : [resource])]
  const inquiry = {
    shelves: shelvesOf(engine, 'claims', principal),
    targets,
    keys: principalKeys(engine, principal),
    principal,
    now,
    conditions: {},
  }
  const rules = passing(inquiry)
  if (rules.length === 0) return denied(engine, asked, inquiry, null)

  const found = new Map<string, unknown>()
  for (const [name, value] of rules.flatMap((rule) => [...rule.claims])) {
    if (!found.has(name) || JSON.stringify(value) < JSON.stringify(found.get(name))) found.set(name, value)
  }
  const groups = [...groupsOf(engine.groups, principal)].filter((group) => rules.some((rule) => rule.groups.has(group))).sort()
  return allowed(rules, { groups, claims: Object.fromEntries([...found].sort(([a], [b]) => (a < b ? -1 : 1))) })
}

function admin(engine: Engine, asked: Extract<Asked, { app: 'admin' }>, now: number | undefined): Verdict {
  const { principal, access } = asked
  if (principal.kind !== 'user') return refused(asked, 'identity')
  const inquiry = {
    shelves: shelvesOf(engine, 'admin', principal),
    targets: [''],
    keys: principalKeys(engine, principal),
    principal,
    now,
    conditions: { access: (rule: AdminRule) => rule.access === 'write' || access === 'read' },
  }
  const rules = passing(inquiry)
  return rules.length === 0 ? denied(engine, asked, inquiry, null) : allowed(rules)
}

/** Whether the client is a workload that this pattern stands for; of actors, which no shelf is sorted by. */
function isWorkload({ spiffe_id = '' }: ClientFacts, pattern: SpiffeId): boolean {
  const id = parseSpiffeId(spiffe_id)
  return id !== undefined && isOneOf(id, pattern)
}

const isNamed = (engine: Pick<Engine, 'clients'>, client: ClientFacts): client is ClientFacts & { name: string } =>
  client.name !== null && engine.clients.has(client.name)

const gives = (rule: { scopes: ReadonlySet<string> }, wanted: readonly string[]): boolean => wanted.some((scope) => rule.scopes.has(scope))

function admits(engine: Engine, { clients }: AuthorizeRule, client: ClientFacts): boolean {
  if (!isNamed(engine, client)) return clients.unnamed
  return clients.named === 'any' || clients.named.has(client.name)
}

function admitsHost({ hosts }: RegisterRule, host: string): boolean {
  const folded = foldAscii(host)
  return hosts === null || hosts.some((allowed) => (allowed.startsWith('.') ? folded.endsWith(allowed) : folded === allowed))
}

/** Each scope with the one rule that gives it most leniently: fields of two rules never mix. */
function mostLenient<R extends { grant: Grant; scopes: ReadonlySet<string>; terms: Terms }>(rules: readonly R[]): Map<string, R> {
  const best = new Map<string, R>()
  for (const rule of rules) {
    for (const scope of rule.scopes) {
      const other = best.get(scope)
      const more = other === undefined ? 1 : compareLeniency(rule.terms, other.terms) || other.grant.index - rule.grant.index
      if (more > 0) best.set(scope, rule)
    }
  }
  return best
}

function given(scopes: string[], asked: readonly string[], best: Map<string, { grant: Grant; terms: Terms }>): Allowed {
  const rules = scopes.flatMap((scope) => best.get(scope) ?? [])
  return { ...allowed(rules, strictest(rules.map((rule) => rule.terms))), scopes, dropped: without(asked, scopes) }
}

function allowed(rules: readonly { grant: Grant }[], limits: Partial<Allowed['limits']> = {}): Allowed {
  const grants = unique(rules.map((rule) => rule.grant)).sort(
    (a, b) => Number(a.source === 'mesh') - Number(b.source === 'mesh') || a.index - b.index,
  )
  return {
    allowed: true,
    grants: indexesOf(grants, 'file'),
    mesh_grants: indexesOf(grants, 'mesh'),
    reasons: reasonsOf(grants),
    scopes: [],
    dropped: [],
    limits: { ...noLimits, ...limits },
  }
}

const indexesOf = (grants: readonly Grant[], source: Grant['source']) =>
  grants.filter((grant) => grant.source === source).map(({ index }) => index)

const without = (asked: readonly string[], granted: readonly string[]) => unique(asked.filter((scope) => !granted.includes(scope)))

const unique = <T>(items: readonly T[]): T[] => [...new Set(items)]
