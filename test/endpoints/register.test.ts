import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { runAction } from '../../src/admin/actions.ts'
import { deleteUnused } from '../../src/janitor.ts'
import { changedPolicy, policyClient, wiki, withRegistration } from '../support/example_policy.ts'
import { until } from '../support/local_api.ts'
import { type Answer, type Person, personAt, type Refusal } from '../support/person.ts'
import { type Started, start } from '../support/start.ts'

const redirect_uris = ['http://127.0.0.1:9/callback']
const register = (person: Person, metadata: object = {}, headers: Record<string, string | string[]> = {}) =>
  person.send('/register', { json: { redirect_uris, ...metadata }, headers })

const rowsOf = async ({ daemon }: Started, filter: object = {}) =>
  ((await runAction(daemon.deps, 'decisions.list', filter)) as { decisions: { id: string; entry: string }[] }).decisions
const clientsOf = async ({ daemon }: Started) =>
  ((await runAction(daemon.deps, 'clients.list', {})) as { clients: { client_id: string }[] }).clients

/** The answer refuses in JSON that nobody keeps, and says why. */
function refused(answer: Answer, status: number, error: string, label = ''): Record<string, unknown> {
  const body = answer.json()
  assert.deepEqual([answer.status, body.error], [status, error], `${label} ${answer.text}`)
  assert.equal(answer.headers['cache-control'], 'no-store')
  assert.ok(String(body.error_description).length > 20)
  return body
}

test('RFC 7591 §3.2.1: the answer holds what was understood, with its defaults, and is kept by nobody; the deed has its row [threats 118, 163, 184]', async (t) => {
  const started = await start(t)
  const { alice, clock, daemon, issuer } = started
  const answer = await register(alice, {
    client_name: 'Notes',
    client_colour: 'red',
    grant_types: ['authorization_code', 'refresh_token', 'implicit'],
    scope: 'wiki:read admin:everything openid',
    token_endpoint_auth_method: 'none',
  })
  assert.equal(answer.status, 201)
  assert.equal(answer.headers['cache-control'], 'no-store')
  const { client_id, registration_access_token, ...others } = answer.json()
  assert.match(String(registration_access_token), /^mia_[\w-]{43}$/)
  assert.deepEqual(others, {
    client_id_issued_at: clock.now(),
    redirect_uris,
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    client_name: 'Notes',
    scope: 'wiki:read openid',
    registration_client_uri: `${issuer}/register/${client_id}`,
  })

  const shown = (await runAction(daemon.deps, 'clients.show', { client_id })) as Record<string, unknown>
  assert.deepEqual(
    [shown.owner, shown.owner_name, shown.confidential, shown.unused_ttl],
    ['userid:101', 'alice@example.com', false, 30 * 86_400],
  )

  const [row, ...more] = await rowsOf(started, { client_id })
  assert.equal(more.length, 0)
  const decision = (await runAction(daemon.deps, 'decisions.show', { id: row?.id })) as Record<string, unknown>
  assert.deepEqual([decision.entry, decision.outcome, decision.principal], ['register', 'allowed', 'alice@example.com'])
  assert.deepEqual(decision.detail, { ignored: ['client_colour'], narrowed: ['grant_types', 'scope'], client_name: 'Notes' })
})

test('RFC 7591 §2: a secret is made where one is asked for and the policy gives it, told once, and proves the client [threats 163, 178]', async (t) => {
  const lenient = await start(t)
  for (const metadata of [{}, { token_endpoint_auth_method: 'client_secret_post' }, { token_endpoint_auth_method: 'none' }]) {
    const body = (await register(lenient.alice, metadata)).json()
    assert.equal(body.token_endpoint_auth_method, 'none', 'the example policy gives no secrets')
    assert.equal('client_secret' in body || 'client_secret_expires_at' in body, false)
  }

  const started = await start(t, { policy: withRegistration({ confidential: true }) })
  const { alice } = started
  for (const [asked, method] of [
    [undefined, 'client_secret_basic'],
    ['client_secret_post', 'client_secret_post'],
    ['none', 'none'],
  ]) {
    const body = (await register(alice, asked === undefined ? {} : { token_endpoint_auth_method: asked })).json()
    assert.equal(body.token_endpoint_auth_method, method)
    assert.equal(body.client_secret_expires_at, method === 'none' ? undefined : 0)
    assert.equal(/^mis_[\w-]{43}$/.test(String(body.client_secret)), method !== 'none')
  }
  const client = await alice.register({ token_endpoint_auth_method: 'client_secret_basic' })
  const tokens = await alice.signIn(client, wiki)
  assert.equal((await alice.introspect(client, tokens.access_token)).active, true)
  await assert.rejects(alice.introspect({ ...client, client_secret: `${client.client_secret}x` }, tokens.access_token), { status: 401 })
  const shown = await runAction(started.daemon.deps, 'clients.show', { client_id: client.client_id })
  assert.equal(JSON.stringify(shown).includes('digest') || JSON.stringify(shown).includes('mis_'), false)
})

