/** What holds whatever the policy, and in whatever order tokens are exchanged, revoked and judged. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runAction } from '../../src/admin/actions.ts'
import { policyClient } from '../support/example_policy.ts'
import { claimsIn, exchange, hopUri, withChain } from '../support/exchange.ts'
import type { TestClient } from '../support/person.ts'
import { type Started, start, unhurried } from '../support/start.ts'

const hops = 3
const names = ['hop-0', 'hop-1', 'hop-2', 'hop-3'] as const

type Edge = {
  actor: number
  from: number
  to: number
  max_depth: number
  beyond_subject: boolean
  impersonate: boolean
  refresh_token: boolean
}

const edge: fc.Arbitrary<Edge> = fc.record({
  actor: fc.nat(hops),
  from: fc.nat(hops),
  to: fc.nat(hops),
  max_depth: fc.integer({ min: 1, max: 4 }),
  beyond_subject: fc.boolean(),
  impersonate: fc.boolean(),
  refresh_token: fc.boolean(),
})
const edges = fc.array(edge, { minLength: 6, maxLength: 14 })

type Step =
  | { do: 'sign_in'; person: 'alice' | 'bob'; at: number }
  /** Along one of the edges that lead from that token; where there is none, or `wild`, wherever. */
  | { do: 'exchange'; token: number; edge: number; wild: boolean; impersonate: boolean }
  | { do: 'revoke_token' | 'end' | 'revoke_subtree'; token: number }
  | { do: 'policy'; edges: Edge[] }
  | { do: 'wait'; seconds: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('sign_in' as const), person: fc.constantFrom('alice', 'bob'), at: fc.nat(hops) }) },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('exchange' as const),
      token: fc.nat(),
      edge: fc.nat(),
      wild: fc.nat(9).map((one) => one === 0),
      impersonate: fc.nat(4).map((one) => one === 0),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('revoke_token', 'end', 'revoke_subtree'), token: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('policy' as const), edges }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 100 }) }) },
) as fc.Arbitrary<Step>

/** Alice may use everything, bob what is even; from there on it is the edges. Every client looks at the tokens of its own server. */
function policyOf(given: readonly Edge[]): string {
  const policy = JSON.parse(withChain(hops, 1))
  policy.grants = policy.grants.filter(({ app }: { app: Record<string, unknown> }) => !app.exchange)
  for (const { src, dst, app } of policy.grants)
    if (app.authorize && /^resource:hop-[13]$/.test(dst[0])) src.splice(0, 1, 'alice@example.com')
  for (const { actor, from, to, ...rest } of given) {
    const scopes = { [`hop-${to}:use`]: [`hop-${from}:use`] }
    policy.grants.push({
      src: ['group:eng'],
      dst: [`resource:hop-${to}`],
      app: { exchange: [{ actors: [`client:hop-${actor}`], from: [`resource:hop-${from}`], scopes, ...rest }] },
    })
  }
  return JSON.stringify(policy)
}

/** What the test knows of a token, by its own accounts. */
type Known = { text: string; at: number; parent: Known | null; depth: number; revoked: boolean; ends: number }

const isDead = (token: Known, now: number): boolean =>
  token.revoked || token.ends <= now || (token.parent !== null && isDead({ ...token.parent, ends: Number.POSITIVE_INFINITY }, now))

