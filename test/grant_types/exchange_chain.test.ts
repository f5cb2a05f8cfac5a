import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runAction } from '../../src/admin/actions.ts'
import type { Ended, Traced } from '../../src/admin/trace.ts'
import { traceAsMermaid, traceAsText } from '../../src/cli/trace.ts'
import { insertAuthorization } from '../../src/store/authorizations.ts'
import { policyClient } from '../support/example_policy.ts'
import { claimsIn, exchange, exchanged, hopUri, walked, withChain } from '../support/exchange.ts'
import type { Tokens } from '../support/person.ts'
import { start, unhurried } from '../support/start.ts'
import { assertRefused, inParallel } from '../support/token_request.ts'

const sidOf = (token = '') => String(claimsIn(token).sid)
const jtiOf = (token = '') => String(claimsIn(token).jti)

test('RFC 8693 §4.1: a chain of eight exchanges names all who act, where the policy allows eight, and stops at the ninth [threats 253]', async (t) => {
  const started = await start(t, { policy: withChain(9, 8) })
  const { alice, ci } = started
  const tokens = await walked(started, await alice.register(), 8)
  const last = tokens.at(-1) as string
  let act = claimsIn(last).act as { sub: string; act?: unknown } | undefined
  const actors: string[] = []
  for (; act; act = act.act as typeof act) actors.push(act.sub)
  assert.deepEqual(
    actors,
    [7, 6, 5, 4, 3, 2, 1, 0].map((at) => `client:hop-${at}`),
  )
  assert.equal((await ci.introspect(policyClient(started, 'hop-8'), last)).active, true)
  assert.ok(last.length < 1400, `the token of eight hops has ${last.length} characters`)

  const ninth = await exchange(ci, policyClient(started, 'hop-8'), { subject_token: last, resource: hopUri(9) })
  assertRefused(ninth, 'invalid_request')
  assert.match(
    String(ninth.json().error_description),
    /client:hop-8 may act for alice@example\.com at resource:hop-9, but not at the end of a chain of 9 exchanges\./,
  )

  await t.test('introspection tells the chain to a server that the policy lets know it', async () => {
    const seen = await ci.introspect(policyClient(started, 'hop-8'), last)
    const chain = seen.chain as { client_id: string; aud: string; scope: string; sid: string; decision_id: string }[]
    assert.deepEqual(
      chain.slice(1).map(({ client_id, aud, scope }) => [client_id, aud, scope]),
      Array.from({ length: 8 }, (_, at) => [`client:hop-${at}`, hopUri(at + 1), `hop-${at + 1}:use`]),
    )
    assert.deepEqual(
      chain.map(({ sid }) => sid),
      tokens.map(sidOf),
    )
    for (const { decision_id } of chain) assert.ok(await started.daemon.deps.store.decisions.find(decision_id))
    assert.equal((await ci.introspect(policyClient(started, 'hop-7'), tokens[7] as string)).active, true)
  })

  await t.test('wherever the chain is cut, all that is below is dead, and all that is above goes on', async () => {
    const alive = async () =>
      Promise.all(tokens.map(async (token, at) => (await ci.introspect(policyClient(started, `hop-${at}`), token)).active))
    await runAction(started.daemon.deps, 'authorizations.revoke', { id: sidOf(tokens[5]) })
    assert.deepEqual(await alive(), [true, true, true, true, true, false, false, false, false])
    assertRefused(
      await exchange(ci, policyClient(started, 'hop-7'), { subject_token: tokens[7] as string, resource: hopUri(8) }),
      'invalid_request',
    )
    await runAction(started.daemon.deps, 'authorizations.revoke', { id: sidOf(tokens[0]) })
    assert.deepEqual(
      await alive(),
      tokens.map(() => false),
    )
  })
})

