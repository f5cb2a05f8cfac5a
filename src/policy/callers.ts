/** Whom a comparison of policies is about: everybody whom the files name, one for each kind of people whom they don't, and whoever was seen. */

import { readHujson } from '../hujson/read.ts'
import type { Principal } from '../oauth/principal.ts'
import { type Caller, personCalled, type Touched, taggedNode, workloadFacts, workloadOf } from './access.ts'
import { policyDocument } from './document.ts'
import type { Policy } from './policy.ts'
import { missingPosture } from './posture.ts'
import { groupsOf, principalKeys, workloadKeys } from './principal_keys.ts'
import type { Engine } from './rules.ts'
import type { Selector } from './selector.ts'

/** A caller, and the same from nodes that a posture asks for; what those get beyond the first is told apart. */
export type Compared = { caller: Caller; variants: readonly Caller[] }

const engineOf = (policy: Policy) => policy.compiled as Engine

/** @param seen principals of the audit, with what people call them */
export function callersOf(policies: readonly Policy[], seen: readonly { label: string; principal: Principal }[]): Compared[] {
  const selectors = policies.flatMap((policy) => engineOf(policy).grants.flatMap(({ src }) => src))
  const texts = (kind: Selector['kind']) => unique(selectors.flatMap((one) => (one.kind === kind ? one.text : [])))
  const members = policies.flatMap((policy) => [...engineOf(policy).groups.byLogin.keys()].map((key) => key.slice('login '.length)))
  const known = new Set(seen.flatMap(({ principal }) => (principal.kind === 'user' ? principal.login.toLowerCase() : [])))
  const logins = unique([...members, ...texts('login').map((login) => login.toLowerCase())]).filter((login) => !known.has(login))
  const ofMesh = unique(policies.flatMap((policy) => [...engineOf(policy).groups.ofMesh]))
  const stranger = personCalled('anybody-else@unknown.invalid')
  const people: Caller[] = [
    ...seen.map((one) => ({ ...one, client: null })),
    ...logins.map((login) => ({ label: login, principal: personCalled(login), client: null })),
    ...texts('domain').map((text) => ({
      label: `anybody else, ${text}`,
      principal: personCalled(`anybody-else${text.slice(1)}`),
      client: null,
    })),
    ...ofMesh.map((group) => ({ label: `anybody in ${group} (by the mesh)`, principal: { ...stranger, groups: [group] }, client: null })),
    ...texts('address').map((text) => ({
      label: `anybody calling from ${text}`,
      principal: { ...stranger, address: text.split('/')[0] ?? '' },
      client: null,
    })),
    { label: 'anybody else of the tailnet', principal: stranger, client: null },
    ...texts('tag').map((tag) => ({ label: tag, principal: taggedNode([tag]), client: null })),
    { label: 'any other tagged node', principal: taggedNode(['tag:any-other']), client: null },
  ]
  const clients = unique(policies.flatMap((policy) => [...engineOf(policy).clients]))
  const workloads = texts('spiffe').map(workloadOf)
  const postures = posturesOf(policies)
  return [
    ...people.map((caller) => ({ caller, variants: postures.map((posture) => posture(caller)) })),
    ...[...clients, ...workloads].map((client) => ({ caller: { label: client, principal: null, client }, variants: [] })),
  ]
}

const unique = <T>(items: readonly T[]): T[] => [...new Set(items)]

/** For each posture that a grant of the files asks for: the same caller from a node that has it. */
function posturesOf(policies: readonly Policy[]): ((caller: Caller) => Caller)[] {
  const found = new Map<string, (caller: Caller) => Caller>()
  for (const policy of policies) {
    const read = readHujson(policy.text)
    const parsed = read.ok ? policyDocument.safeParse(read.hujson.value) : null
    for (const [index, { posture }] of (parsed?.data?.grants ?? []).entries()) {
      if (!posture) continue
      const words = missingPosture(engineOf(policy).grants[index]?.posture ?? null, null).join(' and ')
      const { os, os_version, attributes, key_expiry, tags } = posture
      found.set(words, ({ label, principal, client }) => {
        if (!principal) return { label, principal, client }
        const node = {
          ...principal.node,
          ...(os && { os: os[0] ?? null }),
          ...(os_version !== undefined && { os_version }),
          ...(attributes && { attributes: attributes.slice(0, 1) }),
          ...(key_expiry && { key_expiry: Number.MAX_SAFE_INTEGER }),
        }
        const more = principal.kind === 'node' && tags ? { tags: [...principal.tags, ...tags.slice(0, 1)] } : {}
        return { label: `${label}, from a node ${words}`, principal: { ...principal, ...more, node }, client }
      })
    }
  }
  return [...found.values()]
}

