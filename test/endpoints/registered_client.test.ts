import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runAction } from '../../src/admin/actions.ts'
import { changedPolicy, policyClient, wiki, withRegistration } from '../support/example_policy.ts'
import { until } from '../support/local_api.ts'
import type { Answer, Person, Refusal, TestClient } from '../support/person.ts'
import { type Started, start } from '../support/start.ts'

const redirect_uris = ['http://127.0.0.1:9/callback']
type Registered = TestClient & { registration_access_token: string }

const registered = async (person: Person, metadata?: Record<string, unknown>) => (await person.register(metadata)) as Registered
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const read = (person: Person, { client_id, registration_access_token }: Registered) =>
  person.send(`/register/${client_id}`, { headers: bearer(registration_access_token) })
const remove = (person: Person, { client_id, registration_access_token }: Registered) =>
  person.send(`/register/${client_id}`, { method: 'DELETE', headers: bearer(registration_access_token) })
const update = (person: Person, { client_id, registration_access_token }: Registered, metadata: object = {}) =>
  person.send(`/register/${client_id}`, {
    method: 'PUT',
    json: { client_id, redirect_uris, ...metadata },
    headers: bearer(registration_access_token),
  })

const show = ({ daemon }: Started, client_id: string) =>
  runAction(daemon.deps, 'clients.show', { client_id }) as Promise<Record<string, unknown>>

/** RFC 7592 §2.1: 401, the same whatever was wrong. */
function unknown(answer: Answer, label = ''): void {
  assert.deepEqual([answer.status, answer.json().error], [401, 'invalid_token'], label)
  assert.match(String(answer.headers['www-authenticate']), /^Bearer error="invalid_token"/)
  assert.equal(answer.headers['cache-control'], 'no-store')
}

test('RFC 7592 §2.1: a client reads what is registered, without its secret, as often as it likes, with the token that it has [threats 178]', async (t) => {
  const { alice, issuer } = await start(t, { policy: withRegistration({ confidential: true }) })
  const client = await registered(alice, { client_name: 'Notes', token_endpoint_auth_method: 'client_secret_basic' })
  for (let times = 0; times < 3; times++) {
    const answer = await read(alice, client)
    assert.deepEqual([answer.status, answer.headers['cache-control']], [200, 'no-store'])
    const { client_id_issued_at, ...body } = answer.json()
    assert.equal(typeof client_id_issued_at, 'number')
    assert.deepEqual(body, {
      client_id: client.client_id,
      redirect_uris,
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      client_name: 'Notes',
      client_secret_expires_at: 0,
      registration_access_token: client.registration_access_token,
      registration_client_uri: `${issuer}/register/${client.client_id}`,
    })
    assert.ok(!answer.text.includes(String(client.client_secret)))
  }
})

test('RFC 7592 §2.2: an update replaces everything, and the registration access token with it', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await registered(alice, { client_name: 'Notes', scope: 'wiki:read' })
  const answer = await update(alice, client, { client_name: 'Better notes', token_endpoint_auth_method: 'none', colour: 'red' })
  assert.equal(answer.status, 200, answer.text)
  const body = answer.json()
  assert.deepEqual(
    [body.client_name, body.scope, body.grant_types, body.colour],
    ['Better notes', undefined, ['authorization_code'], undefined],
  )
  assert.notEqual(body.registration_access_token, client.registration_access_token)
  unknown(await read(alice, client), 'the old token')
  const fresh = { ...client, registration_access_token: String(body.registration_access_token) }
  assert.equal((await read(alice, fresh)).json().client_name, 'Better notes')
  const shown = await show(started, client.client_id)
  assert.deepEqual([shown.owner, shown.owner_name], ['userid:101', 'alice@example.com'])
  const { decisions } = (await runAction(started.daemon.deps, 'decisions.list', { client_id: client.client_id })) as {
    decisions: { entry: string }[]
  }
  assert.deepEqual(
    decisions.map(({ entry }) => entry),
    ['register', 'register'],
  )
})

