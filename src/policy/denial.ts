/** A refusal told in words: why, and what is missing. The same conditions as in evaluate are asked, one by one. */
import { hasExpired, type Inquiry, reached } from './inquiry.ts'
import type { Resource } from './policy.ts'
import { hasPosture, missingPosture } from './posture.ts'
import type { Engine, Grant } from './rules.ts'
import type { Selector } from './selector.ts'
import type { Asked, ClientFacts, DenialReason, Denied } from './verdict.ts'

/** More near misses than this would be a listing of the policy. */
const most = 5
/** Rules that are looked at for near misses: a refusal shall not cost more the more grants there are for others. */
const mostRules = 300

/** A refusal that no grant could have turned. */
export const refused = (asked: Asked, reason: DenialReason): Denied => ({
  allowed: false,
  reason,
  sentence: sentence(asked, reason, null),
  near: [],
  reasons: [],
})

/** What grants say of themselves, each once. */
export const reasonsOf = (grants: Iterable<Grant>): string[] => [...new Set([...grants].flatMap(({ reason }) => reason ?? []))]

/** A refusal because no rule holds in all its conditions. `mending`: where one more rule that holds would make it an allow. */
export function denied<R extends { grant: Grant }>(
  engine: Engine,
  asked: Asked,
  inquiry: Inquiry<R>,
  resource: Resource | null,
  mending: readonly Inquiry<R>[] = [inquiry],
): Denied {
  const reason = reasonOf(inquiry)
  return { allowed: false, reason, sentence: sentence(asked, reason, resource), ...nearMisses(engine, asked, mending) }
}

/** What a refusal is about, and the conditions of which it is: in the order in which they are told. All others are about what is asked for. */
const about: readonly [DenialReason, ReadonlySet<string>][] = [
  ['client', new Set(['client', 'via', 'hosts', 'confidential', 'actor', 'impersonate'])],
  ['from', new Set(['from'])],
  ['depth', new Set(['depth'])],
  ['subject', new Set(['subject'])],
]

/** Of an exchange: what no rule has is told before the scopes, which only mean something to whoever may exchange this token. */
const exchangeOnly = ['actor', 'from', 'depth', 'subject']

function reasonOf<R extends { grant: Grant }>(inquiry: Inquiry<R>): DenialReason {
  const rules = reached(inquiry)
  if (rules.length === 0) return 'no_grant'
  const conditions = Object.entries(inquiry.conditions)
  const lacking = rules.map((rule) => conditions.flatMap(([name, holds]) => (holds(rule) ? [] : name)))
  const alone = about.find(([, names]) => lacking.some((missing) => missing.length > 0 && missing.every((name) => names.has(name))))
  const always = exchangeOnly.find((name) => lacking.every((missing) => missing.includes(name)))
  return alone?.[0] ?? about.find(([, names]) => always !== undefined && names.has(always))?.[0] ?? 'scope'
}

/** Who asks, as people call them. What asks for itself is a tagged node or a client. */
function subjectOf(asked: Asked): string {
  const { app, principal } = asked
  if (principal?.kind === 'node') return principal.tags.join(', ')
  if (app === 'funnel') return nameOf(asked.client)
  if (app === 'client_credentials' || app === 'introspect') return asked.client ? nameOf(asked.client) : 'This caller'
  if (app === 'exchange' && !principal) return asked.subject ? nameOf(asked.subject) : 'This caller'
  return principal?.login ?? 'This caller'
}

const nameOf = (client: ClientFacts): string => client.name ?? client.client_id

type Words = { no_grant: string } & { [reason in DenialReason]?: string }

