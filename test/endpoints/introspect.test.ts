import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runAction } from '../../src/admin/actions.ts'
import { changedPolicy, grafanaCallback, policyClient, wiki, withRegistration } from '../support/example_policy.ts'
import { until } from '../support/local_api.ts'
import { type Started, start } from '../support/start.ts'

const notes = { resource: 'http://localhost:8491/mcp', scope: 'notes:read' }
const inactive = { active: false }
const basic = (id: string, secret: string) => ({ authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` })
const deniedRows = async ({ daemon }: Started) =>
  (
    (await runAction(daemon.deps, 'decisions.list', { outcome: 'denied' })) as {
      decisions: { entry: string; reason: string; count: number; client_id: string; principal: string | null }[]
    }
  ).decisions

test('RFC 7662 §2.2: a living token is told in full, with its state of now', async (t) => {
  const started = await start(t, { policy: withRegistration({ confidential: true }) })
  const { alice, issuer, clock } = started
  const client = await alice.register({ token_endpoint_auth_method: 'client_secret_basic' })
  const began = clock.now()
  const tokens = await alice.signIn(client, { ...wiki, scope: 'wiki:read wiki:write' })
  const common = {
    active: true,
    scope: 'wiki:read wiki:write',
    client_id: client.client_id,
    username: 'alice@example.com',
    sub: 'userid:101',
    iss: issuer,
    iat: began,
  }
  clock.advance({ seconds: 299 })
  const { jti, ...access } = await alice.introspect(policyClient(started, 'wiki-server'), tokens.access_token)
  assert.match(String(jti), /^[0-9A-Z]+\.[\w-]{16}$/)
  assert.deepEqual(access, { ...common, token_type: 'Bearer', aud: wiki.resource, exp: began + 300, auth_time: began })
  assert.deepEqual(await alice.introspect(client, String(tokens.refresh_token)), { ...common, exp: began + 30 * 86_400 })
  clock.advance({ seconds: 1 })
  assert.deepEqual(await alice.introspect(client, tokens.access_token), inactive, 'its end is no longer within')
  const answer = await alice.send('/introspect', { form: { token: 'x' }, headers: basic(client.client_id, String(client.client_secret)) })
  assert.deepEqual([answer.status, answer.headers['cache-control'], answer.text], [200, 'no-store', '{"active":false}'])
})

test('RFC 7662 §2.1, §4: only a client that proves itself may ask; a public client, a stranger and a wrong secret are 401 [threats 292]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const open = await alice.register()
  const { access_token: token } = await alice.signIn(open, wiki)
  const { client_id, client_secret } = policyClient(started, 'wiki-server')
  const attempts: [Record<string, string>, Record<string, string>][] = [
    [{}, {}],
    [{ client_id: open.client_id }, {}],
    [{ client_id }, {}],
    [{ client_id, client_secret: `${client_secret}x` }, {}],
    [{ client_id: 'client:nobody', client_secret }, {}],
    [{}, basic(client_id, '')],
    [{}, basic(client_id, `${client_secret}x`)],
    [{}, basic(open.client_id, '')],
    [{}, { authorization: `Bearer ${token}` }],
  ]
  for (const [form, headers] of attempts) {
    const answer = await alice.send('/introspect', { form: { token, ...form }, headers })
    assert.deepEqual([answer.status, answer.json().error], [401, 'invalid_client'], JSON.stringify([form, headers]))
    assert.equal(answer.headers['cache-control'], 'no-store')
    if (headers.authorization?.startsWith('Basic')) assert.match(String(answer.headers['www-authenticate']), /^Basic/, 'RFC 6749 §5.2')
  }
  assert.equal((await alice.send('/introspect', { form: { token, client_id, client_secret } })).json().active, true)
})

test('RFC 7662 §4: a token of another resource, of another client, or a refresh token of another client is no more than inactive [threats 293, 296]', async (t) => {
  const started = await start(t, { policy: withRegistration({ confidential: true }) })
  const { alice, bob } = started
  const [mine, theirs] = [
    await alice.register({ token_endpoint_auth_method: 'client_secret_basic' }),
    await bob.register({ token_endpoint_auth_method: 'client_secret_basic' }),
  ]
  const tokens = await alice.signIn(mine, wiki)
  const others = await alice.signIn(mine, notes)
  const server = policyClient(started, 'wiki-server')
  assert.equal((await alice.introspect(mine, tokens.access_token)).active, true, 'its own')
  assert.equal((await alice.introspect(server, tokens.access_token)).active, true, 'of its resource')
  for (const [client, token, what] of [
    [theirs, tokens.access_token, 'another client'],
    [theirs, String(tokens.refresh_token), 'the refresh token of another client'],
    [server, String(tokens.refresh_token), 'a refresh token, though of its resource'],
    [server, others.access_token, 'another resource'],
    [policyClient(started, 'notes-server'), tokens.access_token, 'another resource'],
    [policyClient(started, 'grafana', grafanaCallback), tokens.access_token, 'a client without the capability'],
  ] as const)
    assert.deepEqual(await bob.introspect(client, token), inactive, what)

  const rows = await deniedRows(started)
  assert.ok(
    rows.some(({ entry, client_id, reason }) => entry === 'introspect' && client_id === 'client:grafana' && reason === 'no_grant'),
    'so that its admin learns why',
  )
})

test('RFC 7662 §2.2: whatever is no token of ours is inactive, and nothing is told apart [threats 121, 122, 307]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const server = policyClient(started, 'wiki-server')
  const client = await alice.register()
  const tokens = await alice.signIn(client, { ...wiki, scope: 'wiki:read openid' })
  const token = tokens.access_token
  const [header = '', payload = '', signature = ''] = token.split('.')
  const none = Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')
  const last = signature.at(-1) ?? ''
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const twin = alphabet[alphabet.indexOf(last) ^ 1]
  for (const text of [
    ...['x', '.', '..', '...', 'null', '[]', "' OR 1=1 --", 'mir_', 'mic_x', 'x'.repeat(20_000)],
    ...[1, 10, token.length - 1].map((length) => token.slice(0, length)),
    ...[`${token}x`, ` ${token}`, `${token} `, `${token}.`, token.toUpperCase(), token.replace('.', '..')],
    ...[
      `${header}.${payload}.`,
      `${none}.${payload}.`,
      `${none}.${payload}.${signature}`,
      `${header}.${payload}.${signature.slice(0, -1)}${twin}`,
    ],
    `${header}.${Buffer.from(Buffer.from(payload, 'base64url').toString().replace('wiki:read', 'wiki:writ')).toString('base64url')}.${signature}`,
    String(tokens.id_token),
    `${String(tokens.refresh_token)}x`,
  ])
    assert.deepEqual(await alice.introspect(server, text), inactive, text.slice(0, 80))
  assert.equal((await alice.introspect(server, token)).active, true)
})

test('RFC 7662 §2.1: a hint is only a hint: a wrong or unknown one finds the token all the same [threats 295]', async (t) => {
  const started = await start(t, { policy: withRegistration({ confidential: true }) })
  const { alice } = started
  const client = await alice.register({ token_endpoint_auth_method: 'client_secret_post' })
  const tokens = await alice.signIn(client, wiki).catch(() => undefined)
  assert.equal(tokens, undefined, 'this client authenticates in the body')
  const post = { client_id: client.client_id, client_secret: String(client.client_secret) }
  const { code, code_verifier } = await alice.code(client, wiki)
  const issued = (
    await alice.send('/token', {
      form: { ...post, grant_type: 'authorization_code', code, code_verifier, redirect_uri: client.redirect_uri },
    })
  ).json()
  for (const token of [String(issued.access_token), String(issued.refresh_token)])
    for (const token_type_hint of ['access_token', 'refresh_token', 'id_token', 'constructor', '']) {
      const answer = await alice.send('/introspect', { form: { ...post, token, token_type_hint } })
      assert.equal(answer.json().active, true, token_type_hint)
    }
})

test('RFC 7662 §2.1: only POST, and nothing in the query counts [threats 298]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const { access_token: token } = await alice.signIn(await alice.register(), wiki)
  const { client_id, client_secret } = policyClient(started, 'wiki-server')
  const query = `?token=${token}&client_id=${client_id}&client_secret=${client_secret}`
  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE']) {
    const answer = await alice.send(`/introspect${query}`, { method, headers: basic(client_id, client_secret) })
    assert.deepEqual([answer.status, answer.headers.allow, answer.headers['cache-control']], [405, 'POST', 'no-store'], method)
  }
  const posted = await alice.send(`/introspect?token=${token}`, { form: {}, headers: basic(client_id, client_secret) })
  assert.deepEqual([posted.status, posted.json().error], [400, 'invalid_request'])
  assert.match(String(posted.json().error_description), /'token' is missing/)
  const twice = await alice.send('/introspect', { form: { token: [token, token] }, headers: basic(client_id, client_secret) })
  assert.equal(twice.status, 400)
  const json = await alice.send('/introspect', { json: { token }, headers: basic(client_id, client_secret) })
  assert.equal(json.status, 415)
  const preflight = await alice.send('/introspect', { method: 'OPTIONS', headers: { origin: 'https://app.example.com' } })
  assert.equal(preflight.headers['access-control-allow-origin'], undefined, 'it is for servers, not for pages')
})

test('RFC 7662 §2.2: what policy and mesh say today counts at once: fewer scopes, none, another group, a person who is gone [threats 299, 308]', async (t) => {
  const started = await start(t)
  const { alice, clock, mesh } = started
  const server = policyClient(started, 'wiki-server')
  const client = await alice.register()
  const { access_token: token } = await alice.signIn(client, { ...wiki, scope: 'wiki:read wiki:write' })
  const seen = async () => {
    const { active, scope } = await alice.introspect(server, token)
    return active ? scope : 'inactive'
  }
  const policyWith = (change: Parameters<typeof changedPolicy>[0]) => assert.equal(started.setPolicy(changedPolicy(change)).ok, true)

  policyWith((policy) => {
    for (const { app } of policy.grants)
      for (const one of app.authorize ?? []) one.scopes = (one.scopes as string[]).filter((scope) => scope !== 'wiki:write')
  })
  assert.equal(await seen(), 'wiki:read')
  policyWith((policy) => {
    policy.groups['group:eng'] = ['bob@example.com']
  })
  assert.equal(await seen(), 'inactive', 'out of the group')
  policyWith((policy) => {
    policy.resources['resource:wiki'] = { ...policy.resources['resource:wiki'], allow_unverified_clients: false }
  })
  assert.equal(await seen(), 'inactive', 'no longer with this software')
  policyWith((policy) => {
    policy.resources['resource:wiki'] = { ...policy.resources['resource:wiki'], uri: 'http://localhost:9999/mcp' }
  })
  assert.equal(await seen(), 'inactive', 'no such resource')
  policyWith((policy) => {
    for (const grant of policy.grants) if (grant.app.introspect) grant.src = ['client:notes-server']
  })
  assert.equal(await seen(), 'inactive', 'this server may no longer look')
  policyWith(() => undefined)
  assert.equal(await seen(), 'wiki:read wiki:write', 'a mistake undone heals')

  mesh.change({ machines: { 'alice-laptop': { expired: true }, 'alice-phone': { expired: true } } })
  await until(async () => (await seen()) === 'inactive')
  mesh.change({ machines: { 'alice-laptop': { expired: false } } })
  await until(async () => (await seen()) === 'wiki:read wiki:write')
  mesh.change({ machines: { 'alice-laptop': { owner: undefined, tags: ['tag:ci'] }, 'alice-phone': { removed: true } } })
  await until(async () => (await seen()) === 'inactive')
  mesh.change({ machines: { 'alice-laptop': { owner: 'alice@example.com', tags: undefined } } })
  await until(async () => (await seen()) === 'wiki:read wiki:write')
  clock.advance({ seconds: 300 })
  assert.equal(await seen(), 'inactive')
})

test('a denial is written once for each changed outcome, not for each question', async (t) => {
  const started = await start(t)
  const { alice, clock } = started
  const server = policyClient(started, 'wiki-server')
  const client = await alice.register()
  const { access_token: token } = await alice.signIn(client, { ...wiki })
  for (let times = 0; times < 3; times++) assert.equal((await alice.introspect(server, token)).active, true)
  const rows = async () =>
    (await deniedRows(started)).map(({ entry, reason, count, client_id, principal }) => ({ entry, reason, count, client_id, principal }))
  assert.deepEqual(await rows(), [])
  const without = changedPolicy((policy) => {
    policy.groups['group:eng'] = ['bob@example.com']
  })
  started.setPolicy(without)
  for (let times = 0; times < 5; times++) assert.deepEqual(await alice.introspect(server, token), inactive)
  const row = { entry: 'introspect', reason: 'no_grant', count: 1, client_id: client.client_id, principal: 'alice@example.com' }
  assert.deepEqual(await rows(), [row])
  clock.advance({ minutes: 2 })
  await alice.introspect(server, token)
  assert.deepEqual(await rows(), [{ ...row, count: 6 }])
})

test('while the mesh is dark a token that would live is neither active nor inactive: 503 with Retry-After, and nothing is lost', async (t) => {
  const started = await start(t)
  const { alice, mesh } = started
  const server = policyClient(started, 'wiki-server')
  const { access_token: token } = await alice.signIn(await alice.register(), wiki)
  const ask = (text: string) => alice.send('/introspect', { form: { token: text }, headers: basic(server.client_id, server.client_secret) })
  await mesh.stop()
  await until(async () => (await alice.send('/readyz')).status === 503)
  const answer = await ask(token)
  assert.deepEqual([answer.status, answer.json().error], [503, 'temporarily_unavailable'])
  assert.match(String(answer.headers['retry-after']), /^\d+$/)
  assert.equal((await ask('x')).text, '{"active":false}', 'what nobody has to be asked about')
  await mesh.start()
  await until(async () => (await ask(token)).status === 200)
  assert.equal((await ask(token)).json().active, true)
})