test('RFC 7592 §2.1: a token that is missing, foreign, used up or of a deleted client opens nothing; one shown for another client is revoked [threats 175, 179]', async (t) => {
  const { alice, bob } = await start(t)
  const methods = ['GET', 'PUT', 'DELETE'] as const
  const ask = (person: Person, method: (typeof methods)[number], client_id: string, authorization?: string) =>
    person.send(`/register/${client_id}`, {
      method,
      headers: authorization === undefined ? {} : { authorization },
      ...(method === 'PUT' && { json: { client_id, redirect_uris } }),
    })
  const mine = await registered(alice)
  for (const method of methods) {
    const bare = await ask(alice, method, mine.client_id)
    assert.deepEqual([bare.status, bare.headers['www-authenticate']], [401, 'Bearer'], 'RFC 6750 §3.1: no code where nothing was sent')
    const other = await ask(alice, method, mine.client_id, 'Basic eDp5')
    assert.deepEqual([other.status, other.headers['www-authenticate']], [401, 'Bearer'], 'nor for another scheme')
    for (const authorization of ['Bearer', 'Bearer ', 'Bearer a b']) {
      const malformed = await ask(alice, method, mine.client_id, authorization)
      assert.deepEqual([malformed.status, malformed.json().error], [400, 'invalid_request'], authorization)
    }
    for (const authorization of [
      `Bearer ${mine.registration_access_token}x`,
      `Bearer ${mine.registration_access_token.toUpperCase()}`,
      `Bearer ${mine.client_id}`,
    ])
      unknown(await ask(alice, method, mine.client_id, authorization), `${method} ${authorization}`)
  }
  assert.equal((await read(alice, mine)).status, 200, 'none of that did harm')

  for (const method of methods) {
    const [own, other] = [await registered(alice), await registered(bob)]
    unknown(await ask(alice, method, other.client_id, `Bearer ${own.registration_access_token}`), `${method} of another client`)
    assert.equal((await read(bob, other)).status, 200, 'the other client is untouched')
    unknown(await read(alice, own), 'the token is revoked')
    const lost = await registered(alice)
    unknown(
      await ask(alice, method, 'dcr_01AAAAAAAAAAAAAAAAAAAAAAAA', `Bearer ${lost.registration_access_token}`),
      `${method} of no client`,
    )
    unknown(await read(alice, lost), 'revoked as well')
  }
  await remove(alice, mine)
  for (const method of methods)
    unknown(await ask(alice, method, mine.client_id, `Bearer ${mine.registration_access_token}`), `${method} of a deleted client`)
  unknown(
    await ask(alice, 'GET', 'client:grafana', `Bearer ${(await registered(alice)).registration_access_token}`),
    'a client of the policy',
  )
})

test('RFC 7592 §2.2: an update chooses no id and no secret, and names the client that it is for; a refused one changes nothing [threats 176]', async (t) => {
  const { alice, bob } = await start(t, { policy: withRegistration({ confidential: true }) })
  const client = await registered(alice, { token_endpoint_auth_method: 'client_secret_basic' })
  const other = await registered(bob)
  const before = (await read(alice, client)).text
  for (const metadata of [
    { client_id: other.client_id },
    { client_id: undefined },
    { client_id: `${client.client_id} ` },
    { client_secret: 'chosen-by-the-client' },
    { client_secret: '' },
    { client_secret: [client.client_secret] },
    { client_secret_expires_at: 9_999_999_999 },
    { registration_access_token: 'chosen' },
    { client_name: 'Grafana' },
  ]) {
    const answer = await update(alice, client, metadata)
    assert.deepEqual([answer.status, answer.json().error], [400, 'invalid_client_metadata'], JSON.stringify(metadata))
  }
  assert.equal((await update(alice, client, { redirect_uris: ['javascript:alert(1)'] })).json().error, 'invalid_redirect_uri')
  assert.equal((await read(alice, client)).text, before, 'the token too is the same')
  await assert.rejects(alice.introspect({ ...client, client_secret: 'chosen-by-the-client' }, 'x'), { status: 401 })
  assert.deepEqual(await alice.introspect(client, 'x'), { active: false })
})

