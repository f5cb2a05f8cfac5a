import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { jwtBy, jwtByHmac, newPair } from '../support/assertion.ts'
import { grafanaCallback, policyClient, wiki } from '../support/example_policy.ts'
import type { Refusal, TestClient, Tokens } from '../support/person.ts'
import { type Started, start, unhurried } from '../support/start.ts'
import { assertRefused, confidentialToo, holdAtMesh, inParallel, post, spendable } from '../support/token_request.ts'

test('OAuth 2.1 §3.2: only POST is taken, and credentials in the query count for nothing [threats 85]', async (t) => {
  const { alice } = await start(t)
  const client = await alice.register()
  const { code, code_verifier } = await alice.code(client, wiki)
  const params = new URLSearchParams({ grant_type: 'authorization_code', client_id: client.client_id, code, code_verifier }).toString()
  for (const method of ['GET', 'PUT', 'DELETE']) {
    const answer = await alice.send(`/token?${params}`, { method })
    assertRefused(answer, 'method_not_allowed', 405)
    assert.equal(answer.headers.allow, 'POST, OPTIONS')
  }
  assertRefused(await alice.send(`/token?${params}`, { form: '' }), 'invalid_request')
  assertRefused(
    await alice.send(`/token?client_id=${client.client_id}`, { form: { grant_type: 'authorization_code', code } }),
    'invalid_client',
    401,
  )
  assert.equal((await alice.send(`/token?client_id=other&code=other`, { form: params })).status, 200)
})

test('RFC 6749 §3.2: a body of another type, or not well-formed, is refused and spends nothing [threats 86]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const { code, code_verifier } = await alice.code(client, wiki)
  const form = new URLSearchParams({ grant_type: 'authorization_code', client_id: client.client_id, code, code_verifier }).toString()
  const before = await spendable(started)

  const types = [
    'text/plain',
    'application/json',
    'application/json, application/x-www-form-urlencoded',
    'application/x-www-form-urlencoded, application/json',
    'application/x-www-form-urlencoded; charset=utf-7',
    'application/x-www-form-urlencoded; charset=iso-8859-1',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencodedx',
    'garbage',
    ';',
  ]
  for (const type of types) {
    const answer = await alice.send('/token', { method: 'POST', raw: form, headers: { 'content-type': type } })
    assertRefused(answer, 'unsupported_media_type', 415)
  }
  const untyped = await alice.send('/token', { method: 'POST', raw: form })
  assert.ok([400, 415].includes(untyped.status), untyped.text)
  assertRefused(
    await alice.send('/token', {
      method: 'POST',
      raw: form,
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-encoding': 'gzip' },
    }),
    'unsupported_media_type',
    415,
  )

  const bodies = [
    '',
    `${form}&code=${code}`,
    `${form}&grant_type=authorization_code`,
    `${form}&client_id=${client.client_id}`,
    `${form}&x=%`,
    `${form}&x=%zz`,
    `${form}&x=%ff%fe`,
    `${form}&x=%00`,
    `${form}${'&x'.repeat(200)}`,
    form.replace('grant_type=', 'grant_type[]='),
    form.replace('grant_type', 'GRANT_TYPE'),
    form.replace('grant_type=authorization_code', 'grant_type='),
    form.replace(`code=${code}`, 'code='),
  ]
  for (const body of bodies) assertRefused(await post(alice, body), 'invalid_request')
  assertRefused(await post(alice, `${form}&x=${'a'.repeat(70_000)}`), 'payload_too_large', 413)

  assert.deepEqual(await spendable(started), before)
  const upper = await alice.send('/token', {
    method: 'POST',
    raw: `${form}&unknown=1`,
    headers: { 'content-type': 'Application/X-WWW-Form-URLencoded; Charset="UTF-8"' },
  })
  assert.equal(upper.status, 200)
})