test('registration is for whom the policy lets: all others get the sentence, a decision to mention, and one row however often they ask', async (t) => {
  const started = await start(t)
  const { mallory, ci, alice, issuer, clock } = started
  const body = refused(await register(mallory), 403, 'access_denied')
  assert.match(String(body.error_description), /^mallory@other\.com may not register software here\..*mention decision /)
  assert.ok(String(body.error_description).includes(String(body.decision_id)))
  const line = started.logged.find(({ fields }) => fields.request_id === body.request_id)
  assert.deepEqual([line?.message, line?.fields.decision_id], [body.error_description, body.decision_id], 'the same words in the log')

  clock.advance({ minutes: 2 })
  for (let times = 0; times < 3; times++) {
    assert.equal(refused(await register(mallory, { client_name: `M ${times}` }), 403, 'access_denied').decision_id, body.decision_id)
    clock.advance({ minutes: 2 })
  }
  refused(await register(ci), 403, 'access_denied')
  const nobody = await register(personAt(t, issuer, '127.0.0.99'))
  assert.match(String(refused(nobody, 403, 'access_denied').error_description), /127\.0\.0\.99/)
  assert.deepEqual(
    (await rowsOf(started, { outcome: 'denied' })).map((row) => (row as unknown as { count: number }).count),
    [1, 4],
  )
  assert.deepEqual(await clientsOf(started), [])

  assert.equal(started.setPolicy(changedPolicy((policy) => policy.grants.push({ src: ['tag:ci'], app: { register: [{}] } }))).ok, true)
  assert.equal((await register(ci)).status, 201, 'a tagged node that a grant names')
  assert.equal((await register(alice)).status, 201)
})