test('RFC 7592 §2.2: a secret may be repeated; it stays with a confidential client, goes from a public one, and is made anew for one that becomes confidential', async (t) => {
  const { alice } = await start(t, { policy: withRegistration({ confidential: true }) })
  let client = await registered(alice, { token_endpoint_auth_method: 'client_secret_basic' })
  const change = async (metadata: object) => {
    const body = (await update(alice, client, metadata)).json()
    client = { ...client, registration_access_token: String(body.registration_access_token) }
    return body
  }
  const kept = await change({ token_endpoint_auth_method: 'client_secret_basic', client_secret: client.client_secret })
  assert.deepEqual([kept.client_secret, kept.client_secret_expires_at], [undefined, 0])
  assert.deepEqual(await alice.introspect(client, 'x'), { active: false }, 'still the secret')

  const open = await change({ token_endpoint_auth_method: 'none' })
  assert.deepEqual([open.client_secret, open.client_secret_expires_at], [undefined, undefined])
  await assert.rejects(alice.introspect(client, 'x'), { status: 401 })

  const closed = await change({ token_endpoint_auth_method: 'client_secret_basic' })
  assert.match(String(closed.client_secret), /^mis_/)
  await assert.rejects(alice.introspect(client, 'x'), { status: 401 }, 'the first secret is gone for good')
  assert.deepEqual(await alice.introspect({ ...client, client_secret: String(closed.client_secret) }, 'x'), { active: false })
})

test("an update is decided anew, by today's policy, and only for whom the consent page names as the registrant", async (t) => {
  const started = await start(t)
  const { alice, alicePhone, bob, mallory } = started
  const client = await registered(alice)
  for (const stranger of [bob, mallory]) {
    const answer = await update(stranger, client, { redirect_uris: ['https://evil.example/cb'] })
    assert.deepEqual([answer.status, answer.json().error], [403, 'access_denied'])
    assert.match(String(answer.json().error_description), /may not change software that alice@example\.com registered/)
    assert.equal(typeof answer.json().decision_id, 'string')
  }
  assert.deepEqual((await read(alice, client)).json().redirect_uris, redirect_uris)

  assert.equal(started.setPolicy(withRegistration({ redirect_uris: ['app.example.com'] })).ok, true)
  const answer = await update(alice, client)
  assert.deepEqual([answer.status, answer.json().error], [403, 'access_denied'])
  assert.equal(started.setPolicy(changedPolicy((policy) => void policy.grants.shift())).ok, true)
  assert.equal((await update(alice, client)).status, 403)
  assert.equal((await read(alice, client)).status, 200, 'what is registered may still be read and deleted')
  assert.equal(started.setPolicy(withRegistration({ metadata: 'strict' })).ok, true)
  assert.equal((await update(alice, client, { colour: 'red' })).json().error, 'invalid_client_metadata')
  assert.equal((await update(alicePhone, client)).status, 200)
})

test('of two updates at the same moment one wins, and the other changes nothing', async (t) => {
  const { alice } = await start(t)
  const client = await registered(alice)
  const answers = await Promise.all(['One', 'Two', 'Three'].map((client_name) => update(alice, client, { client_name })))
  const [won, ...more] = answers.filter(({ status }) => status === 200)
  assert.equal(more.length, 0)
  assert.ok(answers.every(({ status }) => [200, 400, 401].includes(status)))
  const body = won?.json() ?? {}
  const now = await read(alice, { ...client, registration_access_token: String(body.registration_access_token) })
  assert.equal(now.json().client_name, body.client_name)
})

