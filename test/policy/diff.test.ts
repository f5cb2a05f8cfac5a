/** Comparing policies in terms of people: what it says is what evaluate says, of everybody. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Principal } from '../../src/oauth/principal.ts'
import { type Asked, type Change, callersOf, diff, evaluate, identityScopes, type Policy, type Verdict } from '../../src/policy/index.ts'
import { ci, documents, grant, now, type PolicyDocument, persons, policyOf, software } from '../support/random_policy.ts'

const seen = [...persons, ci].map((principal: Principal) => ({
  label: principal.kind === 'user' ? `${principal.login} seen` : 'ci seen',
  principal,
}))

const changes = (old: Policy, next: Policy) => diff(old, next, callersOf([old, next], seen), now)

/** A policy, and another one that somebody may have made of it. */
const edited: fc.Arbitrary<[PolicyDocument, PolicyDocument]> = documents().chain((document) =>
  fc
    .oneof(
      fc.tuple(grant, fc.nat(6)).map(([added, at]) => ({ ...document, grants: document.grants.toSpliced(at, 0, added) })),
      fc.nat(6).map((at) => ({ ...document, grants: document.grants.toSpliced(at, 1) })),
      fc.tuple(grant, fc.nat(6)).map(([other, at]) => ({ ...document, grants: document.grants.toSpliced(at, 1, other) })),
      documents().map(({ groups }) => ({ ...document, groups })),
      documents().map(({ resources }) => ({ ...document, resources })),
      fc.constant({ ...document, clients: { ...document.clients, 'client:c': {} } }),
      documents(),
    )
    .map((next) => [document, next] as [PolicyDocument, PolicyDocument]),
)

test('diff: of a policy and itself there is nothing to say, whatever the order of its grants', () => {
  fc.assert(
    fc.property(documents(), (document) => {
      const policy = policyOf(document)
      assert.deepEqual(changes(policy, policy), [])
      assert.deepEqual(changes(policy, policyOf({ ...document, grants: document.grants.toReversed() })), [])
    }),
    { numRuns: 300 },
  )
})

type Question = {
  asked: Asked
  says: Pick<Change, 'app' | 'target'> & { item: string; by: string | null }
  /** Where being allowed is not enough. */
  holds?: (verdict: Verdict) => boolean
}

/** The third is in some of the policies only. */
const all = [...software, { client_id: 'client:c', name: 'client:c' }]

/** Every question that one person can be asked, each scope alone: without cleverness, and without any code of diff. */
function* questions(principal: Principal): Generator<Question> {
  const resources = { 'resource:r': ['r1', 'r2', 'both'], 'resource:s': ['s1', 'both'] }
  const name = (client: { name: string | null }) => client.name ?? 'autogroup:registered'
  for (const [resource, scopes] of Object.entries(resources)) {
    for (const item of scopes) {
      for (const client of principal.kind === 'user' ? all : [])
        yield {
          asked: { app: 'authorize', principal, client, resource, scopes: [item] },
          says: { app: 'authorize', target: resource, item, by: name(client) },
        }
      if (principal.kind === 'node')
        yield {
          asked: { app: 'client_credentials', principal, client: { client_id: 'x', name: null }, resource, scopes: [item] },
          says: { app: 'client_credentials', target: resource, item, by: null },
        }
    }
    if (principal.kind === 'node')
      yield {
        asked: { app: 'introspect', principal, client: { client_id: 'x', name: null }, resource },
        says: { app: 'introspect', target: resource, item: 'tokens', by: null },
      }
  }
  for (const client of principal.kind === 'user' ? all : [])
    for (const item of identityScopes)
      yield {
        asked: { app: 'authorize', principal, client, resource: null, scopes: [item] },
        says: { app: 'authorize', target: name(client), item, by: null },
      }
  for (const client of all)
    for (const item of ['group:a', 'group:b', 'group:m'])
      yield {
        asked: { app: 'claims', principal, client, resource: null },
        says: { app: 'claims', target: name(client), item, by: null },
        holds: (verdict) => verdict.allowed && verdict.limits.groups.includes(item),
      }
  const host = 'any-other-host.invalid'
  for (const via of ['dcr', 'cimd'] as const)
    for (const confidential of [false, true])
      yield {
        asked: { app: 'register', principal, via, hosts: [host], confidential },
        says: { app: 'register', target: 'any other host', item: `${via}${confidential ? ', confidential' : ''}`, by: null },
      }
  for (const actor of ['client:a', 'client:b', 'tag:gw'])
    for (const held of resources['resource:s'])
      for (const item of resources['resource:r'])
        yield {
          asked: {
            app: 'exchange',
            principal,
            client: { client_id: actor, name: actor.startsWith('client:') ? actor : null },
            actor: actor === 'tag:gw' ? { ...ci, tags: [actor] } : null,
            from: 'resource:s',
            held: [held],
            resource: 'resource:r',
            scopes: [item],
            depth: 1,
            impersonate: false,
          },
          says: { app: 'exchange', target: 'resource:r', item, by: `${actor} from resource:s (${held})` },
        }
  for (const access of ['read', 'write'] as const)
    if (principal.kind === 'user')
      yield { asked: { app: 'admin', principal, access }, says: { app: 'admin', target: '', item: access, by: null } }
}

