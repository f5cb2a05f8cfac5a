import assert from 'node:assert/strict'
import { test } from 'node:test'
import { grafanaCallback, policyClient, wiki } from '../support/example_policy.ts'
import type { Person, Refusal, TestClient } from '../support/person.ts'
import { newVerifier } from '../support/person.ts'
import { type Started, start, unhurried } from '../support/start.ts'
import {
  assertRefused,
  basicOf,
  changeMesh,
  confidentialToo,
  editedPolicy,
  holdAtMesh,
  inParallel,
  nearTwins,
  post,
  spendable,
} from '../support/token_request.ts'

type Code = { code: string; code_verifier: string }

const redeem = (person: Person, { client_id }: TestClient, code: Partial<Code>, more: Record<string, string> = {}) =>
  post(person, { grant_type: 'authorization_code', client_id, ...code, ...more })

const isActive = async (started: Started, token: string) =>
  (await started.alice.introspect(policyClient(started, 'wiki-server'), token)).active

test('RFC 6749 §4.1.3: only the right client with a fresh code gets tokens [threats 89, 95]', async (t) => {
  const started = await start(t)
  const { alice, bob, clock } = started
  const right = await alice.register()
  const wrong = await bob.register()
  const expired = await alice.code(right, wiki)
  clock.advance({ seconds: 60 })
  const fresh = await alice.code(right, wiki)
  const before = await spendable(started)
  assertRefused(await redeem(alice, wrong, fresh), 'invalid_grant')
  assertRefused(await redeem(alice, wrong, expired), 'invalid_grant')
  assertRefused(await redeem(alice, right, expired), 'invalid_grant')
  assert.deepEqual(await spendable(started), before)
  clock.advance({ seconds: 59 })
  assert.equal((await redeem(alice, right, fresh)).status, 200)
})

test('OAuth 2.1 §4.1.3: a code that is used again ends all that came from it, at once, half a minute later, and after its time [threats 91, 125]', async (t) => {
  const started = await start(t)
  const { alice, clock, daemon } = started
  const client = await alice.register()
  for (const seconds of [0, 30, 61]) {
    const code = await alice.code(client, wiki)
    const tokens = (await redeem(alice, client, code)).json() as { access_token: string; refresh_token: string }
    const { refresh_token = '', access_token } = await alice.refresh(client, tokens)
    clock.advance({ seconds })
    assert.equal(await isActive(started, access_token), true)
    const again = await redeem(alice, client, code)
    assertRefused(again, 'invalid_grant')
    const decision = await daemon.deps.store.decisions.find(String(again.json().decision_id))
    assert.deepEqual([decision?.outcome, decision?.reason], ['denied', 'reuse'])
    assert.equal(await isActive(started, tokens.access_token), false)
    assert.equal(await isActive(started, access_token), false)
    await assert.rejects(alice.refresh(client, { refresh_token }), { error: 'invalid_grant' })
    assertRefused(await redeem(alice, client, code), 'invalid_grant')
  }
})

test('OAuth 2.1 §7.5.2: a replay that is not proven ends nothing, or anybody could [threats 92]', async (t) => {
  const started = await start(t, { policy: confidentialToo })
  const { alice, bob } = started
  for (const method of ['none', 'client_secret_basic']) {
    const client = await alice.register({ token_endpoint_auth_method: method })
    const { client_id, client_secret = '' } = client
    const stranger = await bob.register()
    const { code, code_verifier } = await alice.code(client, wiki)
    const { refresh_token = '' } = await alice.token(client, { grant_type: 'authorization_code', code, code_verifier })
    const before = await spendable(started)
    const headers: Record<string, string> = method === 'none' ? {} : basicOf(`${client_id}:${client_secret}`)
    const replay = (form: Record<string, string>, authorization = headers) =>
      post(alice, { grant_type: 'authorization_code', code, ...(method === 'none' && { client_id }), ...form }, authorization)

    assertRefused(await replay({ code_verifier: newVerifier() }), 'invalid_grant')
    assertRefused(await replay({}), 'invalid_grant')
    assertRefused(await replay({ code_verifier, redirect_uri: 'https://other.example/cb' }), 'invalid_grant')
    assertRefused(await redeem(bob, stranger, { code, code_verifier }), 'invalid_grant')
    if (method !== 'none') assertRefused(await replay({ code_verifier }, basicOf(`${client_id}:wrong`)), 'invalid_client', 401)
    assertRefused(await replay({ code_verifier, client_id: 'dcr_unknown' }, {}), 'invalid_client', 401)
    assert.deepEqual(await spendable(started), before)
    assert.ok(await alice.refresh(client, { refresh_token }))
  }
})

