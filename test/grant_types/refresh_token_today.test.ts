/** A refresh is decided on today's policy and today's identity, never on a snapshot. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endSuspended, sweep } from '../../src/sweep.ts'
import { grafanaCallback, policyClient, wiki } from '../support/example_policy.ts'
import { Refusal } from '../support/person.ts'
import { type Started, start } from '../support/start.ts'
import { assertRefused, changeMesh, editedPolicy, spendable } from '../support/token_request.ts'

const both = { ...wiki, scope: 'wiki:read wiki:write' }
const openid = { scope: 'openid profile email groups' }

const claimsOf = (jwt = '') => JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>

const authorizationRow = async ({ daemon }: Started) => {
  const [row] = await daemon.deps.store.engine.all<{ missing_since: number | null; suspended_at: number | null; ended_at: number | null }>(
    'SELECT missing_since, suspended_at, ended_at FROM authorizations LIMIT 1',
    {},
  )
  assert.ok(row)
  return row
}

/** Both of alice's machines. */
const hers = (change: object) => ({ machines: { 'alice-laptop': change, 'alice-phone': change } })

test('What today’s policy no longer gives is dropped; where nothing is left the token is not spent, and a mistake undone heals [threats 142, 383]', async (t) => {
  const started = await start(t)
  const { alice, setPolicy, daemon } = started
  const client = await alice.register()
  const given = '"scopes": ["wiki:read", "wiki:write", "notes:read"]'
  let tokens = await alice.signIn(client, both)

  assert.ok(setPolicy(editedPolicy([given, '"scopes": ["wiki:read", "notes:read"]'])).ok)
  tokens = await alice.refresh(client, tokens)
  assert.equal(tokens.scope, 'wiki:read')

  const nothingLeft = {
    'the grant gives nothing here': editedPolicy([given, '"scopes": ["notes:read"]']),
    'she left the group': editedPolicy(['["alice@example.com", "bob@example.com"]', '["bob@example.com"]']),
    'the group is gone': editedPolicy(
      ['"src": ["group:eng"]', '"src": ["group:oncall"]'],
      ['"group:admin":  ["alice@example.com"]', '"group:admin":  ["bob@example.com"]'],
    ),
    'the resource takes no unverified clients': editedPolicy(['"allow_unverified_clients": true', '"allow_unverified_clients": false']),
    'the software is not in the grant': editedPolicy(['"clients": ["*"]', '"clients": ["client:grafana"]']),
    'the resource has another address': editedPolicy(['"http://localhost:8490/mcp"', '"http://localhost:8490/moved"']),
    'the grant has expired': editedPolicy(['"src": ["group:eng"],', '"src": ["group:eng"], "expires": "2020-01-01",']),
  }
  const before = await spendable(started)
  for (const [why, text] of Object.entries(nothingLeft)) {
    const loaded = setPolicy(text)
    assert.ok(loaded.ok, `${why}: ${JSON.stringify(loaded)}`)
    const refusal = await alice.refresh(client, tokens).catch((refusal: unknown) => refusal)
    assert.ok(refusal instanceof Refusal, why)
    assertRefused(refusal.answer, 'invalid_grant')
    const decision = await daemon.deps.store.decisions.find(String(refusal.answer.json().decision_id))
    assert.deepEqual([decision?.outcome, decision?.policy], ['denied', loaded.hash], why)
    assert.deepEqual(await alice.introspect(policyClient(started, 'wiki-server'), tokens.access_token), { active: false }, why)
  }
  assert.deepEqual(await spendable(started), before)

  assert.ok(setPolicy(editedPolicy()).ok)
  assert.equal((await alice.refresh(client, tokens)).scope, 'wiki:read wiki:write')
})

test('A policy that is not usable changes nothing for a refresh', async (t) => {
  const { alice, setPolicy } = await start(t)
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  assert.equal(setPolicy('{').ok, false)
  assert.ok(await alice.refresh(client, tokens))
})