const words: { [A in Asked['app']]: (asked: Extract<Asked, { app: A }>, subject: string, resource: Resource | null) => Words } = {
  authorize({ client, resource: target, scopes }, subject, resource) {
    const name = nameOf(client)
    const use = target === null ? `sign in to ${name}` : `use ${target}`
    const unverified = client.name === null && resource && !scopes.some((scope) => resource.unverified_scopes.has(scope))
    const some = scopes.length > 0 && (resource?.unverified_scopes.size ?? 0) > 0
    return {
      no_grant: `${subject} may not ${use}.`,
      scope:
        scopes.length === 0
          ? 'Neither a scope nor a resource was asked for.'
          : `${subject} may ${use}, but not with the scope ${scopes.join(' ')}.`,
      client: unverified
        ? `${target}${some ? ` with the scope ${scopes.join(' ')}` : ''} is for software that the policy names, and ${name} is not.`
        : `${subject} may ${use}, but not with ${name}.`,
      target: `The policy names no ${target}.`,
      identity: `A tagged node (${subject}) is no person, so nobody can sign in there.`,
    }
  },
  register: (_, subject) => ({
    no_grant: `${subject} may not register software here.`,
    client: `${subject} may register software here, but not software like this.`,
  }),
  exchange({ client, other, from, resource, scopes, depth, impersonate }, subject) {
    const name = other ? `${nameOf(other)} with ${nameOf(client)}` : nameOf(client)
    const act = `${impersonate ? 'pass for' : 'act for'} ${subject} at ${resource}`
    return {
      no_grant: `No grant lets anybody ${act}.`,
      scope: `${name} may not ${act} with a token for ${from} and the scopes that were asked for${scopes.length === 0 ? '' : ` (${scopes.join(' ')})`}.`,
      client: `${name} may not ${act}.`,
      from: `${name} may ${act}, but not with a token for ${from}.`,
      depth: `${name} may ${act}, but not at the end of a chain of ${depth} exchanges.`,
      subject: `${name} may ${act} no more than ${subject} may there, and that is nothing.`,
      target: `The policy names no ${resource}.`,
    }
  },
  client_credentials: ({ resource, scopes }, subject) => ({
    no_grant: `${subject} may not get tokens of its own for ${resource}.`,
    scope: `${subject} may get tokens of its own for ${resource}, but not with the scope ${scopes.join(' ')}.`,
    target: `The policy names no ${resource}.`,
  }),
  introspect: ({ resource }, subject) => ({
    no_grant: `${subject} may not look at tokens for ${resource}.`,
    target: `The policy names no ${resource}.`,
  }),
  funnel: (_, subject) => ({ no_grant: `${subject} may not come from the public internet, through Funnel.` }),
  claims: ({ client, resource }, subject) => ({
    no_grant: `No grant lets anything out about ${subject} to ${nameOf(client)}${resource === null ? '' : ` or ${resource}`}.`,
    target: `The policy names no ${resource}.`,
  }),
  admin: (_, subject) => ({
    no_grant: `${subject} is not an admin here.`,
    scope: `${subject} may look, but not change anything here.`,
    identity: `A tagged node (${subject}) is no person, so it can't be an admin here.`,
  }),
}

function sentence(asked: Asked, reason: DenialReason, resource: Resource | null): string {
  const said = (words[asked.app] as (asked: Asked, subject: string, resource: Resource | null) => Words)(asked, subjectOf(asked), resource)
  return said[reason] ?? said.no_grant
}

/** Rules that one condition alone keeps from allowing this, each as a sentence; grants are counted from one. */
function nearMisses<R extends { grant: Grant }>(
  engine: Engine,
  asked: Asked,
  inquiries: readonly Inquiry<R>[],
): Pick<Denied, 'near' | 'reasons'> {
  const found = new Set<string>()
  const grants = new Set<Grant>()
  for (const inquiry of inquiries) {
    const conditions = conditionsOf(inquiry)
    for (const rule of rulesAt(inquiry)) {
      const missing = onlyMissing(conditions, rule)
      if (missing === null) continue
      for (const sentence of whatIsMissing(engine, asked, rule, missing)) {
        found.add(sentence)
        grants.add(rule.grant)
      }
      if (found.size >= most) return { near: [...found].slice(0, most), reasons: reasonsOf(grants) }
    }
  }
  return { near: [...found], reasons: reasonsOf(grants) }
}

