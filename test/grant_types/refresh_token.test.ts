import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { policyClient, wiki } from '../support/example_policy.ts'
import type { Person, Refusal, TestClient, Tokens } from '../support/person.ts'
import { type Started, start, unhurried } from '../support/start.ts'
import { assertRefused, confidentialToo, holdAtMesh, inParallel, nearTwins, post, spendable } from '../support/token_request.ts'

/** Its answer, whatever it is. */
const refresh = (
  person: Person,
  { client_id }: TestClient,
  { refresh_token = '' }: Partial<Tokens>,
  more: Record<string, string | string[]> = {},
) => post(person, { grant_type: 'refresh_token', client_id, refresh_token, ...more })

const isActive = async (started: Started, token: string) =>
  (await started.alice.introspect(policyClient(started, 'wiki-server'), token)).active

const unspent = ({ daemon }: Started) => daemon.deps.store.engine.all('SELECT digest FROM refresh_tokens LIMIT 1000', {})

const both = { ...wiki, scope: 'wiki:read wiki:write' }

test('RFC 6749 §10.4: another client gets nothing for a refresh token, and its owner’s family is left alone [threats 131]', async (t) => {
  const started = await start(t, { policy: confidentialToo })
  const { alice, bob, clock } = started
  const owner = await alice.register()
  const strangers = [
    await alice.register(),
    await bob.register(),
    await bob.register({ token_endpoint_auth_method: 'client_secret_basic' }),
  ]
  const first = await alice.signIn(owner, wiki)
  const second = await alice.refresh(owner, first)
  for (const seconds of [0, 31]) {
    clock.advance({ seconds })
    const before = await spendable(started)
    for (const stranger of strangers)
      for (const tokens of [first, second]) await assert.rejects(bob.refresh(stranger, tokens), { error: 'invalid_grant', status: 400 })
    assert.deepEqual(await spendable(started), before)
  }
  assert.ok(await alice.refresh(owner, second))
})

test('OAuth 2.1 §4.3.1: every refresh rotates; a lost answer is asked for again within the grace, also after a restart [threats 134, 146]', async (t) => {
  const started = await start(t)
  const client = await started.alice.register()
  const first = await started.alice.signIn(client, wiki)
  const second = await started.alice.refresh(client, first)
  assert.notEqual(second.refresh_token, first.refresh_token)
  started.clock.advance({ seconds: 10 })
  const lost = await started.alice.refresh(client, first)
  assert.equal(lost.refresh_token, second.refresh_token)
  assert.notEqual(lost.access_token, second.access_token)

  const after = await started.restart()
  after.clock.advance({ seconds: 20 })
  assert.equal((await after.alice.refresh(client, first)).refresh_token, second.refresh_token)
  assert.equal((await unspent(after)).length, 1)
  const third = await after.alice.refresh(client, second)
  assert.notEqual(third.refresh_token, second.refresh_token)
  for (const { access_token } of [first, second, lost, third]) assert.equal(await isActive(after, access_token), true)
})

test('RFC 9700 §4.14.2: a spent token used after its grace, or once its successor was used, ends the whole family', async (t) => {
  const started = await start(t)
  const { alice, clock, daemon } = started
  const client = await alice.register()
  const tooLate = async () => {
    const first = await alice.signIn(client, wiki)
    const second = await alice.refresh(client, first)
    clock.advance({ seconds: 31 })
    return { spent: first, living: second }
  }
  const successorUsed = async () => {
    const first = await alice.signIn(client, wiki)
    return { spent: first, living: await alice.refresh(client, await alice.refresh(client, first)) }
  }
  const unrelated = await alice.signIn(client, wiki)
  for (const theft of [tooLate, successorUsed]) {
    const { spent, living } = await theft()
    const answer = await refresh(alice, client, spent)
    assertRefused(answer, 'invalid_grant')
    const decision = await daemon.deps.store.decisions.find(String(answer.json().decision_id))
    assert.deepEqual([decision?.outcome, decision?.reason], ['denied', 'reuse'])
    assert.equal(await isActive(started, living.access_token), false)
    await assert.rejects(alice.refresh(client, living), { error: 'invalid_grant' })
  }
  assert.ok(await alice.refresh(client, unrelated))
})

