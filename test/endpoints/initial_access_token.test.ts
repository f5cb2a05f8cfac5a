/** Initial access tokens (RFC 7591 §3): made by an admin, shown at registration. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runAction } from '../../src/admin/actions.ts'
import { changedPolicy, wiki, withRegistration } from '../support/example_policy.ts'
import type { Answer, Person } from '../support/person.ts'
import { type Started, start } from '../support/start.ts'

const redirect_uris = ['http://127.0.0.1:9/callback']
const tokenOnly = withRegistration({ via: ['initial_access_token'] })
const register = (person: Person, token?: string, more: object = {}) =>
  person.send('/register', { json: { redirect_uris, ...more }, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })

type Made = { id: string; token: string; expires_at: number }
const made = async ({ daemon }: Started, input: object) => (await runAction(daemon.deps, 'tokens.initial.create', input)) as Made
const listed = async ({ daemon }: Started) =>
  ((await runAction(daemon.deps, 'tokens.initial.list', {})) as { tokens: { id: string; state: string; used: number }[] }).tokens
const detailsOf = async ({ daemon }: Started, filter: object) => {
  const { decisions } = (await runAction(daemon.deps, 'decisions.list', filter)) as { decisions: { id: string }[] }
  const shown = decisions.map(({ id }) => runAction(daemon.deps, 'decisions.show', { id }))
  return (await Promise.all(shown)) as { sentence: string | null; detail: Record<string, unknown> }[]
}

function unauthorized(answer: Answer, label = ''): string {
  assert.deepEqual([answer.status, answer.json().error], [401, 'invalid_token'], `${label} ${answer.text}`)
  assert.match(String(answer.headers['www-authenticate']), /^Bearer error="invalid_token"/)
  return String(answer.json().error_description).replace(/decision \w+/, 'decision …')
}

test('RFC 7591 §3: where the policy wants an initial access token, who shows a good one registers, as often as it says; all others are told what they lack', async (t) => {
  const started = await start(t, { policy: tokenOnly })
  const { alice, daemon } = started
  const without = await register(alice)
  assert.equal(without.status, 403)
  assert.match(without.text, /alice@example\.com would match grant 1 with an initial access token, which an admin can make\./)

  const { id, token } = await made(started, { issued_for: 'alice@example.com', uses: 2 })
  assert.match(token, /^mii_[\w-]{43}$/)
  const answer = await register(alice, token, { client_name: 'Notes' })
  assert.equal(answer.status, 201, answer.text)
  const client_id = String(answer.json().client_id)
  assert.equal(((await runAction(daemon.deps, 'clients.show', { client_id })) as { initial_access_token: string }).initial_access_token, id)
  const [row] = await detailsOf(started, { client_id })
  assert.equal(row?.detail.initial_access_token, id)
  assert.equal((await alice.signIn({ client_id, redirect_uri: redirect_uris[0] ?? '' }, wiki)).scope, 'wiki:read')

  assert.equal((await register(alice, token)).status, 201)
  unauthorized(await register(alice, token))
  assert.deepEqual(
    (await listed(started)).map(({ state, used }) => [state, used]),
    [['used up', 2]],
  )
})

test('a token that is not good, or not theirs, says one and the same to its bearer; the audit says which it was, and why', async (t) => {
  const started = await start(t, { policy: withRegistration({ via: ['dcr', 'initial_access_token'] }) })
  const { alice, bob, mallory, ci, clock, daemon, logged } = started
  const [bobs, short, revoked, spent] = await Promise.all([
    made(started, { issued_for: 'bob@example.com' }),
    made(started, { issued_for: 'ALICE@example.com', lifetime: 60 }),
    made(started, { issued_for: '*' }),
    made(started, { issued_for: 'alice@example.com' }),
  ])
  await runAction(daemon.deps, 'tokens.initial.revoke', { id: revoked.id })
  assert.equal((await register(alice, spent.token)).status, 201)
  assert.equal((await register(alice, short.token)).status, 201, 'login names compare without regard to case')
  const late = await made(started, { issued_for: 'alice@example.com', lifetime: 60 })
  clock.advance({ seconds: 60 })

  const bad = [bobs.token, late.token, revoked.token, spent.token, `${bobs.token}x`, `mii_${'A'.repeat(43)}`, 'something-else']
  const said = new Set<string>()
  for (const token of bad) said.add(unauthorized(await register(alice, token), token))
  assert.equal(said.size, 1, [...said].join('\n'))
  const why = (await detailsOf(started, { outcome: 'denied' })).map(({ sentence }) => sentence)
  for (const part of [
    `initial access token ${bobs.id}, which was issued for somebody else.`,
    `initial access token ${late.id}, which has expired.`,
    `initial access token ${revoked.id}, which was revoked.`,
    `initial access token ${spent.id}, which was used as often as it may be.`,
    'something that as an initial access token is not known here.',
  ])
    assert.ok(why.includes(`alice@example.com showed ${part}`), part)
  assert.equal((await register(alice)).status, 201, 'without one the other way is open')
  assert.equal((await register(bob, bobs.token)).status, 201, 'whom it is for may use it still')
  assert.equal(
    (await register(mallory, (await made(started, { issued_for: '*' })).token)).status,
    403,
    'a token is no grant: the policy decides',
  )
  assert.equal((await register(ci, (await made(started, { issued_for: 'tag:ci' })).token)).status, 403)
  const texts = JSON.stringify([logged, await listed(started)])
  for (const { token } of [bobs, short, revoked, spent]) assert.equal(texts.includes(token), false)
  assert.deepEqual(
    (await daemon.deps.store.engine.all<Record<string, unknown>>('SELECT * FROM initial_access_tokens LIMIT 20', {})).filter((row) =>
      Object.values(row).some((value) => String(value).startsWith('mii_')),
    ),
    [],
    'only digests are kept',
  )
})

test('a token for a tag is for whatever has that tag, where the policy lets it', async (t) => {
  const policy = changedPolicy(({ grants }) => grants.push({ src: ['tag:ci'], app: { register: [{ via: ['initial_access_token'] }] } }))
  const started = await start(t, { policy })
  const { ci, alice } = started
  const { token } = await made(started, { issued_for: 'tag:ci', uses: 2 })
  unauthorized(await register(alice, token))
  assert.equal((await register(ci)).status, 403)
  assert.equal((await register(ci, token)).status, 201)
})

test('a use counts only with the registration that it was shown for: of twenty at once three succeed, and a refused one spends nothing', async (t) => {
  const started = await start(t, { policy: withRegistration({ via: ['initial_access_token'], max_clients: 4 }) })
  const { alice } = started
  const { token } = await made(started, { issued_for: '*', uses: 3 })
  assert.equal((await register(alice, token, { client_secret: 'chosen' })).status, 400)
  const answers = await Promise.all(Array.from({ length: 20 }, () => register(alice, token)))
  assert.deepEqual([answers.filter(({ status }) => status === 201).length, answers.filter(({ status }) => status === 401).length], [3, 17])

  const more = await made(started, { issued_for: '*', uses: 9 })
  assert.equal((await register(alice, more.token)).status, 201)
  assert.match((await register(alice, more.token)).text, /has registered 4 clients already/)
  assert.deepEqual(
    (await listed(started)).map(({ used }) => used),
    [1, 3],
  )
})

test('RFC 7592 §2.2: software that came by an initial access token may be updated without another one', async (t) => {
  const started = await start(t, { policy: tokenOnly })
  const { alice } = started
  const { token } = await made(started, { issued_for: '*' })
  const { client_id, registration_access_token } = (await register(alice, token)).json()
  const update = await alice.send(`/register/${client_id}`, {
    method: 'PUT',
    json: { client_id, redirect_uris, client_name: 'Renamed' },
    headers: { authorization: `Bearer ${registration_access_token}` },
  })
  assert.deepEqual([update.status, update.json().client_name], [200, 'Renamed'])
})

test('what an admin may make and end: for a login, a tag or anybody, once or often, and a revoked one cannot be revoked', async (t) => {
  const started = await start(t)
  const run = (name: string, input: object) => runAction(started.daemon.deps, `tokens.initial.${name}`, input)
  for (const issued_for of ['group:eng', '*@example.com', 'client:grafana', '', 'a b', '100.64.0.1'])
    await assert.rejects(run('create', { issued_for }), { code: 'invalid_request' }, issued_for)
  for (const more of [{ uses: 0 }, { uses: 1001 }, { lifetime: 0 }, { lifetime: 400 * 86_400 }])
    await assert.rejects(run('create', { issued_for: '*', ...more }), { code: 'invalid_request' })
  const { id, expires_at } = await made(started, { issued_for: '*' })
  assert.equal(expires_at, started.clock.now() + 7 * 86_400)
  await run('revoke', { id })
  await assert.rejects(run('revoke', { id }), { code: 'not_found' })
  assert.equal((await listed(started))[0]?.state, 'revoked')
})