test('RFC 6749 §5.2: a person who is gone, expired, tagged, or somebody else by now gets no tokens, and nothing is spent [threats 142, 143, 332]', async (t) => {
  const started = await start(t)
  const { alice, daemon } = started
  const client = await alice.register()
  let tokens = await alice.signIn(client, wiki)
  const phoneGone = { 'alice-phone': { removed: true } }
  const soon = new Date((started.clock.now() - 1) * 1000).toISOString()
  const changes = {
    'all her machines are gone': hers({ removed: true }),
    'their keys have expired': hers({ expired: true }),
    'their keys expired a second ago': hers({ key_expiry: soon }),
    'the machine is tagged': { machines: { 'alice-laptop': { owner: undefined, tags: ['tag:ci'] }, ...phoneGone } },
    'the machine is bob’s': { machines: { 'alice-laptop': { owner: 'bob@example.com' }, ...phoneGone } },
    'her address is another machine’s': {
      machines: { 'alice-laptop': { removed: true }, 'bob-laptop': { address: '127.0.0.2' }, ...phoneGone },
    },
    'her name is another person’s': { people: { 'alice@example.com': { id: '999' } } },
    'the machine is shared in': hers({ shared: true }),
    'tailnet lock has not signed it': hers({ unsigned: true }),
  }
  const undo = {
    people: { 'alice@example.com': { id: '101' } },
    machines: {
      ...hers({
        removed: false,
        expired: false,
        key_expiry: undefined,
        shared: false,
        unsigned: false,
        owner: 'alice@example.com',
        tags: undefined,
      }).machines,
      'bob-laptop': { address: '127.0.0.3' },
    },
  }
  for (const [why, change] of Object.entries(changes)) {
    const before = await spendable(started)
    await changeMesh(started, change)
    const refusal = await alice.refresh(client, tokens).catch((refusal: unknown) => refusal)
    assert.ok(refusal instanceof Refusal, why)
    assertRefused(refusal.answer, 'invalid_grant')
    assert.equal((await daemon.deps.store.decisions.find(String(refusal.answer.json().decision_id)))?.reason, 'identity', why)
    assert.deepEqual(await spendable(started), before, why)
    await changeMesh(started, undo)
    tokens = await alice.refresh(client, tokens)
  }
})

test('OpenID Connect Core §5.7: another name, and another machine, are the same person [threats 151, 365]', async (t) => {
  const started = await start(t)
  const { alice, alicePhone } = started
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const first = await alice.signIn(grafana, openid)
  await changeMesh(started, {
    people: { 'alice.new@example.com': { id: '101', name: 'Alice New' } },
    ...hers({ owner: 'alice.new@example.com' }),
  })
  const second = await alice.refresh(grafana, first)
  const { sub, preferred_username, email, name } = claimsOf(second.id_token)
  assert.equal(sub, claimsOf(first.id_token).sub)
  assert.deepEqual([preferred_username, email, name], ['alice.new@example.com', 'alice.new@example.com', 'Alice New'])

  await changeMesh(started, { machines: { 'alice-laptop': { removed: true } } })
  const third = await alicePhone.refresh(grafana, second)
  assert.equal(claimsOf(third.id_token).sub, sub)
})

test('A grant with bind: node lets nobody refresh from another machine, and nothing is spent [threats 151]', async (t) => {
  const bound = editedPolicy(['"clients": ["*"], "consent": "once"', '"clients": ["*"], "consent": "once", "bind": "node"'])
  const unbound = editedPolicy()
  // Bound when it was made, or bound by today's policy: either holds.
  for (const [then, today] of [
    [bound, bound],
    [bound, unbound],
    [unbound, bound],
  ] as const) {
    const started = await start(t, { policy: then })
    const { alice, alicePhone, bob, ci, daemon, mesh } = started
    const client = await alice.register()
    const tokens = await alice.signIn(client, wiki)
    assert.ok(started.setPolicy(today).ok)
    const before = await spendable(started)
    for (const other of [alicePhone, bob, ci]) {
      const refusal = (await other.refresh(client, tokens).catch((refusal: unknown) => refusal)) as Refusal
      assertRefused(refusal.answer, 'invalid_grant')
      assert.match(refusal.answer.text, /bound to the machine/)
      const decision = await daemon.deps.store.decisions.find(String(refusal.answer.json().decision_id))
      assert.deepEqual([decision?.outcome, decision?.reason, decision?.principal], ['denied', 'identity', 'alice@example.com'])
    }
    // Nor does a page in the browser of that very machine: its address is not her wish.
    const form = { grant_type: 'refresh_token', client_id: client.client_id, refresh_token: tokens.refresh_token ?? '' }
    for (const headers of [{ origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }])
      assertRefused(await alice.send('/token', { form, headers: headers as Record<string, string> }), 'forbidden', 403)
    assert.deepEqual(await spendable(started), before)
    const refreshed = await alice.refresh(client, tokens)

    if (then === bound) {
      // Her phone does not stand in for the machine.
      await changeMesh({ mesh, daemon }, { machines: { 'alice-laptop': { removed: true } } })
      await assert.rejects(alice.refresh(client, refreshed), { error: 'invalid_grant' })
    }
  }
})

