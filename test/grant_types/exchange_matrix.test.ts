/**
 * The confused deputy, in all its forms: who may swap whose token for what, as the edge says it and nothing else does. Every combination is asked for
 * over HTTP, and the answer compared with what a few lines of set arithmetic say, which know nothing of the engine.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { policyClient, wiki } from '../support/example_policy.ts'
import { claimsIn, exchange, gatewayResource, tokenType, withGateway } from '../support/exchange.ts'
import type { TestClient } from '../support/person.ts'
import { start, unhurried } from '../support/start.ts'

const notes = 'http://localhost:8491/mcp'
const uris: Record<string, string> = {
  'resource:gateway': gatewayResource.resource,
  'resource:wiki': wiki.resource,
  'resource:notes': notes,
}

/** Whose token, for which server and with which scope. */
const shown = ['alice', 'bob', 'client:agent'].flatMap((subject) =>
  [
    ['resource:gateway', 'tools:call'],
    ['resource:gateway', 'tools:list'],
    ['resource:wiki', 'wiki:read'],
  ].map(([audience, scope]) => ({ subject, audience: audience as string, scope: scope as string })),
)
const clients = ['client:gateway', 'client:other']
/** Of which client the `actor_token` is, and for which server; null: there is none. */
const actors = [null, 'own', 'client:agent resource:gateway', 'client:agent resource:wiki'] as const
const targets = ['resource:wiki', 'resource:notes']
const edges = [['client:gateway'], ['client:gateway', 'client:agent'], ['client:agent']].flatMap((who) =>
  [['resource:gateway'], ['resource:wiki']].flatMap((from) =>
    [['group:eng'], ['client:agent'], ['alice@example.com']].flatMap((src) =>
      [['resource:wiki'], ['resource:notes']].map((dst) => ({ who, from, src, dst })),
    ),
  ),
)

/** What each may do at each server by itself; nobody else may anything. */
const may: Record<string, readonly string[]> = {
  alice: ['resource:gateway', 'resource:wiki', 'resource:notes'],
  bob: ['resource:gateway', 'resource:wiki'],
  'client:agent': ['resource:gateway', 'resource:wiki'],
}
const isIn: Record<string, readonly string[]> = {
  alice: ['group:eng', 'alice@example.com'],
  bob: ['group:eng'],
  'client:agent': ['client:agent'],
}

type Edge = (typeof edges)[number]
type Asked = { subject: string; audience: string; scope: string; client: string; actor: (typeof actors)[number]; target: string }

/** 'yes', or the error that RFC 8693 §2.2.2 wants. */
function expected({ who, from, src, dst }: Edge, { subject, audience, scope, client, actor, target }: Asked): string {
  const [other, tokenFor] = actor === null || actor === 'own' ? [] : actor.split(' ')
  if (tokenFor !== undefined && tokenFor !== audience) return 'invalid_request'
  const acting = [client, ...(other ? [other] : [])]
  const edgeIsTheirs = src.some((one) => isIn[subject]?.includes(one)) && dst.includes(target)
  if (!edgeIsTheirs || !acting.every((one) => who.includes(one)) || !from.includes(audience)) return 'invalid_request'
  if (!may[subject]?.includes(target)) return 'invalid_request'
  return ['tools:call', 'wiki:read'].includes(scope) ? 'yes' : 'invalid_scope'
}

const policyWith = ({ who, from, src, dst }: Edge) =>
  withGateway(({ resources, grants }) => {
    Object.assign(resources['resource:notes'] ?? {}, { token_format: 'jwt', check: 'local' })
    const usual = grants.findIndex(({ app }) => app.exchange)
    grants.splice(usual, 1)
    for (const grant of grants) {
      const { dst: at = [], app } = grant
      if (at.includes('resource:wiki') && app.authorize) {
        grant.dst = ['resource:wiki']
        app.authorize = [{ scopes: ['wiki:read'], clients: ['*'], consent: 'once' }]
      }
      if (app.client_credentials && grant.src.includes('client:agent')) app.client_credentials = [{ scopes: ['tools:call', 'tools:list'] }]
    }
    grants.push(
      { src: ['alice@example.com'], dst: ['resource:notes'], app: { authorize: [{ scopes: ['notes:read'], clients: ['*'] }] } },
      { src: ['client:agent'], dst: ['resource:wiki'], app: { client_credentials: [{ scopes: ['wiki:read'] }] } },
      { src: ['client:gateway', 'client:other'], dst: ['resource:gateway'], app: { client_credentials: [{ scopes: ['tools:call'] }] } },
    )
    const held = from[0] === 'resource:wiki' ? 'wiki:read' : 'tools:call'
    const wanted = dst[0] === 'resource:wiki' ? 'wiki:read' : 'notes:read'
    grants.push({ src, dst, app: { exchange: [{ actors: who, from, scopes: { [wanted]: [held] } }] } })
  })

