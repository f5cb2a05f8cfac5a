/** An explanation for people: who asks, what they get, from which grant, and why not more. */
import type { Principal } from '../../oauth/principal.ts'
import { type Asked, type Explanation, type Giver, groupsKnown, type Limits, type Policy, type Verdict } from '../../policy/index.ts'
import { harmless, type Paint } from '../paint.ts'
import { record } from '../record.ts'
import { nothing, shownTime, table } from '../table.ts'

const units = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
] as const

/** Seconds as a policy writes them: "15m". */
export function shownDuration(seconds: number): string {
  const unit = units.find(([, size]) => seconds % size === 0)
  return unit ? `${seconds / unit[1]}${unit[0]}` : `${seconds}s`
}

const indented = (text: string) => text.replaceAll(/^(?=.)/gm, '  ')

/** What is known of somebody, and from whom. */
export function facts(policy: Policy, principal: Principal): Record<string, unknown> {
  const { node, address } = principal
  const groups = groupsKnown(policy, principal).map(({ group, sources }) => `${group} (${sources.join(' and ')})`)
  const person = principal.kind === 'user'
  return {
    ...(person ? { login: principal.login } : { tags: principal.tags }),
    ...(person && { groups }),
    ...(person && { 'groups the mesh shows': principal.groups ?? 'unknown' }),
    ...(address !== '' && { node: [node.name, address].filter(Boolean).join(' at ') }),
    ...(node.os !== null && {
      os: `${[node.os, node.os_version].filter(Boolean).join(' ')} (self-reported: what the node says of itself)`,
    }),
    ...(node.attributes && { attributes: node.attributes }),
    ...(node.key_expiry !== null && { "node's key": 'expires' }),
  }
}

const consents = { always: 'asked each time', once: 'asked once', never: 'not asked' } as const

const noRefreshToken = 'none: the edge does not say "refresh_token"'

/** The limits of a verdict that the question is about, by what people call them. */
function limitsOf(app: Asked['app'], limits: Limits): Record<string, string> {
  const token = (seconds: number | null) => (seconds === null ? 'as the daemon is configured' : shownDuration(seconds))
  if (app === 'register')
    return {
      'unused client goes after': shownDuration(limits.client_ttl ?? 0),
      'clients at the most': String(limits.max_clients),
      metadata: limits.metadata,
    }
  if (app === 'claims') return { groups: limits.groups.join(', ') || nothing, claims: JSON.stringify(limits.claims) }
  if (app === 'client_credentials') return { 'access token': token(limits.access_token_ttl) }
  const bound = { 'bound to': limits.bind === 'user' ? 'the person' : 'the machine of the sign-in' }
  if (app === 'exchange')
    return {
      ...bound,
      'access token': `${token(limits.access_token_ttl)}, and no longer than the token that is shown`,
      'refresh token': limits.refresh_token ? token(limits.refresh_token_ttl) : noRefreshToken,
    }
  if (app !== 'authorize') return {}
  return {
    consent: consents[limits.consent],
    ...bound,
    'access token': token(limits.access_token_ttl),
    'refresh token': token(limits.refresh_token_ttl),
  }
}

const limitNames = { consent: 'consent', bind: 'bound to', access_token_ttl: 'access token', refresh_token_ttl: 'refresh token' } as const

/** Limits with the scopes that they come from, where those differ. */
function limitsWithSource({ asked, verdict, scopes, decisive }: Explanation): Record<string, string> {
  if (!verdict.allowed) return {}
  const shown = limitsOf(asked.app, verdict.limits)
  const given = scopes.filter((one) => one.verdict.allowed).length
  for (const { limit, scopes: from } of decisive) {
    const name = limitNames[limit]
    if (shown[name] === noRefreshToken) continue
    if (from.length > 0 && from.length < given && shown[name] !== undefined) shown[name] += ` (the strictest of these: ${from.join(', ')})`
  }
  return shown
}

const placed = (file: string, { grant, place }: Giver) => (place ? `${grant}, ${file}:${place.line}:${place.column}` : grant)

const refusal = (verdict: Verdict) => (verdict.allowed ? '' : [verdict.sentence, ...verdict.near].join(' '))

const because = ({ because, expires }: Giver) =>
  [because || 'for this caller', ...(expires === null ? [] : [`until ${shownTime(expires)}`])].join(', ')

/** One answer in full; `file`: what positions are of. */
export function answerInWords(explanation: Explanation, file: string, columns: number | undefined): string {
  const { verdict, scopes, givers, near } = explanation
  const parts: string[] = []
  if (scopes.length > 0 && verdict.allowed)
    parts.push(
      table(
        ['SCOPE', '', 'BY, OR WHY NOT'],
        scopes.map((one) => [
          one.scope,
          one.verdict.allowed ? 'given' : 'denied',
          one.givers.map((giver) => placed(file, giver)).join('; ') || refusal(one.verdict),
        ]),
        columns === undefined ? undefined : columns - 2,
      ),
    )
  if (givers.length > 0)
    parts.push(
      givers
        .map((giver) => `${placed(file, giver)}: ${because(giver)}.${giver.reason === null ? '' : `\n  It says: ${giver.reason}`}\n`)
        .join(''),
    )
  const limits = limitsWithSource(explanation)
  if (Object.keys(limits).length > 0) parts.push(record(limits))
  if (!verdict.allowed) {
    const { sentence, reasons } = verdict
    const missed = near.map(({ sentence, place }) => (place ? `${sentence} (${file}:${place.line}:${place.column})` : sentence))
    parts.push([sentence, ...missed, ...reasons.map((reason) => `The grant says: ${reason}`)].join('\n').concat('\n'))
  }
  return harmless(parts.map(indented).join('\n'))
}

/** Allowed or denied, and for which of several. */
export function heading({ verdict }: Explanation, labels: readonly string[], paint: Paint): string {
  const word = !verdict.allowed ? 'Denied' : verdict.dropped.length > 0 ? 'Allowed in part' : 'Allowed'
  const whom = labels.length === 0 ? '' : ` ${labels.length > 1 ? `${labels.slice(0, -1).join(', ')} and ${labels.at(-1)}` : labels[0]}`
  return `${paint(verdict.allowed ? 'green' : 'red', word)}${harmless(whom)}${verdict.allowed ? '' : ` (${verdict.reason})`}:\n`
}
