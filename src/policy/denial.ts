/** A refusal told in words: why, and what is missing. The same conditions as in evaluate are asked, one by one. */
import { failing, hasExpired, type Inquiry, reached } from './inquiry.ts'
import type { Resource } from './policy.ts'
import { hasPosture, missingPosture } from './posture.ts'
import type { Engine, Grant } from './rules.ts'
import type { Selector } from './selector.ts'
import type { Asked, ClientFacts, DenialReason, Denied } from './verdict.ts'

/** More near misses than this would be a listing of the policy. */
const most = 5
/** Rules that are looked at for near misses: a refusal shall not cost more the more grants there are for others. */
const mostRules = 1000

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
  const failures = reached(inquiry).map((rule) => failing(inquiry, rule))
  const reason = reasonOf(failures)
  return { allowed: false, reason, sentence: sentence(asked, reason, resource), ...nearMisses(engine, asked, mending) }
}

/** The conditions that are about the software rather than about what it asks for. */
const aboutClient = new Set(['client', 'via', 'hosts', 'confidential', 'actor'])

function reasonOf(failures: readonly string[][]): DenialReason {
  if (failures.length === 0) return 'no_grant'
  return failures.some((names) => names.length > 0 && names.every((name) => aboutClient.has(name))) ? 'client' : 'scope'
}

/** Who asks, as people call them. What asks for itself is a tagged node or a client. */
function subjectOf(asked: Asked): string {
  const { app, principal } = asked
  if (principal?.kind === 'node') return principal.tags.join(', ')
  if (app === 'client_credentials' || app === 'introspect') return asked.client ? nameOf(asked.client) : 'This caller'
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
  exchange({ client, from, resource, scopes }, subject) {
    const name = nameOf(client)
    const act = `act for ${subject} at ${resource}`
    return {
      no_grant: `No grant lets anybody ${act}.`,
      scope: `${name} may not ${act} with a token for ${from} and the scopes that were asked for${scopes.length === 0 ? '' : ` (${scopes.join(' ')})`}.`,
      client: `${name} may not ${act}.`,
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
  for (const { inquiry, rule } of inquiries.flatMap(rulesOf)) {
    const { grant } = rule
    const missing = failing(inquiry, rule)
    if (!inquiry.keys.some((key) => grant.keys.has(key))) missing.push('src')
    if (!hasPosture(grant.posture, inquiry.principal)) missing.push('posture')
    if (hasExpired(grant, inquiry.now)) missing.push('expires')
    if (missing.length !== 1) continue
    for (const sentence of whatIsMissing(engine, asked, rule, missing[0])) {
      found.add(sentence)
      grants.add(grant)
    }
    if (found.size >= most) break
  }
  return { near: [...found].slice(0, most), reasons: reasonsOf(grants) }
}

/** The rules at the targets of an inquiry, whoever they are for. */
const rulesOf = <R extends { grant: Grant }>(inquiry: Inquiry<R>) =>
  inquiry.targets.flatMap((target) =>
    inquiry.shelves.flatMap((shelf) => (shelf.get(target)?.all.slice(0, mostRules) ?? []).map((rule) => ({ inquiry, rule }))),
  )

function whatIsMissing(
  engine: Engine,
  asked: Asked,
  rule: { grant: Grant; via?: ReadonlySet<string> },
  condition: string | undefined,
): string[] {
  const { grant, via = [] } = rule
  const subject = subjectOf(asked)
  const match = `${subject} would match ${grant.label}`
  if (condition === 'src') return grant.src.flatMap((selector) => howToMatch(engine, asked, selector).map((how) => `${match} if ${how}.`))
  if (condition === 'via') return [...via].map((way) => `${match} ${ways.get(way)}.`)
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
