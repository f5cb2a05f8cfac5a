/** An answer with its reasons: `evaluate`, asked of the whole and of each scope alone. Nothing is decided here. */

import type { Place } from '../hujson/read.ts'
import type { Principal } from '../oauth/principal.ts'
import { evaluate } from './evaluate.ts'
import type { Terms } from './limits.ts'
import type { Policy } from './policy.ts'
import { groupSources, groupsOf } from './principal_keys.ts'
import { type Giver, giversOf, placeOfGrant } from './provenance.ts'
import type { Engine } from './rules.ts'
import type { Asked, Verdict } from './verdict.ts'

export type Explanation = {
  asked: Asked
  verdict: Verdict
  /** Each scope asked, or where none was, each that could have been given: alone, and who gives it. */
  scopes: { scope: string; verdict: Verdict; givers: Giver[] }[]
  /** Of all that gave something. */
  givers: Giver[]
  /** Of a denial: the near misses, and where their grants stand. */
  near: { sentence: string; place: Place | null }[]
  /** What the whole takes of its scopes: the strictest of each limit, and the scopes that it comes from. */
  decisive: { limit: keyof Terms; value: string | number | null; scopes: string[] }[]
}

const terms: readonly (keyof Terms)[] = ['consent', 'bind', 'access_token_ttl', 'refresh_token_ttl']
/** What has such terms; all other capabilities have limits of their own kind. */
const withTerms = new Set<Asked['app']>(['authorize', 'exchange', 'client_credentials'])

/** @param now seconds since the epoch; without it, a grant that expires gives nothing */
export function explain(policy: Policy, asked: Asked, now?: number): Explanation {
  const verdict = evaluate(policy, asked, now)
  const scopes = scopesOf(policy, asked).map((scope) => {
    const one = { ...asked, scopes: [scope] } as Asked
    const alone = evaluate(policy, one, now)
    return { scope, verdict: alone, givers: alone.allowed ? giversOf(policy, one, alone) : [] }
  })
  const decisive = terms.flatMap((limit) => {
    if (!verdict.allowed || !withTerms.has(asked.app)) return []
    const value = verdict.limits[limit]
    const from = scopes.filter((one) => one.verdict.allowed && one.verdict.limits[limit] === value)
    return [{ limit, value, scopes: from.map(({ scope }) => scope) }]
  })
  const near = verdict.allowed ? [] : verdict.near.map((sentence) => ({ sentence, place: placeNamed(policy, sentence) }))
  return { asked, verdict, scopes, near, givers: verdict.allowed ? giversOf(policy, asked, verdict) : [], decisive }
}

/** Where the grant stands that a near miss names. */
function placeNamed(policy: Policy, sentence: string): Place | null {
  const number = /\bgrant (\d+)\b/i.exec(sentence)?.[1]
  return number === undefined ? null : placeOfGrant(policy, Number(number) - 1)
}

function scopesOf({ resources }: Policy, asked: Asked): string[] {
  if (!('scopes' in asked)) return []
  const all = asked.scopes.length > 0 ? asked.scopes : (resources.get(asked.resource ?? '')?.scopes.keys() ?? [])
  return [...new Set(all)]
}

/** The groups of a policy that somebody is in, and who says so. */
export function groupsKnown(policy: Policy, principal: Principal): { group: string; sources: string[] }[] {
  const { groups } = policy.compiled as Engine
  return [...groupsOf(groups, principal)].sort().map((group) => ({ group, sources: groupSources(groups, principal, group) }))
}

/** What a policy looks at besides names, so what would have to be known of somebody. */
export function whatMatters(policy: Policy): string[] {
  const { groups, prefixes, grants, mesh } = policy.compiled as Engine
  return [
    ...(groups.ofMesh.size > 0 ? [`the groups that only the mesh knows (${[...groups.ofMesh].join(', ')})`] : []),
    ...(prefixes.length > 0 ? ['the address'] : []),
    ...(grants.some(({ posture }) => posture !== null) ? ['what whois says of the node (posture)'] : []),
    ...(mesh === null ? [] : [`what the tailnet policy sends along (${mesh.capability})`]),
  ]
}

/** What an author of tailnet policies may read otherwise in this one. */
export const differsFromTailnet = (policy: Policy): string[] =>
  (policy.compiled as Engine).grants.some(({ src }) => src.some(({ text }) => text === '*'))
    ? ['"*" is the people of this tailnet here: never tagged nodes, nor whoever is shared in, unlike in a tailnet policy.']
    : []

/** What makes two answers the same to a person: outcome, who gives what and on which terms; or why not. */
const gist = ({ verdict, scopes }: Explanation): string => {
  const of = (one: Verdict) => (one.allowed ? { ...one, reasons: [] } : [one.reason])
  return JSON.stringify([of(verdict), scopes.map(({ scope, verdict }) => [scope, of(verdict)])])
}

/** Explanations of like questions that come to the same, together; what is allowed first. */
export function alike(all: readonly Explanation[]): [Explanation, ...Explanation[]][] {
  const found = new Map<string, [Explanation, ...Explanation[]]>()
  for (const one of all) {
    const key = gist(one)
    const same = found.get(key)
    if (same) same.push(one)
    else found.set(key, [one])
  }
  return [...found.values()].sort(([a], [b]) => Number(b.verdict.allowed) - Number(a.verdict.allowed))
}