test('While the mesh is dark a refresh is 503 with Retry-After, the token is not spent, and it recovers by itself [threats 145]', async (t) => {
  const started = await start(t)
  const { alice, mesh, daemon } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  const before = await spendable(started)
  const dark = async () => {
    const refusal = (await alice.refresh(client, tokens).catch((refusal: unknown) => refusal)) as Refusal
    assertRefused(refusal.answer, 'temporarily_unavailable', 503)
    assert.match(String(refusal.answer.headers['retry-after']), /^[1-9]\d*$/)
  }
  for (const state of ['Stopped', 'NoState', 'NeedsLogin']) {
    await changeMesh(started, { state })
    await dark()
  }
  await mesh.stop()
  await assert.rejects(daemon.deps.identity.refresh())
  await dark()
  assert.deepEqual(await spendable(started), before)
  assert.equal((await authorizationRow(started)).missing_since, null)
  await mesh.start()
  await changeMesh(started, { state: 'Running' })
  assert.ok(await alice.refresh(client, tokens))
})

test('A person is gone for sure when the mesh says so twice, 30 s apart; that ends the sign-in after removal_grace, and heals before [threats 142]', async (t) => {
  for (const comesBack of [true, false]) {
    const started = await start(t)
    const { alice, clock, daemon } = started
    const grafana = policyClient(started, 'grafana', grafanaCallback)
    const tokens = await alice.signIn(grafana, openid)
    const miss = () => assert.rejects(alice.refresh(grafana, tokens), { error: 'invalid_grant' })
    const since = clock.now()
    await changeMesh(started, hers({ removed: true }))

    await miss()
    clock.advance({ seconds: 29 })
    await miss()
    await sweep(daemon.deps)
    assert.deepEqual(await authorizationRow(started), { missing_since: since, suspended_at: null, ended_at: null })
    clock.advance({ seconds: 1 })
    await miss()
    await sweep(daemon.deps)
    assert.deepEqual(await authorizationRow(started), { missing_since: since, suspended_at: since + 30, ended_at: null })

    clock.advance({ hours: 24 })
    await endSuspended(daemon.deps)
    assert.equal((await authorizationRow(started)).ended_at, null)
    clock.advance({ seconds: 1 })
    await changeMesh(started, { state: 'Stopped' })
    await assert.rejects(endSuspended(daemon.deps), { code: 'temporarily_unavailable' })
    assert.equal((await authorizationRow(started)).ended_at, null)
    await changeMesh(started, { state: 'Running', ...hers({ removed: !comesBack }) })
    await endSuspended(daemon.deps)
    await changeMesh(started, hers({ removed: false }))

    if (comesBack) {
      assert.deepEqual(await authorizationRow(started), { missing_since: null, suspended_at: null, ended_at: null })
      assert.ok(await alice.refresh(grafana, tokens))
    } else {
      assert.equal((await authorizationRow(started)).ended_at, clock.now())
      await miss()
    }
  }
})

test('A person who is suspended and comes back before the janitor is healed by the refresh itself [threats 142]', async (t) => {
  const started = await start(t)
  const { alice, clock, daemon } = started
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const tokens = await alice.signIn(grafana, openid)
  await changeMesh(started, hers({ removed: true }))
  for (let misses = 0; misses < 2; misses++) {
    await assert.rejects(alice.refresh(grafana, tokens), { error: 'invalid_grant' })
    await sweep(daemon.deps)
    clock.advance({ seconds: 30 })
  }
  assert.notEqual((await authorizationRow(started)).suspended_at, null)
  await changeMesh(started, hers({ removed: false }))
  const refreshed = await alice.refresh(grafana, tokens)
  assert.deepEqual(await authorizationRow(started), { missing_since: null, suspended_at: null, ended_at: null })
  clock.advance({ hours: 48 })
  await endSuspended(daemon.deps)
  assert.ok(await alice.refresh(grafana, refreshed))
})