test('RFC 6749 §4.1.2: of 50 redemptions at once one gets tokens, the others are refused, and the winner keeps its own [threats 94]', async (t) => {
  const started = await start(t, { config: { limits: unhurried } })
  const { alice, daemon } = started
  const client = await alice.register()
  const code = await alice.code(client, wiki)
  const hold = holdAtMesh(started)
  const asked = inParallel(50, () => redeem(alice, client, code))
  await hold.waiting(50)
  hold.letGo()
  const answers = await asked
  const [winner, ...others] = answers.filter(({ status }) => status === 200)
  assert.ok(winner)
  assert.equal(others.length, 0)
  for (const answer of answers) if (answer !== winner) assertRefused(answer, 'invalid_grant')
  assert.equal((await daemon.deps.store.engine.all('SELECT digest FROM refresh_tokens LIMIT 100', {})).length, 1)
  const tokens = winner.json() as { access_token: string; refresh_token: string }
  assert.equal(await isActive(started, tokens.access_token), true)
  const refreshed = await alice.refresh(client, tokens)
  assert.equal(daemon.deps.recent.redeeming.size, 0)

  assertRefused(await redeem(alice, client, code), 'invalid_grant')
  await assert.rejects(alice.refresh(client, refreshed), { error: 'invalid_grant' })
})

test('RFC 7636 §4.6, OAuth 2.1 §4.1.3: the verifier must be the challenge’s, and a code without challenge takes none [threats 97]', async (t) => {
  const legacy =
    '"client:legacy": { "redirect_uris": ["https://legacy.example/cb"], "client_secret_file": "legacy", "require_pkce": false },'
  const started = await start(t, {
    policy: editedPolicy(
      ['"clients": {', `"clients": { ${legacy}`],
      ['"dst": ["client:grafana"],', '"dst": ["client:grafana", "client:legacy"],'],
    ),
  })
  const { alice } = started
  const client = await alice.register()
  const { code, code_verifier } = await alice.code(client, wiki)
  const before = await spendable(started)
  const wrong = [
    undefined,
    '',
    newVerifier(),
    code_verifier.slice(0, -1),
    `${code_verifier}A`,
    `${code_verifier}=`,
    code_verifier.toLowerCase(),
    'a'.repeat(42),
    'a'.repeat(129),
  ]
  for (const given of wrong)
    assertRefused(await redeem(alice, client, { code, ...(given !== undefined && { code_verifier: given }) }), 'invalid_grant')
  assert.deepEqual(await spendable(started), before)
  assert.equal((await redeem(alice, client, { code, code_verifier })).status, 200)

  const excused = policyClient(started, 'legacy', 'https://legacy.example/cb')
  const plain = await alice.code(excused, { scope: 'openid', nonce: 'n-1', code_challenge: undefined, code_challenge_method: undefined })
  await assert.rejects(alice.token(excused, { grant_type: 'authorization_code', ...plain }), { error: 'invalid_grant' })
  assert.ok((await alice.token(excused, { grant_type: 'authorization_code', code: plain.code })).id_token)
})

test('OAuth 2.1 §10.2: redirect_uri is compared if it is sent, to the letter, and may be left out [threats 98]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register({ redirect_uris: ['http://127.0.0.1/callback', 'http://127.0.0.1/other'] })
  const sent = 'http://127.0.0.1:51004/callback'
  const code = await alice.code({ ...client, redirect_uri: sent }, wiki)
  const before = await spendable(started)
  for (const redirect_uri of [
    'http://127.0.0.1/callback',
    'http://127.0.0.1:51005/callback',
    `${sent}/`,
    `${sent}?`,
    sent.toUpperCase(),
    'http://127.0.0.1/other',
  ])
    assertRefused(await redeem(alice, client, code, { redirect_uri }), 'invalid_grant')
  assert.deepEqual(await spendable(started), before)
  assert.equal((await redeem(alice, client, code, { redirect_uri: sent })).status, 200)
  assert.equal((await redeem(alice, client, await alice.code({ ...client, redirect_uri: sent }, wiki))).status, 200)
})

test('RFC 8707 §2.2: a code is for its own resource; a request for another one spends nothing', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const code = await alice.code(client, wiki)
  const before = await spendable(started)
  for (const resource of ['http://localhost:8491/mcp', 'http://localhost:8490/mcp2', 'nonsense', 'http://localhost:8490/MCP'])
    assertRefused(await redeem(alice, client, code, { resource }), 'invalid_target')
  assertRefused(
    await post(alice, {
      grant_type: 'authorization_code',
      client_id: client.client_id,
      ...code,
      resource: [wiki.resource, 'http://localhost:8491/mcp'],
    }),
    'invalid_target',
  )
  assert.deepEqual(await spendable(started), before)
  assert.equal((await redeem(alice, client, code, { resource: `${wiki.resource}/` })).status, 200)
})

const gone = { removed: true }
const back = { removed: false, expired: false, owner: 'alice@example.com', tags: undefined, id: undefined }
const phone = { 'alice-phone': gone }

