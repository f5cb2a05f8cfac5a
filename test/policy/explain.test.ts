/** Explanations keep what they promise, on policies that nobody wrote. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Principal } from '../../src/oauth/principal.ts'
import { type Asked, evaluate, explain } from '../../src/policy/index.ts'
import { asked, ci, now, policyOf, registrations } from '../support/random_policy.ts'

type Followed = { asked: Asked; now: number }

/** Sentences of near misses, and what whoever follows them does. */
const ways: [RegExp, (principal: Principal, found: string) => Principal][] = [
  [
    / if in (group:\S+?)(?: \(.*\))?\.$/,
    (principal, group) => ({ ...principal, groups: [...(('groups' in principal && principal.groups) || []), group] }) as Principal,
  ],
  [
    / if signed in with a name that ends in (@\S+)\.$/,
    (principal, end) => ({ ...principal, login: `${'login' in principal ? principal.login.split('@')[0] : ''}${end}` }) as Principal,
  ],
  [
    / if tagged (tag:\S+)\.$/,
    (principal, tag) => ({ ...principal, tags: [...('tags' in principal ? principal.tags : []), tag] }) as Principal,
  ],
  [/ if calling from ([\d.]+)\S*\.$/, (principal, address) => ({ ...principal, address })],
  [/ from a node (.*)\.$/, (principal, wants) => ({ ...principal, node: { ...principal.node, ...nodeThat(wants) } })],
]

/** What a node is of which a sentence says: "with os linux (self-reported)", "whose key expires". */
function nodeThat(wants: string) {
  const found = (pattern: RegExp) => pattern.exec(wants)?.[1]
  const [os, os_version, attribute] = [found(/with os (\S+)/), found(/with os_version (\S+)/), found(/with the attribute (\S+)/)]
  return {
    ...(os && { os }),
    ...(os_version && { os_version }),
    ...(attribute && { attributes: [attribute] }),
    ...(wants.includes('whose key expires') && { key_expiry: now + 1 }),
  }
}

/** The same of how software is brought. */
const vias: [RegExp, string][] = [
  [/ by registering the software /, 'dcr'],
  [/ publishes a metadata document\.$/, 'cimd'],
  [/ with an initial access token, /, 'initial_access_token'],
]

/** And of what it is. */
const others: [RegExp, (found: string) => object][] = [
  [/ redirect URIs only at (\S+?)(?: or .*)?\.$/, (host) => ({ hosts: [host.replace('*', 'any')] })],
  [/ with software that has (no secret)\.$/, () => ({ confidential: false })],
]

/** Where a client of the file runs that asks for itself. */
const server: Principal = { ...ci, tags: ['tag:server'] }

function follow(asked: Asked, sentence: string): Followed {
  if (/^Grant \d+ has expired\.$/.test(sentence)) return { asked, now: 0 }
  for (const [pattern, change] of ways) {
    const found = pattern.exec(sentence)?.[1]
    if (found !== undefined) return { asked: { ...asked, principal: change(asked.principal ?? server, found) } as Asked, now }
  }
  for (const [pattern, change] of others) {
    const found = pattern.exec(sentence)?.[1]
    if (found !== undefined) return { asked: { ...asked, ...change(found) } as Asked, now }
  }
  for (const [pattern, via] of vias) if (pattern.test(sentence)) return { asked: { ...asked, via } as Asked, now }
  return assert.fail(sentence)
}

const patterns = [...ways, ...others, ...vias].map(([pattern]) => pattern)

/** Where two grants are needed, and the new fact stands in the place of an old one, what the old one gave may be lost by it. */
const trades = (asked: Asked, sentence: string): boolean =>
  (asked.app === 'exchange' || (asked.app === 'authorize' && asked.scopes.some((scope) => ['openid', 'email'].includes(scope)))) &&
  / with os | name that ends | calling from /.test(sentence)

test('a near miss, when it is followed, turns the denial into an allow', () => {
  let followed = 0
  const kinds = new Set<RegExp>()
  fc.assert(
    fc.property(fc.oneof(asked(), asked(), registrations), ([document, asked]) => {
      const policy = policyOf(document)
      const { verdict } = explain(policy, asked, now)
      if (verdict.allowed) return
      for (const sentence of verdict.near) {
        const changed = follow(asked, sentence)
        const { allowed } = evaluate(policy, changed.asked, changed.now)
        assert.ok(
          allowed || trades(asked, sentence),
          `${sentence}
${JSON.stringify(document)}
${JSON.stringify(asked)}`,
        )
        followed++
        for (const pattern of patterns) if (pattern.test(sentence)) kinds.add(pattern)
      }
    }),
    { numRuns: 5000 },
  )
  assert.ok(followed > 200, `${followed} near misses`)
  assert.ok(kinds.size >= patterns.length - 2, 'nearly each kind was met')
})

test('explain is evaluate: the same verdict, and of the whole exactly the scopes that are given alone', () => {
  fc.assert(
    fc.property(asked(), ([document, asked]) => {
      const policy = policyOf(document)
      const { verdict, scopes, givers, decisive } = explain(policy, asked, now)
      assert.deepEqual(verdict, evaluate(policy, asked, now))
      if (!verdict.allowed) return assert.deepEqual([givers, decisive], [[], []])
      assert.deepEqual(givers.length, verdict.grants.length)
      if (!('scopes' in asked)) return
      const alone = scopes.filter((one) => one.verdict.allowed).map(({ scope }) => scope)
      assert.deepEqual(alone.sort(), [...verdict.scopes].sort())
      for (const { limit, value, scopes: from } of decisive) {
        assert.equal(verdict.limits[limit], value)
        if (asked.app !== 'exchange') assert.ok(from.length > 0, `${limit} comes from a scope`)
      }
    }),
    { numRuns: 1000 },
  )
})