test('RFC 7591 §3.2.2: metadata that cannot be used is refused with its own code, and nothing is registered [threats 5, 11, 13, 14, 17, 19, 26, 29, 35, 38, 157, 158, 160, 164, 166, 167, 169, 176]', async (t) => {
  const started = await start(t)
  const { alice, issuer } = started
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = publicKey.export({ format: 'jwk' })
  const uris: unknown[] = [
    ...[null, [], {}, 'https://a.example/', [null], [1], [{}], [['https://a.example/']]],
    ...['javascript:alert(1)', 'data:,x', 'file:///etc/passwd', 'myapp:/cb', 'http://app.example.com/cb', 'http://100.64.0.5/cb'].map(
      (uri) => [uri],
    ),
    ...[
      'https://u:p@a.example/',
      'https://*.example.com/cb',
      '*',
      'https://a.example/?code=1',
      'https://a.example/#x',
      'https://аpple.com/',
    ].map((uri) => [uri]),
    ...[
      'java\nscript:alert(1)',
      ' https://a.example/',
      `https://a.example/${'a'.repeat(2100)}`,
      `${issuer}/token`,
      'https://100.100.100.100/',
    ].map((uri) => [uri]),
    Array.from({ length: 21 }, (_, index) => `https://a.example/${index}`),
  ]
  for (const value of uris) refused(await register(alice, { redirect_uris: value }), 400, 'invalid_redirect_uri', JSON.stringify(value))
  for (const metadata of [{ application_type: 'web' }, { application_type: 'native', redirect_uris: ['http://app.example.com/cb'] }])
    refused(await register(alice, metadata), 400, 'invalid_redirect_uri', JSON.stringify(metadata))

  const others: object[] = [
    ...['client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange', 'urn:ietf:params:oauth:grant-type:jwt-bearer'].map(
      (grant) => ({
        grant_types: [grant],
      }),
    ),
    { grant_types: ['urn:ietf:params:oauth:grant-type:device_code'] },
    { jwks: { keys: [jwk] }, jwks_uri: 'https://a.example/jwks' },
    ...[[jwk], { keys: [] }, { keys: [privateKey.export({ format: 'jwk' })] }, { keys: [{ kty: 'oct', k: 'AAAA' }] }].map((jwks) => ({
      jwks,
    })),
    { jwks: { keys: Array.from({ length: 100 }, () => jwk) } },
    { jwks: { keys: [{ ...jwk, y: jwk.x }] } },
    { jwks: { keys: [generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })] } },
    { sector_identifier_uri: 'https://169.254.169.254/' },
    { backchannel_logout_uri: 'http://localhost/x' },
    { initiate_login_uri: 'https://a.example/' },
    { request_uris: ['https://a.example/'] },
    { software_statement: 'e30.e30.' },
    { client_id: 'client:grafana' },
    { client_secret: 'chosen' },
    { registration_access_token: 'chosen' },
    { client_name: 'Admin\u202econsole' },
    { token_endpoint_auth_method: 'private_key_jwt' },
    { scope: 'a"b' },
  ]
  for (const metadata of others) refused(await register(alice, metadata), 400, 'invalid_client_metadata', JSON.stringify(metadata))
  for (const raw of ['', '[]', 'null', '"x"', '7', '{', '{"a":1}x', '{"redirect_uris":["https://a.example/"],}']) {
    const answer = await alice.send('/register', { method: 'POST', raw, headers: { 'content-type': 'application/json' } })
    assert.equal(answer.status, 400, `${raw} ${answer.text}`)
  }
  assert.deepEqual(await clientsOf(started), [])
})

test('CWE-1321: __proto__ and constructor are members like any other, and headers too [threats 158]', async (t) => {
  const { alice } = await start(t)
  const raw = `{"redirect_uris":${JSON.stringify(redirect_uris)},"__proto__":{"polluted":1,"client_name":"x"},"constructor":{"prototype":{"polluted":1}},"client_uri":null}`
  const answer = await alice.send('/register', {
    raw,
    method: 'POST',
    headers: { 'content-type': 'application/json', __proto__x: '1', constructor: 'x' },
  })
  assert.equal(answer.status, 201, answer.text)
  assert.deepEqual(
    Object.keys(answer.json()).filter((name) => /proto|construct|polluted|client_name|client_uri/.test(name)),
    ['registration_client_uri'],
  )
  assert.equal(({} as Record<string, unknown>).polluted, undefined)
})

test('only JSON is read: what a page of another site can send without asking is refused before the gate [threats 154, 422]', async (t) => {
  const started = await start(t)
  const body = JSON.stringify({ redirect_uris })
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/json; charset=utf-16',
    '',
    'application/jsonp',
  ]) {
    const answer = await started.alice.send('/register', {
      method: 'POST',
      raw: body,
      headers: type === '' ? {} : { 'content-type': type },
    })
    refused(answer, 415, 'unsupported_media_type', type)
  }
  const encoded = await started.alice.send('/register', {
    method: 'POST',
    raw: body,
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
  })
  refused(encoded, 415, 'unsupported_media_type')
  assert.deepEqual([await clientsOf(started), await rowsOf(started)], [[], []])
  const fine = await started.alice.send('/register', {
    method: 'POST',
    raw: body,
    headers: { 'content-type': 'Application/JSON; charset="UTF-8"' },
  })
  assert.equal(fine.status, 201)
})