test('RFC 8693 §2.2.2: every combination of subject, audience, client, actor, target and edge is answered as the edge says, and no other way [threats 250, 254]', async (t) => {
  const [first] = edges as [Edge, ...Edge[]]
  const started = await start(t, { policy: policyWith(first), config: { limits: unhurried } })
  const { alice, bob, ci, setPolicy } = started
  const people = { alice, bob }
  const agent = policyClient(started, 'agent')
  const own = (client: TestClient, target: string, scope: string) =>
    ci.token(client, { grant_type: 'client_credentials', resource: uris[target] as string, scope }).then(({ access_token }) => access_token)
  const software = await alice.register()

  const tokens = new Map<string, string>()
  for (const { subject, audience, scope } of shown) {
    const person = people[subject as 'alice']
    const token = person
      ? (await person.signIn(software, { resource: uris[audience] as string, scope })).access_token
      : await own(agent, audience, scope)
    tokens.set(`${subject} ${scope}`, token)
  }
  const actorTokens = new Map<string, string>([
    ['client:agent resource:gateway', await own(agent, 'resource:gateway', 'tools:call')],
    ['client:agent resource:wiki', await own(agent, 'resource:wiki', 'wiki:read')],
  ])
  for (const client of clients)
    actorTokens.set(client, await own(policyClient(started, client.slice('client:'.length)), 'resource:gateway', 'tools:call'))

  const outcomes = new Map<string, number>()
  for (const edge of edges) {
    const loaded = setPolicy(policyWith(edge))
    assert.ok(loaded.ok, JSON.stringify(loaded))
    const asked: Asked[] = shown.flatMap((one) =>
      clients.flatMap((client) => actors.flatMap((actor) => targets.map((target) => ({ ...one, client, actor, target })))),
    )
    await Promise.all(
      asked.map(async (one) => {
        const actor = one.actor === 'own' ? one.client : one.actor
        const answer = await exchange(ci, policyClient(started, one.client.slice('client:'.length)), {
          subject_token: tokens.get(`${one.subject} ${one.scope}`) as string,
          resource: uris[one.target] as string,
          ...(actor !== null && { actor_token: actorTokens.get(actor) as string, actor_token_type: tokenType('access_token') }),
        })
        const outcome = answer.status === 200 ? 'yes' : String(answer.json().error)
        const wanted = expected(edge, one)
        assert.equal(outcome, wanted, `${JSON.stringify(edge)} ${JSON.stringify(one)}: ${answer.text}`)
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        if (outcome !== 'yes') return
        const { aud, sub, client_id, act } = claimsIn(String(answer.json().access_token))
        const subject = { alice: 'userid:101', bob: 'userid:102' }[one.subject] ?? one.subject
        assert.deepEqual(
          [aud, sub, client_id, act],
          [
            uris[one.target],
            subject,
            one.client,
            { sub: one.client, ...(one.actor?.startsWith('client:agent') && { act: { sub: 'client:agent' } }) },
          ],
        )
      }),
    )
  }
  const total = [...outcomes.values()].reduce((sum, one) => sum + one, 0)
  assert.equal(total, edges.length * shown.length * clients.length * actors.length * targets.length)
  for (const outcome of ['yes', 'invalid_request', 'invalid_scope'])
    assert.ok((outcomes.get(outcome) ?? 0) > 20, `${outcome}: ${outcomes.get(outcome)}`)
  t.diagnostic([...outcomes].map(([outcome, times]) => `${outcome} ${times}`).join(', '))
})