test('RFC 8693 §5: a token stays under 4096 characters: an exchange that would make a longer one is refused with a sentence', async (t) => {
  const started = await start(t, { policy: withChain(1, 1) })
  const { alice, ci, setPolicy } = started
  const client = await alice.register()
  const many = Array.from({ length: 20 }, (_, at) => `${String(at).padStart(2, '0')}${'x'.repeat(190)}`)
  const policy = JSON.parse(withChain(1, 1))
  policy.resources['resource:hop-1'].scopes = many
  for (const { dst, app } of policy.grants) {
    if (dst?.[0] !== 'resource:hop-1') continue
    if (app.authorize) app.authorize[0].scopes = many
    if (app.exchange) app.exchange[0].scopes = Object.fromEntries(many.map((scope) => [scope, ['hop-0:use']]))
  }
  assert.ok(setPolicy(JSON.stringify(policy)).ok)
  const { access_token: subject_token } = await alice.signIn(client, { resource: hopUri(0), scope: 'hop-0:use' })
  const answer = await exchange(ci, policyClient(started, 'hop-0'), { subject_token, resource: hopUri(1) })
  assertRefused(answer, 'invalid_request')
  assert.match(String(answer.json().error_description), /4096 is the most\. Ask for fewer scopes/)
  const fewer = await exchange(ci, policyClient(started, 'hop-0'), {
    subject_token,
    resource: hopUri(1),
    scope: many.slice(0, 3).join(' '),
  })
  assert.equal(fewer.status, 200)
})

test('meshidp tokens trace: who, which client, which servers, who acts, by which decisions, and what is alive; revoke ends what is below', async (t) => {
  const started = await start(t, { policy: withChain(3, 3) })
  const { alice, ci, daemon, clock } = started
  const client = await alice.register()
  const tokens = await walked(started, client, 3)
  const deps = { ...daemon.deps, live: daemon.deps } as unknown as Parameters<typeof runAction>[0]
  const trace = async (id: string) => (await runAction(deps, 'tokens.trace', { id })) as { tree: Traced; more: boolean }
  const lineage = ({ children, ...one }: Traced): Omit<Traced, 'children'>[] => [one, ...children.flatMap(lineage)]

  const { tree, more } = await trace(jtiOf(tokens[2]))
  assert.equal(more, false)
  assert.deepEqual(
    lineage(tree).map(({ authorization, who, client_id, acts, depth, alive, worth, asked }) => [
      authorization,
      who,
      client_id,
      acts,
      depth,
      alive,
      worth,
      asked,
    ]),
    tokens.map((token, at) => [
      sidOf(token),
      'alice@example.com',
      at === 0 ? client.client_id : `client:hop-${at - 1}`,
      at === 0 ? null : `client:hop-${at - 1}`,
      at,
      true,
      `hop-${at}:use`,
      at === 2,
    ]),
  )
  for (const { decision } of lineage(tree)) assert.ok(await daemon.deps.store.decisions.find(String(decision)))
  assert.deepEqual((await trace(sidOf(tokens[3]))).tree.authorization, sidOf(tokens[0]), 'the whole tree, from wherever one asks')

  const shown = traceAsText(tree, false)
  assert.match(shown, /^alice@example\.com \(userid:101\)\n└─ \S+ → http:\/\/localhost:8500\/mcp {2}\[hop-0:use\]\n/)
  assert.match(shown, /\n {3}└─ client:hop-0, acting → http:\/\/localhost:8501\/mcp {2}\[hop-1:use\]\n/)
  assert.match(shown, /\[hop-2:use\] {2}◀\n {9}alive, worth hop-2:use\n/)
  const diagram = traceAsMermaid(tree)
  assert.match(diagram, /^flowchart LR\n {2}who\(\["alice@example\.com"\]\)\n/)
  assert.match(diagram, /c0 -->\|"hop-0:use at http:\/\/localhost:8500\/mcp"\| c1\n/)
  assert.match(diagram, /c3 -->\|"hop-3:use"\| s0\n/)

  await t.test('--preview says what would end, and ends nothing; of a jti it is what that token was exchanged for', async () => {
    const preview = (await runAction(deps, 'tokens.revoke', { id: jtiOf(tokens[1]), preview: true })) as { ended: Ended[] }
    assert.deepEqual(
      preview.ended.map(({ authorization }) => authorization),
      [sidOf(tokens[2]), sidOf(tokens[3])],
    )
    assert.equal(
      lineage((await trace(sidOf(tokens[0]))).tree).every(({ alive }) => alive),
      true,
    )
    await runAction(deps, 'tokens.revoke', { id: jtiOf(tokens[1]) })
    const after = lineage((await trace(jtiOf(tokens[1]))).tree)
    assert.deepEqual(
      after.map(({ alive }) => alive),
      [true, true, false, false],
    )
    assert.match(String(after[2]?.dead), /revoked by an admin/)
    assert.deepEqual((await ci.introspect(policyClient(started, 'hop-1'), tokens[1] as string)).active, false)
    await runAction(deps, 'tokens.revoke', { id: sidOf(tokens[0]) })
    assert.deepEqual(
      lineage((await trace(sidOf(tokens[0]))).tree).map(({ alive }) => alive),
      [false, false, false, false],
    )
  })
  await t.test('what nobody knows is a sentence', async () => {
    for (const id of ['x', sidOf(tokens[0]).replace(/.$/, '_'), '']) await assert.rejects(trace(id), { code: 'not_found' })
    clock.advance({ hours: 1 })
  })
})