test('RFC 6749 §5.2: between code and tokens a person may go; then there are none, and a mistake undone heals [threats 100, 332]', async (t) => {
  const started = await start(t)
  const { alice, setPolicy, daemon } = started
  const client = await alice.register()
  const changes = [
    { 'alice-laptop': gone, ...phone },
    { 'alice-laptop': { expired: true }, 'alice-phone': { expired: true } },
    { 'alice-laptop': { owner: undefined, tags: ['tag:ci'] }, ...phone },
    { 'alice-laptop': { owner: 'bob@example.com' }, ...phone },
    { 'alice-laptop': gone, 'bob-laptop': { address: '127.0.0.2' }, ...phone },
  ]
  const code = await alice.code(client, wiki)
  const before = await spendable(started)
  for (const machines of changes) {
    await changeMesh(started, { machines })
    const answer = await redeem(alice, client, code)
    assertRefused(answer, 'invalid_grant')
    assert.equal((await daemon.deps.store.decisions.find(String(answer.json().decision_id)))?.reason, 'identity')
    await changeMesh(started, { machines: { 'alice-laptop': back, 'alice-phone': back, 'bob-laptop': { address: '127.0.0.3' } } })
  }
  const policies = [
    editedPolicy(['["alice@example.com", "bob@example.com"]', '["bob@example.com"]']),
    editedPolicy(['"clients": ["*"], "consent": "once"', '"clients": ["client:grafana"], "consent": "once"']),
  ]
  for (const policy of policies) {
    assert.ok(setPolicy(policy).ok)
    assertRefused(await redeem(alice, client, code), 'invalid_grant')
  }
  assert.deepEqual(await spendable(started), before)
  assert.ok(setPolicy(editedPolicy()).ok)
  assert.equal((await redeem(alice, client, code)).status, 200)
})

test('While the mesh is dark a code is 503 with Retry-After, and still good afterwards [threats 145]', async (t) => {
  const started = await start(t)
  const { alice, mesh, daemon } = started
  const client = await alice.register()
  const code = await alice.code(client, wiki)
  const before = await spendable(started)
  for (const state of ['Stopped', 'NoState', 'Starting']) {
    await changeMesh(started, { state })
    const answer = await redeem(alice, client, code)
    assertRefused(answer, 'temporarily_unavailable', 503)
    assert.match(String(answer.headers['retry-after']), /^[1-9]\d*$/)
  }
  await mesh.stop()
  await assert.rejects(daemon.deps.identity.refresh())
  assertRefused(await redeem(alice, client, code), 'temporarily_unavailable', 503)
  assert.deepEqual(await spendable(started), before)
  await mesh.start()
  await changeMesh(started, { state: 'Running' })
  assert.equal((await redeem(alice, client, code)).status, 200)
})

test('RFC 4648 §3.5: no near twin of a code is the code [threats 121, 122]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const { code, code_verifier } = await alice.code(client, wiki)
  const before = await spendable(started)
  for (const twin of nearTwins(code)) {
    const answer = await redeem(alice, client, { code: twin, code_verifier })
    assertRefused(answer, 'invalid_grant')
    assert.match(answer.text, /not known here/)
  }
  assert.deepEqual(await spendable(started), before)
  assert.equal((await redeem(alice, client, { code, code_verifier })).status, 200)
})

test('A grant with bind: node gives tokens only on the machine where its person signed in [threats 151]', async (t) => {
  const started = await start(t, {
    policy: editedPolicy(['"clients": ["*"], "consent": "once"', '"clients": ["*"], "consent": "once", "bind": "node"']),
  })
  const { alice, alicePhone, bob, ci } = started
  const client = await alice.register()
  const code = await alice.code(client, wiki)
  const before = await spendable(started)
  for (const other of [alicePhone, bob, ci]) assertRefused(await redeem(other, client, code), 'invalid_grant')
  assert.deepEqual(await spendable(started), before)
  assert.equal((await redeem(alice, client, code)).status, 200)
})

test('A client that disappears from the policy before its code is redeemed is 401 [threats 110]', async (t) => {
  const started = await start(t)
  const { alice, setPolicy } = started
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const code = await alice.code(grafana, { scope: 'openid' })
  const renamed = editedPolicy().replaceAll('client:grafana', 'client:graphs')
  assert.ok(setPolicy(renamed).ok)
  const refusal = (await alice
    .token(grafana, { grant_type: 'authorization_code', ...code })
    .catch((refusal: unknown) => refusal)) as Refusal
  assertRefused(refusal.answer, 'invalid_client', 401)
  assert.ok(setPolicy(editedPolicy()).ok)
  assert.ok((await alice.token(grafana, { grant_type: 'authorization_code', ...code })).id_token)
})
