import assert from 'node:assert/strict'
import { test } from 'node:test'
import { metadataPaths } from '../../src/endpoints/metadata.ts'
import { changedPolicy, wiki } from '../support/example_policy.ts'
import { until } from '../support/local_api.ts'
import { start } from '../support/start.ts'

const known = ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']

/** What assertions may be signed by: nothing symmetric, and not none. */
const asymmetric = ['ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512', 'Ed25519', 'EdDSA']

test('RFC 8414 §2, OpenID Connect Discovery §3: the document says what there is, and every endpoint that it names answers', async (t) => {
  const { alice, issuer } = await start(t)
  const [oauth, openid] = await Promise.all(known.map((path) => alice.send(path)))
  assert.equal(oauth?.text, openid?.text)
  assert.equal(oauth?.status, 200)
  assert.match(String(oauth?.headers['content-type']), /^application\/json(;|$)/)
  const document = oauth?.json() ?? {}
  assert.deepEqual(document, {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    registration_endpoint: `${issuer}/register`,
    introspection_endpoint: `${issuer}/introspect`,
    revocation_endpoint: `${issuer}/revoke`,
    userinfo_endpoint: `${issuer}/userinfo`,
    end_session_endpoint: `${issuer}/end_session`,
    jwks_uri: `${issuer}/jwks`,
    scopes_supported: ['openid', 'profile', 'email', 'groups', 'offline_access', 'wiki:read', 'wiki:write', 'notes:read', 'tools:call'],
    response_types_supported: ['code'],
    response_modes_supported: ['query', 'form_post'],
    grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256', 'RS256'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    revocation_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
    token_endpoint_auth_signing_alg_values_supported: asymmetric,
    introspection_endpoint_auth_signing_alg_values_supported: asymmetric,
    revocation_endpoint_auth_signing_alg_values_supported: asymmetric,
    code_challenge_methods_supported: ['S256'],
    claims_supported: document.claims_supported,
    claim_types_supported: ['normal'],
    acr_values_supported: ['urn:meshidp:acr:mesh', 'urn:meshidp:acr:person'],
    prompt_values_supported: ['none', 'login', 'consent', 'select_account'],
    authorization_response_iss_parameter_supported: true,
    client_id_metadata_document_supported: true,
    claims_parameter_supported: true,
    request_parameter_supported: false,
    request_uri_parameter_supported: false,
  })
  for (const [name, url] of Object.entries(document).filter(([name]) => /_endpoint$|^jwks_uri$/.test(name)))
    assert.ok([200, 400, 401, 405, 415].includes((await alice.send(String(url))).status), name)
})

test('RFC 8414 §3.3: the issuer and all addresses come from the configuration, whatever a request says of itself [threats 310]', async (t) => {
  const { alice, issuer } = await start(t)
  const plain = (await alice.send(known[0] ?? '')).text
  const headers = {
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
    'x-forwarded-for': '127.0.0.5',
    'x-original-url': '/authorize',
    forwarded: 'host=evil.example;proto=https',
    'x-http-method-override': 'DELETE',
  }
  for (const path of [...known, '/jwks']) assert.doesNotMatch((await alice.send(path, { headers })).text, /evil/)
  assert.equal((await alice.send(known[0] ?? '', { headers })).text, plain)
  const other = await alice.send(known[0] ?? '', { headers: { host: 'evil.example' } })
  assert.deepEqual([other.status, other.text.includes('evil')], [421, false])
  assert.equal((await alice.send('/authorize?x', { headers: { ...headers, accept: 'text/html' } })).text.includes('evil'), false)
  assert.equal(JSON.parse(plain).issuer, issuer)
})

