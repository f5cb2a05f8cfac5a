/** Whom a comparison of policies is about: everybody whom the files name, one for each kind of people whom they don't, and whoever was seen. */
import type { Principal } from '../oauth/principal.ts'
import { type Caller, personCalled, taggedNode } from './access.ts'
import { policyDocument } from './document.ts'
import { readHujson } from './hujson.ts'
import type { Policy } from './policy.ts'
import { missingPosture } from './posture.ts'
import { groupsOf, principalKeys } from './principal_keys.ts'
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
  const postures = posturesOf(policies)
  return [
    ...people.map((caller) => ({ caller, variants: postures.map((posture) => posture(caller)) })),
    ...clients.map((client) => ({ caller: { label: client, principal: null, client }, variants: [] })),
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

/**
 * Callers with equal texts get the same from each of these policies: they match the same selectors, are in the same groups, come from nodes
 * alike and bring the same grants along. So one of them is asked for all.
 */
export function likenessIn(policies: readonly Policy[]): (caller: Caller) => string {
  const used = policies.map((policy) => new Set(engineOf(policy).grants.flatMap(({ keys }) => [...keys])))
  return ({ principal, client }) => {
    if (!principal) return JSON.stringify([client])
    const parts = policies.map((policy, i) => [
      principalKeys(engineOf(policy), principal)
        .filter((key) => used[i]?.has(key))
        .sort(),
      [...groupsOf(engineOf(policy).groups, principal)].sort(),
    ])
    const { kind, node, capabilities } = principal
    const { os, os_version, attributes, key_expiry } = node
    return JSON.stringify([
      parts,
      kind === 'node' ? principal.tags : null,
      [os, os_version, attributes, key_expiry !== null],
      Object.fromEntries(capabilities),
    ])
  }
}
