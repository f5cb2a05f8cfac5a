import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changedPolicy, grafanaCallback, policyClient, wiki } from '../support/example_policy.ts'
import { until } from '../support/local_api.ts'
import type { Answer, Person } from '../support/person.ts'
import { start } from '../support/start.ts'

const everything = 'openid profile email groups'
const userinfo = (person: Person, token: string, method = 'GET') =>
  person.send('/userinfo', { method, headers: { authorization: `Bearer ${token}` } })

/** RFC 6750 §3: the refusal stands in the header as in the body. */
function refused(answer: Answer, status: number, error: string, label = ''): Record<string, unknown> {
  const body = answer.json()
  assert.deepEqual([answer.status, body.error, answer.headers['cache-control']], [status, error, 'no-store'], `${label} ${answer.text}`)
  assert.match(
    String(answer.headers['www-authenticate']),
    new RegExp(`^Bearer error="${error}", error_description="[\\x20-\\x21\\x23-\\x5b\\x5d-\\x7e]+"`),
    label,
  )
  return body
}

test('OpenID Connect Core §5.3: GET and POST tell what the scopes let out, with the sub of the ID token', async (t) => {
  const started = await start(t)
  const { alice, carol } = started
  const client = await alice.register()
  const all = {
    sub: 'userid:101',
    name: 'Alice Example',
    preferred_username: 'alice@example.com',
    email: 'alice@example.com',
    email_verified: true,
    groups: ['group:eng', 'group:oncall'],
  }
  const tokens = await alice.signIn(client, { scope: everything })
  const claims = JSON.parse(Buffer.from(String(tokens.id_token).split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
  for (const method of ['GET', 'POST']) {
    const answer = await userinfo(alice, tokens.access_token, method)
    assert.deepEqual([answer.status, answer.headers['cache-control']], [200, 'no-store'])
    assert.match(String(answer.headers['content-type']), /^application\/json(;|$)/)
    assert.deepEqual(answer.json(), all)
    assert.equal(answer.json().sub, claims.sub)
  }
  const less = await carol.signIn(client, { scope: 'openid email' })
  assert.deepEqual((await userinfo(carol, less.access_token)).json(), {
    sub: 'userid:103',
    email: 'carol@example.com',
    email_verified: true,
  })
  assert.deepEqual((await userinfo(alice, less.access_token)).json().sub, 'userid:103', 'of whom the token speaks, not of who shows it')
  const fromPage = await alice.send('/userinfo', {
    headers: { authorization: `bearer ${tokens.access_token}`, origin: 'https://app.example.com' },
  })
  assert.deepEqual(
    [fromPage.status, fromPage.headers['access-control-allow-origin'], fromPage.headers['access-control-allow-credentials']],
    [200, '*', undefined],
  )
})

test('RFC 6750 §3.1: no token, or another scheme, is a bare challenge, a malformed header invalid_request, a bad token invalid_token, a token without openid insufficient_scope [threats 121, 305, 307]', async (t) => {
  const { alice } = await start(t)
  const client = await alice.register()
  const { access_token: token, id_token, refresh_token } = await alice.signIn(client, { scope: 'openid offline_access' })
  for (const method of ['GET', 'POST']) {
    const bare = await alice.send('/userinfo', { method })
    assert.deepEqual([bare.status, bare.headers['www-authenticate'], bare.headers['cache-control']], [401, 'Bearer', 'no-store'])
  }
  const [header, payload, signature] = token.split('.')
  for (const bad of [
    'x',
    `${token}x`,
    token.slice(0, -1),
    `${header}.${payload}.`,
    `${payload}.${header}.${signature}`,
    String(id_token),
    String(refresh_token),
  ])
    refused(await userinfo(alice, bad), 401, 'invalid_token', bad)
  for (const authorization of ['Bearer', 'Bearer ', `bearer\t${token}`, `Bearer ${token} x`, `Bearer ${token}, Bearer ${token}`])
    refused(await alice.send('/userinfo', { headers: { authorization } }), 400, 'invalid_request', authorization)
  for (const authorization of ['Basic YTpi', `Basic ${token}`, `DPoP ${token}`, `Bearer.${token}`, token]) {
    const other = await alice.send('/userinfo', { headers: { authorization } })
    assert.deepEqual([other.status, other.headers['www-authenticate']], [401, 'Bearer'], `${authorization}: no code, as without any`)
  }

  const without = await alice.signIn(client, { scope: 'profile' })
  refused(await userinfo(alice, without.access_token), 403, 'insufficient_scope')
  assert.match(String((await userinfo(alice, without.access_token)).headers['www-authenticate']), /, scope="openid"$/)

  const inQuery = await alice.send(`/userinfo?access_token=${token}`)
  const inBody = await alice.send('/userinfo', { form: { access_token: token } })
  assert.deepEqual([inQuery.status, inBody.status], [401, 401], 'OAuth 2.1 §5.1: never from query or body')
  assert.equal((await userinfo(alice, token)).status, 200)
})

test('RFC 9068 §4: a token for a resource is worth nothing here, also one that holds openid [threats 263, 307]', async (t) => {
  const { alice } = await start(t)
  const client = await alice.register()
  for (const scope of ['wiki:read', 'wiki:read openid profile']) {
    const tokens = await alice.signIn(client, { ...wiki, scope })
    const body = refused(await userinfo(alice, tokens.access_token), 401, 'invalid_token', scope)
    assert.match(String(body.error_description), /is for http:\/\/localhost:8490\/mcp, not for userinfo/)
  }
})

test('claims are those of today: another name, fewer groups, fewer scopes; and who is gone or tagged has none [threats 308]', async (t) => {
  const started = await start(t)
  const { alice, mesh } = started
  const client = policyClient(started, 'grafana', grafanaCallback)
  const { access_token: token } = await alice.signIn(client, { scope: everything })
  const seen = async () => (await userinfo(alice, token)).json()
  const policyWith = (change: Parameters<typeof changedPolicy>[0]) => assert.equal(started.setPolicy(changedPolicy(change)).ok, true)

  mesh.change({ people: { 'alice@example.com': { name: 'Alice Married' } } })
  await until(async () => (await seen()).name === 'Alice Married')
  policyWith((policy) => {
    policy.groups['group:eng'] = ['bob@example.com']
  })
  assert.deepEqual((await seen()).groups, ['group:oncall'])
  policyWith((policy) => {
    for (const { app, dst } of policy.grants)
      for (const one of dst?.includes('client:grafana') ? (app.authorize ?? []) : []) one.scopes = ['openid', 'profile']
  })
  assert.deepEqual(Object.keys(await seen()).sort(), ['name', 'preferred_username', 'sub'])
  policyWith((policy) => {
    for (const grant of policy.grants) if (grant.dst?.includes('client:grafana')) grant.src = ['bob@example.com']
  })
  const body = refused(await userinfo(alice, token), 401, 'invalid_token')
  assert.match(String(body.error_description), /alice@example\.com may not sign in to client:grafana.*Decision /)
  policyWith(() => undefined)
  assert.equal((await seen()).sub, 'userid:101')

  mesh.change({ machines: { 'alice-laptop': { owner: undefined, tags: ['tag:ci'] }, 'alice-phone': { removed: true } } })
  await until(async () => (await userinfo(alice, token)).status === 401)
  refused(await userinfo(alice, token), 401, 'invalid_token', 'her machine is tagged now')
  mesh.change({ machines: { 'alice-laptop': { owner: 'bob@example.com', tags: undefined } } })
  await until(async () => String((await userinfo(alice, token)).headers['www-authenticate']).includes('not in the mesh now'))
  mesh.change({ machines: { 'alice-laptop': { owner: 'alice@example.com' } } })
  await until(async () => (await userinfo(alice, token)).status === 200)
})

test('userinfo after the end: expired, revoked, or with its client gone [threats 110]', async (t) => {
  const started = await start(t)
  const { alice, clock } = started
  const client = await alice.register()
  const [first, second, third] = [
    await alice.signIn(client, { scope: 'openid' }),
    await alice.signIn(client, { scope: 'openid' }),
    await alice.signIn(client, { scope: 'openid' }),
  ]
  await alice.send('/revoke', { form: { client_id: client.client_id, token: first.access_token } })
  refused(await userinfo(alice, first.access_token), 401, 'invalid_token')
  await alice.send('/revoke', { form: { client_id: client.client_id, token: String(second.refresh_token) } })
  refused(await userinfo(alice, second.access_token), 401, 'invalid_token')
  clock.advance({ seconds: 299 })
  assert.equal((await userinfo(alice, third.access_token)).status, 200)
  clock.advance({ seconds: 1 })
  refused(await userinfo(alice, third.access_token), 401, 'invalid_token')
  const fourth = await alice.signIn(client, { scope: 'openid' })
  await alice.send(`/register/${client.client_id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${client.registration_access_token}` },
  })
  refused(await userinfo(alice, fourth.access_token), 401, 'invalid_token')
})