test('RFC 6749 §5.2: a grant type that is not supported, or that the client did not register, gives nothing [threats 88, 113, 115]', async (t) => {
  const started = await start(t)
  const { alice, ci } = started
  const codeOnly = await alice.register({ grant_types: ['authorization_code'] })
  const server = policyClient(started, 'wiki-server')
  const unsupported = [
    'password',
    'implicit',
    'urn:ietf:params:oauth:grant-type:device_code',
    'urn:ietf:params:oauth:grant-type:jwt-bearer',
    'constructor',
    '__proto__',
    'authorization_code ',
    'Authorization_Code',
    'x'.repeat(5000),
  ]
  for (const grant_type of unsupported)
    for (const [person, client] of [
      [alice, codeOnly],
      [ci, server],
    ] as const) {
      const answer = await person
        .token(client, { grant_type, scope: 'wiki:read', resource: wiki.resource })
        .catch((refusal: Refusal) => refusal.answer)
      assertRefused(answer as Refusal['answer'], 'unsupported_grant_type')
      assert.ok((answer as Refusal['answer']).text.length < 600)
    }
  const tokens = await alice.signIn(codeOnly, wiki)
  assert.equal(tokens.refresh_token, undefined)
  await assert.rejects(alice.refresh(codeOnly, { refresh_token: 'mir_x' }), { error: 'unauthorized_client', status: 400 })
  const metadata = (await alice.send('/.well-known/oauth-authorization-server')).json()
  assert.ok(!(metadata.grant_types_supported as string[]).includes('password'))
})

test('RFC 7523 §2.1: no assertion is a grant here, whoever made it, about whom and how: it gives nothing [threats 268, 269]', async (t) => {
  const started = await start(t)
  const { alice, ci, clock, issuer } = started
  const server = policyClient(started, 'wiki-server')
  const { access_token, id_token = '' } = await alice.signIn(policyClient(started, 'grafana', grafanaCallback), { scope: 'openid' })
  const before = await spendable(started)
  const about = (sub: string) => ({ iss: issuer, sub, aud: issuer, iat: clock.now(), exp: clock.now() + 60, jti: sub })
  const pair = newPair()
  const assertions = [
    ...['alice@example.com', 'nobody@example.com'].map((sub) => jwtBy(pair, about(sub))),
    jwtBy(pair, about('alice@example.com'), { alg: 'none' }),
    jwtByHmac(server.client_secret ?? '', about('alice@example.com')),
    access_token,
    id_token,
  ]
  for (const assertion of assertions)
    assertRefused(
      await ci.send('/token', {
        form: {
          grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
          assertion,
          client_id: server.client_id,
          client_secret: server.client_secret ?? '',
        },
      }),
      'unsupported_grant_type',
    )
  assert.deepEqual(await spendable(started), before)
})

test('RFC 6749 §5.1: an answer with tokens is kept by nobody, and always says its scope [threats 118, 119]', async (t) => {
  const { alice } = await start(t)
  const client = await alice.register()
  const { code, code_verifier } = await alice.code(client, { ...wiki, scope: 'wiki:read wiki:write nonsense' })
  const first = await post(alice, { grant_type: 'authorization_code', client_id: client.client_id, code, code_verifier })
  const { refresh_token, scope } = first.json() as { refresh_token: string; scope: string }
  assert.equal(scope, 'wiki:read wiki:write')
  const narrower = await post(alice, { grant_type: 'refresh_token', client_id: client.client_id, refresh_token, scope: 'wiki:write' })
  assert.equal(narrower.json().scope, 'wiki:write')
  for (const { headers } of [first, narrower]) {
    assert.equal(headers['cache-control'], 'no-store')
    assert.match(String(headers['content-type']), /^application\/json\b/)
  }
})