test('Fetch standard: no page of another origin registers with the network identity of its reader, unless the configuration lists it [threats 154, 155]', async (t) => {
  const app = 'https://app.example.com'
  const started = await start(t, { config: { browser_clients: [app] } })
  const { alice, mallory, issuer } = started
  const preflight = (origin: string, headers = {}) =>
    alice.send('/register', {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type', ...headers },
    })
  const corsOf = ({ headers }: Answer) => Object.keys(headers).filter((name) => name.startsWith('access-control-allow'))

  for (const origin of ['https://evil.example', 'null', `${app}.evil.example`, 'http://app.example.com', issuer]) {
    for (const [name, ask] of Object.entries({
      preflight: () => preflight(origin, { 'access-control-request-private-network': 'true' }),
      request: () => register(alice, {}, { origin }),
      denied: () => register(mallory, {}, { origin }),
    })) {
      const answer = await ask()
      assert.deepEqual(corsOf(answer), [], `${name} from ${origin}`)
      if (name !== 'preflight') refused(answer, 403, 'forbidden', origin)
    }
  }
  for (const site of ['cross-site', 'same-site']) refused(await register(alice, {}, { 'sec-fetch-site': site }), 403, 'forbidden', site)
  assert.deepEqual([await clientsOf(started), await rowsOf(started)], [[], []])

  const allowed = await preflight(app)
  assert.equal(allowed.headers['access-control-allow-origin'], app)
  assert.match(String(allowed.headers['access-control-allow-methods']), /POST/)
  assert.equal(allowed.headers['access-control-allow-credentials'], undefined)
  const answer = await register(alice, {}, { origin: app, 'sec-fetch-site': 'cross-site' })
  assert.deepEqual([answer.status, answer.headers['access-control-allow-origin'], answer.headers.vary], [201, app, 'Origin'])
  assert.equal((await register(mallory, {}, { origin: app })).status, 403, 'the gate stands behind it')
})

test('CWE-770: large, wide and deep bodies are refused before they are understood [threats 35, 170, 427]', async (t) => {
  const started = await start(t)
  const send = (raw: string) => started.alice.send('/register', { method: 'POST', raw, headers: { 'content-type': 'application/json' } })
  const large = JSON.stringify({ redirect_uris, contacts: ['x'.repeat(1024 * 1024)] })
  refused(await send(large), 413, 'payload_too_large')
  refused(await send(`{"redirect_uris":["https://a.example/"],"x":${'['.repeat(20_000)}${']'.repeat(20_000)}}`), 400, 'invalid_request')
  refused(await send(`{"x":${'{"x":'.repeat(9000)}1${'}'.repeat(9000)}}`), 400, 'invalid_request')
  const wide = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`m${index}`, 1]))
  refused(await send(JSON.stringify({ redirect_uris, ...wide })), 400, 'invalid_client_metadata')
  assert.deepEqual(await clientsOf(started), [])
})

test('metadata: strict refuses what would be ignored or narrowed; of two grants the milder counts', async (t) => {
  const started = await start(t, { policy: withRegistration({ metadata: 'strict' }) })
  const { alice } = started
  for (const metadata of [
    { client_colour: 'red' },
    { grant_types: ['authorization_code', 'implicit'] },
    { token_endpoint_auth_method: 'client_secret_basic' },
    { scope: 'wiki:read admin:everything' },
  ])
    refused(await register(alice, metadata), 400, 'invalid_client_metadata', JSON.stringify(metadata))
  assert.deepEqual([await clientsOf(started), await rowsOf(started)], [[], []])
  assert.equal((await register(alice, { client_name: 'Notes', token_endpoint_auth_method: 'none', scope: '' })).status, 201)
  assert.equal(started.setPolicy(withRegistration({ metadata: 'strict' }, {})).ok, true)
  assert.equal((await register(alice, { client_colour: 'red' })).status, 201)
})

test('a grant may bound where answers go; software that answers elsewhere is refused', async (t) => {
  const { alice } = await start(t, { policy: withRegistration({ redirect_uris: ['127.0.0.1', 'app.example.com'] }) })
  assert.equal((await register(alice)).status, 201)
  assert.equal((await register(alice, { redirect_uris: ['https://app.example.com/cb', ...redirect_uris] })).status, 201)
  for (const uri of ['https://evil.example/cb', 'http://localhost/cb', 'com.example.app:/cb'])
    refused(await register(alice, { redirect_uris: [uri, ...redirect_uris] }), 403, 'access_denied', uri)
})