async function play(
  started: Started,
  software: TestClient,
  steps: readonly Step[],
  first: readonly Edge[],
): Promise<{ exchanged: number; dead: number }> {
  const { ci, clock, daemon, setPolicy } = started
  let inForce = first
  assert.ok(setPolicy(policyOf(inForce)).ok)
  const known: Known[] = []
  let exchanged = 0
  let dead = 0
  const servers = names.map((name) => policyClient(started, name))
  const byIndex = (index: number) => (known.length === 0 ? undefined : known[index % known.length])

  async function look(): Promise<void> {
    await Promise.all(
      known.map(async (token) => {
        const { active, scope } = await ci.introspect(servers[token.at] as never, token.text)
        if (!active) return
        assert.equal(isDead(token, clock.now()), false, 'a token is alive whose ancestor is revoked, or that has ended')
        assert.equal(scope, `hop-${token.at}:use`)
        for (let one: Known | null = token; one?.parent; one = one.parent) {
          const { at, parent, depth } = one
          assert.ok(
            inForce.some((edge) => edge.to === at && edge.from === parent.at && edge.max_depth >= depth),
            'a token is alive that no edge of today gives',
          )
        }
      }),
    )
    dead += known.filter((token) => isDead(token, clock.now())).length
  }

  for (const step of steps) {
    if (step.do === 'sign_in') {
      const tokens = await started[step.person]
        .signIn(software, { resource: hopUri(step.at), scope: `hop-${step.at}:use` })
        .catch(() => null)
      if (tokens)
        known.push({
          text: tokens.access_token,
          at: step.at,
          parent: null,
          depth: 0,
          revoked: false,
          ends: clock.now() + tokens.expires_in,
        })
    } else if (step.do === 'exchange') {
      const parent = byIndex(step.token)
      if (!parent) continue
      const along = inForce.filter(({ from }) => from === parent.at)
      const { actor: client, to } = (!step.wild && along[step.edge % Math.max(1, along.length)]) || {
        actor: step.edge % 4,
        to: (step.edge >> 2) % 4,
      }
      const form = { subject_token: parent.text, resource: hopUri(to), ...(step.impersonate && { impersonate: 'true' }) }
      const answer = await exchange(ci, servers[client] as never, form)
      if (answer.status !== 200) {
        assert.match(String(answer.json().error), /^invalid_(request|scope)$/)
        continue
      }
      const { access_token, expires_in, scope } = answer.json() as { access_token: string; expires_in: number; scope: string }
      assert.equal(isDead(parent, clock.now()), false, 'a dead token was exchanged')
      const gives = inForce.filter((one) => one.from === parent.at && one.to === to && one.actor === client && one.max_depth > parent.depth)
      assert.ok(
        gives.some(({ impersonate }) => impersonate || !step.impersonate),
        'an exchange that no edge gives',
      )
      assert.equal(scope, `hop-${to}:use`)
      const claims = claimsIn(access_token) as { sub: string; exp: number }
      assert.equal(claims.sub, claimsIn(parent.text).sub)
      assert.ok(claims.exp <= Number(claimsIn(parent.text).exp), 'a token outlives the one that it was exchanged for')
      known.push({ text: access_token, at: to, parent, depth: parent.depth + 1, revoked: false, ends: clock.now() + expires_in })
      exchanged++
    } else if (step.do === 'policy') {
      inForce = step.edges
      assert.ok(setPolicy(policyOf(inForce)).ok)
    } else if (step.do === 'wait') clock.advance({ seconds: step.seconds })
    else {
      const token = byIndex(step.token)
      if (!token) continue
      const { jti, sid } = claimsIn(token.text) as { jti: string; sid: string }
      if (step.do === 'end') await runAction(daemon.deps, 'authorizations.revoke', { id: sid })
      else if (step.do === 'revoke_subtree') await runAction(daemon.deps, 'tokens.revoke', { id: jti })
      else {
        const { client_id } = claimsIn(token.text) as { client_id: string }
        const client = servers.find((one) => one.client_id === client_id) ?? software
        const own = 'client_secret' in client ? { client_secret: String(client.client_secret) } : {}
        assert.equal((await ci.send('/revoke', { form: { client_id, ...own, token: token.text } })).status, 200)
      }
      token.revoked = true
    }
    if (step.do !== 'sign_in' && step.do !== 'exchange') await look()
  }
  await look()
  return { exchanged, dead }
}

test('Over random policies, exchanges and revocations: no token is alive whose ancestor is revoked, and none has a scope that neither its parent nor an edge gave', async (t) => {
  const started = await start(t, { policy: policyOf([]), config: { limits: unhurried } })
  const software = await started.alice.register()
  const sum = { runs: 0, exchanged: 0, dead: 0 }
  await fc.assert(
    fc.asyncProperty(edges, fc.array(step, { minLength: 15, maxLength: 40, size: 'max' }), async (first, steps) => {
      const { exchanged, dead } = await play(started, software, [{ do: 'sign_in', person: 'alice', at: 0 }, ...steps], first)
      sum.runs++
      sum.exchanged += exchanged
      sum.dead += dead
    }),
    { numRuns: Number(process.env.EXCHANGE_RUNS ?? 40) },
  )
  t.diagnostic(`${sum.runs} runs, ${sum.exchanged} exchanges, ${sum.dead} times a token was dead`)
  assert.ok(sum.exchanged > sum.runs, 'most runs exchange something')
})