test('Fetch, CORS: any page may ask, none with credentials, and an opaque origin gets nothing [threats 127]', async (t) => {
  const { alice } = await start(t)
  const client = await alice.register()
  const ask = (origin?: string) =>
    post(
      alice,
      { grant_type: 'refresh_token', client_id: client.client_id, refresh_token: 'mir_x' },
      origin === undefined ? {} : { origin },
    )
  const foreign = await ask('https://app.example')
  assertRefused(foreign, 'invalid_grant')
  assert.equal(foreign.headers['access-control-allow-origin'], '*')
  for (const answer of [foreign, await ask('null'), await ask()])
    assert.equal(answer.headers['access-control-allow-credentials'], undefined)
  for (const answer of [await ask('null'), await ask()]) assert.equal(answer.headers['access-control-allow-origin'], undefined)

  const preflight = (origin: string) =>
    alice.send('/token', {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization, mcp-protocol-version' },
    })
  const allowed = await preflight('https://app.example')
  assert.equal(allowed.headers['access-control-allow-origin'], '*')
  assert.match(String(allowed.headers['access-control-allow-headers']), /MCP-Protocol-Version/)
  const opaque = await preflight('null')
  assert.deepEqual([opaque.headers['access-control-allow-origin'], opaque.headers['access-control-allow-headers']], [undefined, undefined])
})

test('RFC 9449: without support for DPoP no proof is promised, asked for or believed: the token is a plain bearer [threats 128, 130]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  for (const dpop of ['garbage', 'eyJhbGciOiJub25lIn0.e30.', 'a.b.c']) {
    const { code, code_verifier } = await alice.code(client, { ...wiki, dpop_jkt: 'x' })
    const answer = await post(alice, { grant_type: 'authorization_code', client_id: client.client_id, code, code_verifier }, { dpop })
    assert.equal(answer.status, 200)
    assert.equal(answer.json().token_type, 'Bearer')
    assert.equal(answer.headers['dpop-nonce'], undefined)
    const claims = JSON.parse(Buffer.from(String(answer.json().access_token).split('.')[1] ?? '', 'base64url').toString()) as object
    assert.ok(!('cnf' in claims))
  }
  for (const path of ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']) {
    const names = Object.keys((await alice.send(path)).json())
    assert.deepEqual(
      names.filter((name) => name.includes('dpop')),
      [],
    )
  }
})

test('OAuth 2.1 §7.4: no client can have the id of a person, or of a metadata document [threats 116]', async (t) => {
  const { alice } = await start(t)
  for (const client_id of ['userid:101', 'https://client.example/metadata.json', 'client:grafana'])
    await assert.rejects(alice.register({ client_id, client_name: 'Chooser' }), { error: 'invalid_client_metadata' })
  const client = await alice.register()
  assert.match(client.client_id, /^dcr_[0-9A-Z]{26}$/)
  const { access_token } = await alice.signIn(client, wiki)
  const { sub } = JSON.parse(Buffer.from(access_token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string }
  assert.equal(sub, 'userid:101')
})

const remove = ({ alice }: Started, client: TestClient) =>
  alice.send(`/register/${client.client_id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${client.registration_access_token}` },
  })

test('RFC 6749 §5.2: a client that is gone is 401, and its tokens are dead [threats 110]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, { ...wiki, scope: 'openid wiki:read' })
  const { code, code_verifier } = await alice.code(client, wiki)
  assert.equal((await remove(started, client)).status, 204)
  await assert.rejects(alice.refresh(client, tokens), { error: 'invalid_client', status: 401 })
  await assert.rejects(alice.token(client, { grant_type: 'authorization_code', code, code_verifier }), {
    error: 'invalid_client',
    status: 401,
  })
  assert.deepEqual(await alice.introspect(policyClient(started, 'wiki-server'), tokens.access_token), { active: false })
  const userinfo = await alice.send('/userinfo', { headers: { authorization: `Bearer ${tokens.access_token}` } })
  assert.equal(userinfo.status, 401)
})