test('RFC 7591 §5: the name of software that an admin named is taken; a look-alike is shown as unverified [threats 182]', async (t) => {
  const started = await start(t)
  const { alice } = started
  for (const client_name of ['Grafana', 'grafana', ' Grafana ', 'Ｇｒａｆａｎａ', 'wiki  server'])
    refused(await register(alice, { client_name }), 400, 'invalid_client_metadata', client_name)
  assert.deepEqual(await clientsOf(started), [])
  const page = await alice.authorize(await alice.register({ client_name: 'Grаfana' }), wiki) // Cyrillic а
  assert.match(page.text, /<bdi>Grаfana<\/bdi> <span class="unverified">unverified<\/span>/)
  const own = await alice.authorize(policyClient(started, 'grafana', 'http://localhost:3000/login/generic_oauth'), {
    ...wiki,
    prompt: 'consent',
  })
  assert.doesNotMatch(own.text, /class="unverified"/)
})

test('OAuth 2.1 §7.9: whoever is asked to agree reads who registered the software [threats 181]', async (t) => {
  const { alice, bob } = await start(t)
  const client = await alice.register({ client_name: '<b>Notes</b>' })
  const page = await bob.authorize(client, wiki)
  assert.equal(page.status, 200)
  assert.match(page.text, /signed in by the mesh as <strong>bob@example\.com<\/strong>/)
  assert.match(page.text, /self-registered by alice@example\.com/)
  assert.match(page.text, /&lt;b&gt;Notes&lt;\/b&gt;/)
  assert.doesNotMatch(page.text, /<b>Notes/)
})

test('RFC 6750 §3.1: an Authorization header that holds no token of ours is 401, a malformed one 400, never 500; one of another scheme is as none [threats 179]', async (t) => {
  const started = await start(t)
  for (const authorization of ['Bearer', 'Bearer ', 'Bearer a b', 'Bearer "x"', 'Bearer a, Bearer b', 'bearer\tx', 'Bearer unknown']) {
    const answer = await register(started.alice, {}, { authorization })
    const [status, error] = authorization === 'Bearer unknown' ? ([401, 'invalid_token'] as const) : ([400, 'invalid_request'] as const)
    refused(answer, status, error, authorization)
    assert.match(String(answer.headers['www-authenticate']), new RegExp(`^Bearer error="${error}"`))
  }
  assert.deepEqual(await clientsOf(started), [])
  assert.equal((await register(started.alice, {}, { authorization: 'Basic eDp5' })).status, 201)
})

test('max_clients holds against a crowd: thirty at once, exactly five; one that goes makes room, and the refusal has its row [threats 173]', async (t) => {
  const started = await start(t, { policy: withRegistration({ max_clients: 5 }) })
  const { alice, alicePhone, bob } = started
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, index) => register(index % 2 ? alice : alicePhone, { client_name: 'Same' })),
  )
  const made = answers.filter(({ status }) => status === 201)
  assert.equal(made.length, 5)
  assert.equal(new Set(made.map((answer) => answer.json().client_id)).size, 5)
  assert.equal((await clientsOf(started)).length, 5)
  for (const answer of answers.filter(({ status }) => status !== 201))
    assert.match(String(refused(answer, 403, 'access_denied').error_description), /^alice@example\.com has registered 5 clients already/)
  const rows = (await rowsOf(started, { outcome: 'denied' })) as unknown as { reason: string }[]
  assert.deepEqual(
    rows.map(({ reason }) => reason),
    ['max_clients', 'max_clients'],
    'one for each of her machines',
  )

  assert.equal((await register(bob)).status, 201, 'each principal has its own')
  const { client_id, registration_access_token } = made[0]?.json() ?? {}
  await alice.send(`/register/${client_id}`, { method: 'DELETE', headers: { authorization: `Bearer ${registration_access_token}` } })
  assert.equal((await register(alice)).status, 201)
  refused(await register(alice), 403, 'access_denied')
})

test('identical registrations at the same moment are clients of their own, and all are kept [threats 173]', async (t) => {
  const started = await start(t)
  const made = await Promise.all(Array.from({ length: 15 }, () => started.alice.register()))
  const ids = made.map(({ client_id }) => client_id).sort()
  assert.equal(new Set(ids).size, 15)
  assert.equal(new Set(made.map((client) => client.registration_access_token)).size, 15)
  const again = await started.restart()
  assert.deepEqual(
    (await clientsOf(again)).map(({ client_id }) => client_id),
    ids,
  )
})