test('With refresh_grace 0 a spent token yields nothing a second later', async (t) => {
  const { alice, clock } = await start(t, { config: { lifetimes: { refresh_grace: 0 } } })
  const client = await alice.register()
  const first = await alice.signIn(client, wiki)
  const second = await alice.refresh(client, first)
  clock.advance({ seconds: 1 })
  await assert.rejects(alice.refresh(client, first), { error: 'invalid_grant' })
  await assert.rejects(alice.refresh(client, second), { error: 'invalid_grant' })
})

test('50 refreshes with one token at once yield one and the same successor [threats 133]', async (t) => {
  const started = await start(t, { config: { limits: { ...unhurried, refresh_replays: 49 } } })
  const { alice } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  const hold = holdAtMesh(started)
  const asked = inParallel(50, () => alice.refresh(client, tokens))
  await hold.waiting(50)
  hold.letGo()
  const answers = await asked
  assert.equal(new Set(answers.map(({ refresh_token }) => refresh_token)).size, 1)
  assert.equal(new Set(answers.map(({ access_token }) => access_token)).size, 50)
  assert.equal((await unspent(started)).length, 1)
  const next = await alice.refresh(client, answers[0] ?? {})
  assert.equal((await unspent(started)).length, 1)
  assert.ok(await alice.refresh(client, next))
})

test('A spent token yields its successor so often and no oftener; the others are refused, and the family lives [threats 133, 137]', async (t) => {
  const started = await start(t, { config: { limits: { ...unhurried, refresh_replays: 3 } } })
  const { alice } = started
  const client = await alice.register()
  const together = await alice.signIn(client, wiki)
  const hold = holdAtMesh(started)
  const asked = inParallel(50, () => refresh(alice, client, together))
  await hold.waiting(50)
  hold.letGo()
  const answers = await asked
  const given = answers.filter(({ status }) => status === 200)
  assert.equal(given.length, 4)
  for (const answer of answers) if (!given.includes(answer)) assertRefused(answer, 'invalid_grant')
  assert.equal(new Set(given.map((answer) => answer.json().refresh_token)).size, 1)

  const oneByOne = await alice.signIn(client, wiki)
  const successor = await alice.refresh(client, oneByOne)
  for (let replay = 0; replay < 3; replay++) assert.equal((await alice.refresh(client, oneByOne)).refresh_token, successor.refresh_token)
  for (let replay = 0; replay < 3; replay++) assertRefused(await refresh(alice, client, oneByOne), 'invalid_grant')
  assert.ok(await alice.refresh(client, successor))
})

test('Within the grace the same is asked for again: other scopes or another resource are refused [threats 136]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const first = await alice.signIn(client, both)
  const second = await alice.refresh(client, first, { scope: 'wiki:read' })
  const before = await spendable(started)
  for (const more of [{}, { scope: 'wiki:write' }, { scope: 'wiki:read wiki:write' }] as Record<string, string>[])
    assertRefused(await refresh(alice, client, first, more), 'invalid_grant')
  assertRefused(await refresh(alice, client, first, { scope: 'wiki:read', resource: 'http://localhost:8491/mcp' }), 'invalid_target')
  assert.deepEqual(await spendable(started), before)
  const again = await alice.refresh(client, first, { scope: ' wiki:read  wiki:read ', resource: wiki.resource })
  assert.deepEqual([again.refresh_token, again.scope], [second.refresh_token, 'wiki:read'])
})

test('RFC 7009 §2.1: revocation and rotation at once: revoked in the middle gives no token, and no successor outlives it [threats 139]', async (t) => {
  const started = await start(t, { config: { limits: unhurried } })
  const { alice, daemon } = started
  const client = await alice.register()
  const revoke = ({ refresh_token = '' }: Tokens) => alice.send('/revoke', { form: { client_id: client.client_id, token: refresh_token } })

  const held = await alice.signIn(client, wiki)
  const hold = holdAtMesh(started)
  const asked = inParallel(10, () => refresh(alice, client, held))
  await hold.waiting(10)
  assert.equal((await revoke(held)).status, 200)
  hold.letGo()
  for (const answer of await asked) assertRefused(answer, 'invalid_grant')

  for (let round = 0; round < 10; round++) {
    const tokens = await alice.signIn(client, wiki)
    const order = [() => refresh(alice, client, tokens), () => revoke(tokens)]
    const [one, other] = await Promise.all((round % 2 ? order : order.reverse()).map((run) => run()))
    const refreshed = [one, other].find((answer) => answer?.text !== '')
    if (refreshed?.status === 200) {
      const { refresh_token, access_token } = refreshed.json() as Tokens
      assertRefused(await refresh(alice, client, { refresh_token: refresh_token ?? '' }), 'invalid_grant')
      assert.equal(await isActive(started, access_token), false)
    } else assertRefused(refreshed as Refusal['answer'], 'invalid_grant')
  }
  assert.deepEqual(await daemon.deps.store.engine.all('SELECT id FROM authorizations WHERE ended_at IS NULL LIMIT 10', {}), [])
})