test('A client that is deleted while /token runs gets 401, and no token is left behind [threats 124]', async (t) => {
  const started = await start(t, { policy: confidentialToo, config: { limits: unhurried } })
  const { alice, daemon } = started
  for (const metadata of [{}, { token_endpoint_auth_method: 'client_secret_basic' }]) {
    const client = await alice.register(metadata)
    const tokens: Tokens[] = []
    for (let i = 0; i < 10; i++) tokens.push(await alice.signIn(client, wiki))
    const hold = holdAtMesh(started)
    const asked = inParallel(10, (i) =>
      alice.refresh(client, tokens[i] ?? {}).then(
        () => null,
        (refusal: Refusal) => refusal,
      ),
    )
    await hold.waiting(10)
    assert.equal((await remove(started, client)).status, 204)
    hold.letGo()
    for (const refusal of await asked) assertRefused((refusal as Refusal).answer, 'invalid_client', 401)
  }
  const orphans =
    'SELECT r.digest FROM refresh_tokens AS r JOIN authorizations AS a ON a.id = r.authorization_id WHERE a.ended_at IS NULL LIMIT 10'
  assert.deepEqual(await daemon.deps.store.engine.all(orphans, {}), [])
  assert.deepEqual(await daemon.deps.store.engine.all('SELECT digest FROM refresh_tokens WHERE rotated_at IS NOT NULL LIMIT 10', {}), [])
})

test('Whatever wins between /token and the deletion of the client: 200 or 401, and afterwards nothing lives [threats 124]', async (t) => {
  const started = await start(t)
  const { alice, daemon } = started
  const server = policyClient(started, 'wiki-server')
  for (const at of [0, 5, 15]) {
    const client = await alice.register()
    const codes: { code: string; code_verifier: string }[] = []
    for (let i = 0; i < 16; i++) codes.push(await alice.code(client, wiki))
    const answers = await inParallel(17, (i) => {
      if (i === at) return remove(started, client)
      const { code, code_verifier } = codes[i > at ? i - 1 : i] ?? { code: '', code_verifier: '' }
      return post(alice, { grant_type: 'authorization_code', client_id: client.client_id, code, code_verifier })
    })
    for (const answer of answers) {
      if (answer.status === 204) continue
      if (answer.status === 200) assert.deepEqual(await alice.introspect(server, String(answer.json().access_token)), { active: false })
      else assertRefused(answer, 'invalid_client', 401)
    }
  }
  assert.deepEqual(await daemon.deps.store.engine.all('SELECT id FROM authorizations WHERE ended_at IS NULL LIMIT 10', {}), [])
})

test('A guard that fails again and again is 503 with Retry-After, and nothing is spent', async (t) => {
  let stuck = false
  const started = await start(t, { randomBytes: (size) => (stuck ? Buffer.alloc(size, 7) : randomBytes(size)) })
  const { alice, clock } = started
  const client = await alice.register()
  let second = await alice.signIn(client, wiki)
  stuck = true
  clock.advance({ seconds: 1 })
  for (let round = 0; round < 4; round++) second = await alice.refresh(client, second)
  // Without chance, and with the same second beginning once more, every decision gets the id of one that is there already.
  clock.advance({ seconds: -1 })
  await alice.register()
  clock.advance({ seconds: 1 })
  const before = await spendable(started)
  const refusal = (await alice.refresh(client, second).catch((refusal: unknown) => refusal)) as Refusal
  assertRefused(refusal.answer, 'temporarily_unavailable', 503)
  assert.equal(refusal.answer.headers['retry-after'], '1')
  assert.deepEqual(await spendable(started), before)
  stuck = false
  assert.ok((await alice.refresh(client, second)).refresh_token)
})

test('RFC 6749 §5.2: an error_description is made of what one may be made of, whatever was sent', async (t) => {
  const { alice } = await start(t)
  const { client_id } = await alice.register()
  const odd = '"\\é\u0001😀’§'
  const refusals = await Promise.all([
    post(alice, { grant_type: odd, client_id }),
    post(alice, { grant_type: 'refresh_token', client_id: odd }),
    post(alice, { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', client_id }),
    post(alice, { grant_type: 'refresh_token', client_id, [odd]: ['1', '2'] }),
    post(alice, { client_id }),
    alice.send('/register', { json: { redirect_uris: [`https://a.example/${odd}`] } }),
    alice.send('/introspect', { form: { token: odd, client_id } }),
  ])
  for (const { status, text, json } of refusals) {
    assert.ok(status === 400 || status === 401, text)
    assert.match(String(json().error_description), /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/, text)
  }
})