test('a store that fails registers nothing: 503 with Retry-After, and the database shows none [threats 172]', async (t) => {
  const first = await start(t)
  const { client_id } = await first.alice.register()
  await first.daemon.deps.store.engine.close()
  const answer = await register(first.alice)
  refused(answer, 503, 'temporarily_unavailable')
  assert.match(String(answer.headers['retry-after']), /^\d+$/)
  const second = await first.restart()
  assert.deepEqual(
    (await clientsOf(second)).map((client) => client.client_id),
    [client_id],
  )
})

test('while the mesh is dark nobody is refused, nobody is registered: 503 with Retry-After, and it recovers by itself', async (t) => {
  const started = await start(t)
  const { alice, mesh } = started
  mesh.change({ state: 'Stopped' })
  await until(async () => (await alice.send('/readyz')).status === 503)
  const answer = await register(alice)
  refused(answer, 503, 'temporarily_unavailable')
  assert.match(String(answer.headers['retry-after']), /^\d+$/)
  assert.deepEqual([await clientsOf(started), await rowsOf(started)], [[], []])
  mesh.change({ state: 'Running' })
  await until(async () => (await alice.send('/readyz')).status === 200)
  assert.equal((await register(alice)).status, 201)
})

test('client_ttl: software that is not used for so long is gone, and removed with all that came from it; software in use stays', async (t) => {
  const started = await start(t, { policy: withRegistration({ client_ttl: '12h' }) })
  const { alice, clock, daemon } = started
  const [used, unused] = [await alice.register(), await alice.register()]
  let tokens = await alice.signIn(used, wiki)
  const stale = await alice.signIn(unused, wiki)
  for (let hours = 0; hours < 24; hours += 4) {
    clock.advance({ hours: 4 })
    tokens = await alice.refresh(used, tokens)
  }
  await assert.rejects(alice.refresh(unused, stale), (error: Refusal) => error.error === 'invalid_client')
  const page = await alice.authorize(unused, wiki)
  assert.deepEqual([page.status, page.headers.location], [400, undefined])
  assert.match(page.text, /unused for too long/)
  const read = await alice.send(`/register/${unused.client_id}`, {
    headers: { authorization: `Bearer ${unused.registration_access_token}` },
  })
  refused(read, 401, 'invalid_token')
  await assert.rejects(runAction(daemon.deps, 'clients.show', { client_id: unused.client_id }), { code: 'not_found' })

  const rows = () => daemon.deps.store.engine.all<{ client_id: string }>('SELECT client_id FROM clients', {})
  assert.equal((await rows()).length, 2)
  await deleteUnused(daemon.deps)
  assert.deepEqual(await rows(), [{ client_id: used.client_id }])
  const { authorizations } = (await runAction(daemon.deps, 'authorizations.list', {})) as { authorizations: { client_id: string }[] }
  assert.deepEqual(
    authorizations.map(({ client_id }) => client_id),
    [used.client_id],
  )
  const { clients } = (await daemon.deps.store.engine.get<{ clients: number }>('SELECT clients FROM registrants', {})) ?? {}
  assert.equal(clients, 1, 'there is room for another one again')
})

test('client_ttl: however much software goes unused, one round of the janitor removes all of it', async (t) => {
  const { alice, clock, daemon } = await start(t, {
    policy: withRegistration({ client_ttl: '1h', max_clients: 200 }),
    config: { limits: { per_principal: { rate: 1e9, burst: 1e9 }, per_address: { rate: 1e9, burst: 1e9 } } },
  })
  for (let count = 0; count < 120; count++) await alice.register({ client_name: `Tool ${count}` })
  clock.advance({ hours: 2 })
  await deleteUnused(daemon.deps)
  assert.deepEqual(await daemon.deps.store.engine.all('SELECT client_id FROM clients', {}), [])
})

test('A limit goes by the person, not by the address or the machine that they happen to use [threats 112]', async (t) => {
  const { alice, alicePhone, bob } = await start(t, { policy: withRegistration({ max_clients: 2 }) })
  await alice.register()
  await alicePhone.register()
  for (const hers of [alice, alicePhone]) await assert.rejects(hers.register(), /as many as the policy allows/)
  assert.ok(await bob.register())
})