test('RFC 8414 §3.1: for an issuer with a path both ways to ask are answered, and everything lives below that path [threats 311]', async (t) => {
  const { alice, issuer } = await start(t, { path: '/idp' })
  const { origin } = new URL(issuer)
  assert.equal(issuer, `${origin}/idp`)
  const asked = [
    '/.well-known/oauth-authorization-server/idp',
    '/idp/.well-known/oauth-authorization-server',
    '/.well-known/openid-configuration/idp',
    '/idp/.well-known/openid-configuration',
  ]
  assert.deepEqual(metadataPaths(issuer).sort(), [...asked].sort())
  for (const path of asked) {
    const answer = await alice.send(origin + path)
    assert.deepEqual([answer.status, answer.json().issuer, answer.json().token_endpoint], [200, issuer, `${issuer}/token`], path)
  }
  for (const path of [
    ...['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration', '/.well-known/oauth-authorization-server/other'],
    ...[
      '/.well-known/oauth-authorization-server/idp/',
      '/.well-known/oauth-authorization-server/idp/x',
      '/idp/.well-known/other',
      '/token',
      '/register',
      '/jwks',
    ],
  ])
    assert.equal((await alice.send(origin + path)).status, 404, path)
  assert.equal((await alice.send(`${issuer}/jwks`)).status, 200)
  for (const path of ['', '/'])
    assert.match((await alice.send(issuer + path)).text, /You are <strong>alice@example\.com/, `home at ${path}`)
  const client = await alice.register()
  const page = await alice.authorize(client, wiki)
  const [, sheet] = /<link rel="stylesheet" href="([^"]+)"/.exec(page.text) ?? []
  assert.equal((await alice.send(origin + sheet)).headers['content-type'], 'text/css; charset=utf-8')
  const sent = await alice.answer(page, 'approve')
  assert.equal(sent.location().get('iss'), issuer, 'RFC 9207 §2.4')
  const tokens = await alice.signIn(client, { scope: 'openid' })
  const claims = JSON.parse(Buffer.from(String(tokens.access_token).split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
  assert.deepEqual([claims.iss, claims.aud], [issuer, issuer])
  assert.equal((await alice.send('/userinfo', { headers: { authorization: `Bearer ${tokens.access_token}` } })).status, 200)
})

test('an issuer without a path has each document once; other names below .well-known do not exist [threats 311]', async (t) => {
  const { alice, issuer } = await start(t)
  assert.deepEqual(metadataPaths(issuer), known)
  for (const path of [
    ...known.map((path) => `${path}/`),
    ...known.map((path) => `${path}/idp`),
    '/.well-known/',
    '/.well-known/jwks.json',
    '/.well-known',
  ])
    assert.equal((await alice.send(path)).status, 404, path)
})

test('RFC 7517 §5: the keys are public, each with a name of its own, and verify what is issued', async (t) => {
  const { alice } = await start(t)
  const answer = await alice.send('/jwks')
  assert.match(String(answer.headers['content-type']), /^application\/jwk-set\+json(;|$)/)
  const { keys } = answer.json() as { keys: Record<string, string>[] }
  assert.deepEqual(keys.map(({ alg }) => alg).sort(), ['ES256', 'RS256'])
  assert.equal(new Set(keys.map(({ kid }) => kid)).size, keys.length)
  for (const key of keys) for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth']) assert.equal(secret in key, false)
  const { id_token, access_token } = await alice.signIn(await alice.register(), { scope: 'openid' })
  for (const token of [id_token, access_token]) {
    const { kid, alg } = JSON.parse(Buffer.from(String(token).split('.')[0] ?? '', 'base64url').toString()) as Record<string, string>
    assert.ok(keys.some((key) => key.kid === kid && key.alg === alg))
  }
})