test('a client that the policy names no longer has no userinfo and no living tokens [threats 110, 299]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const { access_token: token } = await alice.signIn(policyClient(started, 'grafana', grafanaCallback), { scope: 'openid' })
  const without = changedPolicy((policy) => {
    delete policy.clients['client:grafana']
    policy.grants = policy.grants
      .map((grant) => ({ ...grant, ...(grant.dst && { dst: grant.dst.filter((one) => one !== 'client:grafana') }) }))
      .filter(({ dst }) => dst?.length !== 0)
  })
  assert.equal(started.setPolicy(without).ok, true)
  const body = refused(await userinfo(alice, token), 401, 'invalid_token')
  assert.match(String(body.error_description), /client:grafana is not known any more/)
})

test('while the mesh is dark nobody is called invalid: 503 with Retry-After', async (t) => {
  const { alice, mesh } = await start(t)
  const { access_token: token } = await alice.signIn(await alice.register(), { scope: 'openid' })
  mesh.change({ state: 'NoState' })
  await until(async () => (await alice.send('/readyz')).status === 503)
  const answer = await userinfo(alice, token)
  assert.deepEqual([answer.status, answer.json().error, answer.headers['www-authenticate']], [503, 'temporarily_unavailable', undefined])
  assert.match(String(answer.headers['retry-after']), /^\d+$/)
  mesh.change({ state: 'Running' })
  await until(async () => (await userinfo(alice, token)).status === 200)
})
