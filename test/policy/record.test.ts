/** What the audit keeps of a question is enough to ask it again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Principal } from '../../src/oauth/principal.ts'
import { type Asked, askedAgain, evaluate, identityText, type Policy, principalFrom, questionText } from '../../src/policy/index.ts'
import { asked, ci, now, persons, policyOf } from '../support/random_policy.ts'

const uriOf = (policy: Policy, asked: Asked) =>
  'resource' in asked && asked.resource ? (policy.resources.get(asked.resource)?.uri ?? null) : null

/** As it comes out of the audit: texts, and nothing else. */
const recorded = (policy: Policy, asked: Asked) => ({
  question: questionText(asked),
  resource: uriOf(policy, asked),
  principal: asked.principal && principalFrom(identityText(asked.principal as Principal)),
})

test('a recorded question, asked again of the same policy, is the same question', () => {
  fc.assert(
    fc.property(asked(), ([document, asked]) => {
      const policy = policyOf(document)
      const again = askedAgain(policy, recorded(policy, asked))
      assert.deepEqual(again, { ...asked }) // fast-check makes some without a prototype
      assert.deepEqual(evaluate(policy, again, now), evaluate(policy, asked, now))
    }),
    { numRuns: 500 },
  )
})

test('another policy is asked by the names that it has for the same client and the same resource', () => {
  const before = policyOf({
    resources: { 'resource:wiki': { uri: 'https://wiki/mcp', scopes: ['read'] } },
    clients: { 'client:a': { client_id: 'a' } },
  })
  const after = policyOf({
    resources: { 'resource:pages': { uri: 'https://wiki/mcp/', scopes: ['read'] } },
    clients: { 'client:tool': { client_id: 'dcr_1' } },
  })
  const [alice] = persons as [Principal]
  const ask = (client_id: string, name: string | null) =>
    askedAgain(
      after,
      recorded(before, {
        app: 'authorize',
        principal: alice as never,
        client: { client_id, name },
        resource: 'resource:wiki',
        scopes: ['read'],
      }),
    )
  const [known, gone] = [ask('dcr_1', null), ask('a', 'client:a')]
  assert.ok(known.app === 'authorize' && gone.app === 'authorize')
  assert.deepEqual([known.client, known.resource], [{ client_id: 'dcr_1', name: 'client:tool' }, 'resource:pages'])
  assert.equal(gone.client.name, null)

  const other = policyOf({ resources: { 'resource:wiki': { uri: 'https://other/mcp', scopes: ['read'] } } })
  const lost = askedAgain(other, { question: questionText(known), resource: 'https://wiki/mcp', principal: alice })
  const verdict = evaluate(other, lost, now)
  assert.ok(!verdict.allowed)
  assert.deepEqual([verdict.reason, verdict.sentence], ['target', 'The policy names no https://wiki/mcp.'])
})

test('of an exchange, whom the token speaks for, who acts and whose ID token it was have the names of the other policy too', () => {
  const clients = (prefix: string) => Object.fromEntries(['a', 'b', 'c'].map((id) => [`client:${prefix}${id}`, { client_id: id }]))
  const resources = { 'resource:wiki': { uri: 'https://wiki/mcp', scopes: ['read'] } }
  const before = policyOf({ resources, clients: clients('') })
  const after = policyOf({ resources, clients: clients('new-') })
  const called = (id: string, name: string) => ({ client_id: id, name })
  const again = askedAgain(
    after,
    recorded(before, {
      app: 'exchange',
      principal: null,
      subject: called('a', 'client:a'),
      client: called('b', 'client:b'),
      actor: null,
      other: called('c', 'client:c'),
      other_actor: ci as never,
      from: 'client:b',
      held: ['openid'],
      resource: 'resource:wiki',
      scopes: ['read'],
      depth: 1,
      impersonate: false,
    }),
  )
  assert.ok(again.app === 'exchange')
  const names = [again.subject?.name, again.client.name, again.other?.name, again.from]
  assert.deepEqual(names, ['client:new-a', 'client:new-b', 'client:new-c', 'client:new-b'])
  assert.deepEqual(again.other_actor, ci)
})

test('tagged nodes and their tags are kept', () => {
  assert.deepEqual(principalFrom(identityText(ci)), ci)
})