test('RFC 7592 §2.3: a deleted client takes with it every authorization, token, code and consent, at once [threats 110, 478]', async (t) => {
  const started = await start(t)
  const { alice, bob, daemon } = started
  const server = policyClient(started, 'wiki-server')
  const client = await registered(alice)
  const [hers, his, identity] = [
    await alice.signIn(client, wiki),
    await bob.signIn(client, wiki),
    await alice.signIn(client, { scope: 'openid' }),
  ]
  const pending = await alice.code(client, wiki)
  const page = await alice.authorize(client, { ...wiki, prompt: 'consent' })
  const other = await registered(alice)
  const untouched = await alice.signIn(other, wiki)

  const answer = await remove(alice, client)
  assert.deepEqual([answer.status, answer.text, answer.headers['cache-control']], [204, '', 'no-store'])
  const gone = (error: Refusal) => error.status === 401 && error.error === 'invalid_client'
  await assert.rejects(alice.refresh(client, hers), gone)
  await assert.rejects(bob.refresh(client, his), gone)
  await assert.rejects(alice.token(client, { grant_type: 'authorization_code', ...pending, redirect_uri: client.redirect_uri }), gone)
  for (const token of [hers.access_token, his.access_token, String(hers.refresh_token)])
    assert.deepEqual(await alice.introspect(server, token), { active: false })
  const userinfo = await alice.send('/userinfo', { headers: bearer(identity.access_token) })
  assert.deepEqual([userinfo.status, userinfo.json().error], [401, 'invalid_token'])
  assert.equal((await alice.answer(page, 'approve')).status, 400)
  assert.equal((await alice.authorize(client, wiki)).status, 400)

  const { authorizations } = (await runAction(daemon.deps, 'authorizations.list', {})) as { authorizations: { client_id: string }[] }
  assert.deepEqual(
    authorizations.map(({ client_id }) => client_id),
    [other.client_id],
  )
  const consents = await daemon.deps.store.engine.all<{ client_id: string }>('SELECT DISTINCT client_id FROM consents', {})
  assert.deepEqual(consents, [{ client_id: other.client_id }])
  assert.equal((await alice.introspect(server, untouched.access_token)).active, true)
  const again = await started.restart()
  await assert.rejects(again.alice.refresh(client, hers), gone)
})

test('a client that an admin revokes is as gone as one that deletes itself [threats 110]', async (t) => {
  const started = await start(t)
  const client = await registered(started.alice)
  const tokens = await started.alice.signIn(client, wiki)
  await runAction(started.daemon.deps, 'clients.revoke', { client_id: client.client_id })
  unknown(await read(started.alice, client))
  assert.deepEqual(await started.alice.introspect(policyClient(started, 'wiki-server'), tokens.access_token), { active: false })
  await assert.rejects(started.alice.refresh(client, tokens), { status: 401 })
})

test('pages of other origins are refused here as at /register [threats 154, 155]', async (t) => {
  const app = 'https://app.example.com'
  const { alice } = await start(t, { config: { browser_clients: [app] } })
  const client = await registered(alice)
  const ask = (headers: Record<string, string>) =>
    alice.send(`/register/${client.client_id}`, { headers: { ...bearer(client.registration_access_token), ...headers } })
  for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }])
    assert.deepEqual([(await ask(headers)).status, (await ask(headers)).headers['access-control-allow-origin']], [403, undefined])
  const fine = await ask({ origin: app, 'sec-fetch-site': 'cross-site' })
  assert.deepEqual([fine.status, fine.headers['access-control-allow-origin']], [200, app])
  const preflight = await alice.send(`/register/${client.client_id}`, { method: 'OPTIONS', headers: { origin: app } })
  assert.equal(preflight.headers['access-control-allow-methods'], 'GET, PUT, DELETE, OPTIONS')
  const post = await alice.send(`/register/${client.client_id}`, { json: {} })
  assert.deepEqual([post.status, post.headers.allow], [405, 'GET, PUT, DELETE, OPTIONS'])
})

test('while the mesh is dark a client can be read and deleted; an update, which needs an identity, is 503', async (t) => {
  const { alice, mesh } = await start(t)
  const client = await registered(alice)
  mesh.change({ state: 'Stopped' })
  await until(async () => (await alice.send('/readyz')).status === 503)
  const answer = await update(alice, client)
  assert.deepEqual([answer.status, answer.json().error], [503, 'temporarily_unavailable'])
  assert.ok(answer.headers['retry-after'])
  assert.equal((await read(alice, client)).status, 200)
  assert.equal((await remove(alice, client)).status, 204)
})