test('diff agrees with brute force over all principals: what it says somebody gains or loses is what evaluate gives or takes, and nothing else', () => {
  let told = 0
  fc.assert(
    fc.property(edited, ([before, after]) => {
      const [old, next] = [policyOf(before), policyOf(after)]
      const said = changes(old, next)
      const kindOf = (who: string, { app, target, item, by }: Question['says']) =>
        said.find(
          (change) =>
            change.kind !== 'changed' &&
            change.who.includes(who) &&
            change.app === app &&
            change.target === target &&
            change.items.includes(item) &&
            (by === null ? change.by.length === 0 : change.by.includes(by) || change.by.includes('*')),
        )?.kind
      for (const { label, principal } of seen) {
        for (const { asked, says, holds = (verdict: Verdict) => verdict.allowed } of questions(principal)) {
          const client = 'client' in asked ? (asked.client?.name ?? null) : null
          if (client !== null && !old.clients.has(client) && !next.clients.has(client)) continue
          const answer = (policy: Policy) => (client === null || policy.clients.has(client)) && holds(evaluate(policy, asked, now))
          const [was, is] = [answer(old), answer(next)]
          const expected = was === is ? undefined : is ? 'gained' : 'lost'
          assert.equal(kindOf(label, says), expected, JSON.stringify([label, says]))
          told += Number(was !== is)
        }
      }
    }),
    { numRuns: 200 },
  )
  assert.ok(told > 300, `${told} changes`)
})

test('diff: what one direction gains the other loses', () => {
  fc.assert(
    fc.property(edited, ([before, after]) => {
      const [old, next] = [policyOf(before), policyOf(after)]
      const turned = { gained: 'lost', lost: 'gained', changed: 'changed' } as const
      const plain = (all: Change[]) => all.map((change) => JSON.stringify({ ...change, who: change.who.toSorted() })).sort()
      const back = changes(next, old).map((change) => ({ ...change, kind: turned[change.kind], from: change.to, to: change.from }))
      assert.deepEqual(plain(back), plain(changes(old, next)))
    }),
    { numRuns: 150 },
  )
})

test('diff: with 20,000 people in 1,000 groups, only those are asked about for whom something may differ', () => {
  const scopes = ['read', 'write']
  const names = Array.from({ length: 1000 }, (_, i) => `group:g${i}`)
  const document = {
    groups: Object.fromEntries(names.map((name, i) => [name, Array.from({ length: 40 }, (_, k) => `u${(i * 20 + k) % 20_000}@x`)])),
    resources: Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`resource:r${i}`, { uri: `https://r${i}`, scopes }])),
    clients: { 'client:a': {}, 'client:b': {} },
    grants: names.map((name, i) => ({ src: [name], dst: [`resource:r${i % 10}`], app: { authorize: [{ scopes: ['read'] }] } })),
  }
  const [old, next] = [policyOf(document), policyOf({ ...document, grants: document.grants.toSpliced(7, 1) })]
  const began = performance.now()
  const [change, ...others] = diff(old, next, callersOf([old, next], []), now)
  assert.ok(performance.now() - began < 10_000)
  assert.deepEqual([others, change?.who.length, change?.kind, change?.target], [[], 40, 'lost', 'resource:r7'])
})