test('RFC 9110 §8.8.3, Fetch: metadata and keys may be kept for a short while, asked about by ETag, read by any page without credentials; nothing else may be kept [threats 314, 316]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const origin = 'https://app.example.com'
  for (const path of [...known, '/jwks']) {
    const answer = await alice.send(path, { headers: { origin } })
    const etag = String(answer.headers.etag)
    assert.match(etag, /^"[\w-]{43}"$/, path)
    assert.deepEqual(
      [answer.headers['cache-control'], answer.headers['access-control-allow-origin'], answer.headers['access-control-allow-credentials']],
      ['public, max-age=300', '*', undefined],
    )
    for (const value of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const unchanged = await alice.send(path, { headers: { 'if-none-match': value, origin } })
      assert.deepEqual(
        [unchanged.status, unchanged.text, unchanged.headers.etag, unchanged.headers['cache-control']],
        [304, '', etag, 'public, max-age=300'],
      )
      assert.equal(unchanged.headers['access-control-allow-origin'], '*')
    }
    assert.equal((await alice.send(path, { headers: { 'if-none-match': '"other"' } })).status, 200)
    const head = await alice.send(path, { method: 'HEAD' })
    assert.deepEqual([head.status, head.text, head.headers.etag], [200, '', etag])
    const preflight = await alice.send(path, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-headers': 'mcp-protocol-version' },
    })
    assert.match(String(preflight.headers['access-control-allow-headers']), /MCP-Protocol-Version/)
    for (const method of ['POST', 'PUT', 'DELETE'])
      assert.deepEqual(
        [(await alice.send(path, { method })).status, (await alice.send(path, { method })).headers.allow],
        [405, 'GET, HEAD, OPTIONS'],
      )
  }
  for (const path of [
    '/',
    '/authorize',
    '/consent',
    '/token',
    '/register',
    '/register/x',
    '/introspect',
    '/revoke',
    '/userinfo',
    '/healthz',
    '/readyz',
    '/nothing',
  ])
    for (const method of ['GET', 'POST']) {
      const answer = await alice.send(path, { method, headers: { origin } })
      assert.equal(answer.headers['cache-control'], 'no-store', `${method} ${path}`)
      assert.equal(answer.headers['access-control-allow-credentials'], undefined)
      if (!['/token', '/revoke', '/userinfo'].includes(path))
        assert.equal(answer.headers['access-control-allow-origin'], undefined, `${method} ${path}`)
    }

  const before = (await alice.send(known[0] ?? '')).headers.etag
  assert.equal(
    started.setPolicy(
      changedPolicy((policy) => {
        policy.resources['resource:new'] = { uri: 'https://new.example.com', scopes: ['new:read'] }
      }),
    ).ok,
    true,
  )
  const after = await alice.send(known[0] ?? '', { headers: { 'if-none-match': String(before) } })
  assert.equal(after.status, 200, 'a new policy is a new document')
  assert.ok((after.json().scopes_supported as string[]).includes('new:read'))
})

test('metadata, keys and health are answered without the mesh and without the database [threats 316]', async (t) => {
  const { alice, mesh, daemon } = await start(t)
  mesh.change({ state: 'Stopped' })
  await until(async () => (await alice.send('/readyz')).status === 503)
  const ready = await alice.send('/readyz')
  assert.deepEqual([ready.json().ready, ready.json().store], [false, 'ok'])
  assert.match(String(ready.headers['retry-after']), /^\d+$/)
  await daemon.deps.store.engine.close()
  for (const path of [...known, '/jwks', '/healthz']) assert.equal((await alice.send(path)).status, 200, path)
  assert.equal((await alice.send('/readyz')).json().store, 'cannot be read')
})

test('a policy file that cannot be used leaves the last good one in force, and says so', async (t) => {
  const started = await start(t)
  const { alice } = started
  const hash = ((await alice.send('/readyz')).json().policy as { hash: string }).hash
  const broken = started.setPolicy('{ "grants": [ { "src": ["*"], "ap": {} } ] }')
  assert.equal(broken.ok, false)
  const ready = await alice.send('/readyz')
  assert.equal(ready.status, 503)
  const policy = ready.json().policy as Record<string, string>
  assert.deepEqual(
    [policy.hash, policy.problem],
    [hash, 'the file on disk is not usable (line 1, column 15); the last good one is in force'],
  )
  assert.equal((await alice.signIn(await alice.register(), wiki)).scope, 'wiki:read')
  assert.equal(started.setPolicy(changedPolicy(() => undefined)).ok, true)
  assert.equal((await alice.send('/readyz')).status, 200)
})