test('RFC 6749 §6: a refresh may narrow its one access token, and never widens anything [threats 140]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const narrow = await alice.signIn(client, wiki)
  const before = await spendable(started)
  for (const scope of [
    'wiki:write',
    'wiki:read wiki:write',
    'openid',
    'wiki:read openid',
    'notes:read',
    'WIKI:READ',
    'wiki:',
    'wiki:read,wiki:write',
  ])
    assertRefused(await refresh(alice, client, narrow, { scope }), 'invalid_scope')
  assert.deepEqual(await spendable(started), before)
  // Nothing named is what was granted, not all that the policy would give.
  let tokens = narrow
  for (const scope of ['', ' ', '   ']) {
    tokens = await alice.refresh(client, tokens, { scope })
    assert.equal(tokens.scope, 'wiki:read')
  }

  tokens = await alice.refresh(client, await alice.signIn(client, both), { scope: 'wiki:read' })
  assert.equal(tokens.scope, 'wiki:read')
  assert.equal((await alice.introspect(policyClient(started, 'wiki-server'), tokens.access_token)).scope, 'wiki:read')
  tokens = await alice.refresh(client, tokens)
  assert.equal(tokens.scope, 'wiki:read wiki:write')
})

test('RFC 8707 §2.2: a refresh is for its own resource; a request for another one spends nothing', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  const before = await spendable(started)
  for (const resource of ['http://localhost:8491/mcp', `${wiki.resource}/x`, 'nonsense', [wiki.resource, 'http://localhost:8491/mcp']])
    assertRefused(await refresh(alice, client, tokens, { resource }), 'invalid_target')
  assert.deepEqual(await spendable(started), before)
  assert.ok(await alice.refresh(client, tokens, { resource: wiki.resource }))
})

test('RFC 4648 §3.5: no near twin of a token is the token, not even in what it says of its family [threats 121, 122]', async (t) => {
  const started = await start(t, { config: { limits: unhurried } })
  const { alice } = started
  const client = await alice.register()
  const { refresh_token = '', access_token } = await alice.signIn(client, { ...wiki, scope: 'openid wiki:read' })
  const [family = '', secret = '', mark = ''] = refresh_token.split('.')
  const twins = [
    ...nearTwins(refresh_token),
    ...nearTwins(secret).map((twin) => [family, twin, mark].join('.')),
    ...nearTwins(family).map((twin) => [twin, secret, mark].join('.')),
    [family, createHash('sha256').update('guess').digest('base64url'), mark].join('.'),
    [family, secret].join('.'),
  ]
  const before = await spendable(started)
  for (const twin of new Set(twins)) {
    const answer = await refresh(alice, client, { refresh_token: twin })
    assertRefused(answer, 'invalid_grant')
    assert.match(answer.text, /not known here/, twin)
  }
  assert.deepEqual(await spendable(started), before)

  const [header = '', claims = '', signature = ''] = access_token.split('.')
  const forged = [
    ...nearTwins(signature).map((twin) => [header, claims, twin].join('.')),
    [header, claims].join('.'),
    claims,
    `${access_token}.${signature}`,
  ]
  for (const token of forged) {
    assert.equal(await isActive(started, token), false)
    const text = `${token.replaceAll(/[^\x21-\x7e]/g, '')}x`
    const userinfo = await alice.send('/userinfo', { headers: { authorization: `Bearer ${text}` } })
    assert.equal(userinfo.status, /^[\w\-.~+/]+=*$/.test(text) ? 401 : 400, text) // RFC 6750 §3.1
  }
  assert.equal(await isActive(started, access_token), true)
})