/** Each grant of a policy, whoever it is for: equal numbers, equal grants. */
type Contents = {
  byKey: ReadonlyMap<string, readonly number[]>
  byNumber: ReadonlyMap<number, { targets: readonly string[]; claims: boolean }>
}

/**
 * Where two policies may give a caller different things, and a text that is the same for callers who get the same there: they match the
 * same grants, are in the same groups, come from nodes alike and bring the same grants along. Null where they cannot differ. A caller is
 * only given what grants give whose `src` they match, so grants that both policies have for them need not be asked about.
 */
export function likenessIn(old: Policy, next: Policy): (caller: Caller) => { touched: Touched; text: string } | null {
  const numbers = new Map<string, number>()
  const [before, after] = [contentsOf(old, numbers), contentsOf(next, numbers)]
  const resources = changedResources(old, next)
  const software = symmetric(new Set(engineOf(old).clients), new Set(engineOf(next).clients))
  const brings = engineOf(old).mesh !== null || engineOf(next).mesh !== null
  return (caller) => {
    const { principal, client } = caller
    const [was, is] = [matched(old, before, caller), matched(next, after, caller)]
    const targets = new Set(resources)
    for (const number of symmetric(was, is)) for (const target of targetsOf(number)) targets.add(target)
    const groups = [old, next].map((policy) => (principal ? [...groupsOf(engineOf(policy).groups, principal)].sort() : []))
    if (JSON.stringify(groups[0]) !== JSON.stringify(groups[1]))
      for (const number of [...was, ...is]) if (contentOf(number)?.claims) for (const target of targetsOf(number)) targets.add(target)
    const everything = brings && principal !== null && principal.capabilities.size > 0
    if (!everything && targets.size === 0 && software.size === 0) return null

    const relevant = (all: ReadonlySet<number>) =>
      [...all]
        .filter((number) => everything || software.size > 0 || targetsOf(number).some((target) => targets.has(target)))
        .sort((a, b) => a - b)
    const asked = [relevant(was), relevant(is)]
    const claims = asked.flat().some((number) => contentOf(number)?.claims)
    const { os, os_version, attributes, key_expiry } = principal?.node ?? {}
    const text = JSON.stringify([
      asked,
      [...targets].sort(),
      claims ? groups : null,
      principal === null ? client : principal.kind,
      principal?.kind === 'node' ? principal.tags : null,
      [os, os_version, attributes, typeof key_expiry],
      everything ? Object.fromEntries(principal.capabilities) : null,
    ])
    return { touched: { everything, targets, software }, text }
  }

  function contentOf(number: number) {
    return before.byNumber.get(number) ?? after.byNumber.get(number)
  }
  function targetsOf(number: number): readonly string[] {
    return contentOf(number)?.targets ?? []
  }
}

/** `numbers`: of the contents of all policies that are compared. */
function contentsOf(policy: Policy, numbers: Map<string, number>): Contents {
  const read = readHujson(policy.text)
  const parsed = read.ok ? policyDocument.safeParse(read.hujson.value) : null
  const byKey = new Map<string, number[]>()
  const byNumber = new Map<number, { targets: readonly string[]; claims: boolean }>()
  for (const [index, { src: _, reason: __, ...content }] of (parsed?.data?.grants ?? []).entries()) {
    const text = JSON.stringify(content)
    const number = numbers.get(text) ?? numbers.size
    numbers.set(text, number)
    byNumber.set(number, { targets: content.dst ?? [''], claims: content.app.claims !== undefined })
    for (const key of engineOf(policy).grants[index]?.keys ?? []) {
      const here = byKey.get(key)
      if (here) here.push(number)
      else byKey.set(key, [number])
    }
  }
  return { byKey, byNumber }
}

/** The grants whose `src` this caller matches. */
function matched(policy: Policy, { byKey }: Contents, { principal, client }: Caller): Set<number> {
  const keys = principal ? principalKeys(engineOf(policy), principal) : workloadKeys(engineOf(policy), null, workloadFacts(policy, client))
  return new Set(keys.flatMap((key) => byKey.get(key) ?? []))
}

/** Resources that only one of them has, or that differ in what decides. */
function changedResources(old: Policy, next: Policy): string[] {
  const deciding = (policy: Policy, name: string) => {
    const resource = policy.resources.get(name)
    return JSON.stringify(resource && [[...resource.scopes.keys()].sort(), [...resource.unverified_scopes].sort()])
  }
  return [...new Set([...old.resources.keys(), ...next.resources.keys()])].filter((name) => deciding(old, name) !== deciding(next, name))
}

const symmetric = <T>(a: ReadonlySet<T>, b: ReadonlySet<T>): Set<T> =>
  new Set([...[...a].filter((one) => !b.has(one)), ...[...b].filter((one) => !a.has(one))])