/** Rules at the targets of an inquiry: first those for the caller, then others, as many as are looked at in all. */
function* rulesAt<R>({ shelves, targets, keys }: Inquiry<R>): Generator<R> {
  const places = targets.flatMap((target) => shelves.flatMap((shelf) => shelf.get(target) ?? []))
  let left = mostRules
  for (const { byKey } of places) for (const key of keys) for (const rule of byKey.get(key) ?? []) if (left-- > 0) yield rule
  for (const { all } of places)
    for (const rule of all) {
      if (left-- <= 0) return
      yield rule
    }
}

/** What a person can do something about. */
const mendable = new Set(['via', 'hosts', 'confidential', 'posture', 'expires', 'src'])

type Condition<R> = [name: string, holds: (rule: R) => boolean]

/** All conditions of a rule, those of its grant last: `src` is what most rules lack. */
function conditionsOf<R extends { grant: Grant }>({ conditions, keys, principal, now }: Inquiry<R>): Condition<R>[] {
  const own = new Set(keys)
  return [
    ...Object.entries(conditions),
    ['posture', ({ grant }) => hasPosture(grant.posture, principal)],
    ['expires', ({ grant }) => !hasExpired(grant, now)],
    ['src', ({ grant }) => !own.isDisjointFrom(grant.keys)],
  ]
}

/** The one condition that does not hold; null where that is none, several, or one that nobody can mend. */
function onlyMissing<R>(conditions: readonly Condition<R>[], rule: R): string | null {
  let missing: string | null = null
  for (const [name, holds] of conditions) {
    if (holds(rule)) continue
    if (missing !== null || !mendable.has(name)) return null
    missing = name
  }
  return missing
}

function whatIsMissing(
  engine: Engine,
  asked: Asked,
  rule: { grant: Grant; via?: ReadonlySet<string>; hosts?: readonly string[] | null },
  condition: string,
): string[] {
  const { grant, via = [], hosts } = rule
  const subject = subjectOf(asked)
  const match = `${subject} would match ${grant.label}`
  if (condition === 'src') return grant.src.flatMap((selector) => howToMatch(engine, asked, selector).map((how) => `${match} if ${how}.`))
  if (condition === 'via') return [...via].map((way) => `${match} ${ways.get(way)}.`)
  if (condition === 'hosts') {
    const shown = (hosts ?? []).slice(0, most).map((host) => host.replace(/^\./, '*.'))
    const more = (hosts ?? []).length > most ? ', or others that it names' : ''
    return [
      `${match} with ${asked.app === 'register' && asked.via === 'cimd' ? 'document and ' : ''}redirect URIs only at ${shown.join(' or ')}${more}.`,
    ]
  }
  if (condition === 'confidential') return [`${match} with software that has no secret.`]
  if (condition === 'posture') return [`${match} from a node ${missingPosture(grant.posture, asked.principal).join(' and ')}.`]
  if (condition === 'expires') return [`${grant.label.charAt(0).toUpperCase()}${grant.label.slice(1)} has expired.`]
  return []
}

const ways = new Map([
  ['dcr', 'by registering the software (RFC 7591)'],
  ['cimd', 'with software that publishes a metadata document'],
  ['initial_access_token', 'with an initial access token, which an admin can make'],
])

/** Only what tells nothing about other people: no login names. */
function howToMatch({ groups }: Engine, { principal }: Asked, { kind, text }: Selector): string[] {
  const isUser = principal?.kind === 'user'
  if (kind === 'group' && isUser)
    return [
      `in ${text}${groups.ofMesh.has(text) ? ` (which the mesh would have to say${principal.groups === null ? '; it shows no groups here' : ''})` : ''}`,
    ]
  if (kind === 'domain' && isUser) return [`signed in with a name that ends in ${text.slice(1)}`]
  if (kind === 'tag' && principal?.kind === 'node') return [`tagged ${text}`]
  return kind === 'address' && principal ? [`calling from ${text}`] : []
}