test('meshidp tokens trace tells what it was asked about, with all that it came from and that came of it, in a tree however large', async (t) => {
  const started = await start(t, { policy: withChain(2, 2) })
  const { alice, ci, daemon } = started
  const { store, newId } = daemon.deps
  const [first, one] = (await walked(started, await alice.register(), 1)) as [string, string]
  const row = await store.authorizations.find(sidOf(one))
  assert.ok(row)
  for (let step = 0; step < 12; step++)
    await store.commit(Array.from({ length: 100 }, () => insertAuthorization({ ...row, id: newId() }, false)))
  const late = await exchanged(ci, policyClient(started, 'hop-0'), { subject_token: first, resource: hopUri(1) })
  const last = await exchanged(ci, policyClient(started, 'hop-1'), { subject_token: late.access_token, resource: hopUri(2) })

  for (const id of [sidOf(late.access_token), jtiOf(late.access_token)]) {
    const { tree, more } = (await runAction(daemon.deps, 'tokens.trace', { id })) as { tree: Traced; more: boolean }
    assert.equal(more, true)
    const asked = tree.children.filter((child) => child.asked)
    assert.deepEqual(
      asked.map(({ authorization, children }) => [authorization, children.map((child) => child.authorization)]),
      [[sidOf(late.access_token), [sidOf(last.access_token)]]],
    )
    assert.ok(tree.children.length <= 1001, `${tree.children.length} beside it`)
  }
})

test('RFC 7009 §2.1: whatever ends what a token came from, beside exchanges and refreshes under way: nothing of it is alive then', async (t) => {
  const policy = withChain(2, 3).replaceAll('"max_depth":3', '"max_depth":3,"refresh_token":true')
  const started = await start(t, { policy, config: { limits: unhurried } })
  const { alice, ci, daemon } = started
  const agent = await alice.register()
  const [first, second] = [policyClient(started, 'hop-0'), policyClient(started, 'hop-1')]
  const ends: ((root: Tokens) => Promise<unknown>)[] = [
    (root) => alice.send('/revoke', { form: { client_id: agent.client_id, token: String(root.refresh_token) } }),
    (root) => alice.send('/revoke', { form: { client_id: agent.client_id, token: root.access_token } }),
    (root) => runAction(daemon.deps, 'tokens.revoke', { id: sidOf(root.access_token) }),
    (root) => runAction(daemon.deps, 'tokens.revoke', { id: jtiOf(root.access_token) }),
  ]
  for (const end of ends) {
    const root = await alice.signIn(agent, { resource: hopUri(0), scope: 'hop-0:use' })
    const child = await exchanged(ci, first, { subject_token: root.access_token, resource: hopUri(1) })
    const { client_id, client_secret } = first
    const refresh = {
      grant_type: 'refresh_token',
      refresh_token: String(child.refresh_token),
      client_id,
      client_secret: String(client_secret),
    }
    const jobs = inParallel(40, async (at) => {
      if (at === 15) await end(root)
      if (at % 4 === 0) return ci.send('/token', { form: refresh })
      return exchange(ci, second, { subject_token: child.access_token, resource: hopUri(2) })
    })
    const made = (await jobs).flatMap(({ status, json }) => (status === 200 ? String(json().access_token) : []))
    for (const token of [child.access_token, ...made]) {
      const server = policyClient(started, claimsIn(token).aud === hopUri(2) ? 'hop-2' : 'hop-1')
      assert.equal((await ci.introspect(server, token)).active, false)
    }
  }
})
