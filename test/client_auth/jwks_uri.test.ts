/** Keys that a client publishes at an address of its own, on a real https site. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { asserted, assertionClaims, jwkOf, jwtBy, newPair, type Pair } from '../support/assertion.ts'
import { changedPolicy, wiki } from '../support/example_policy.ts'
import { startHttpsSite } from '../support/https_site.ts'
import { type Started, type StartOptions, start } from '../support/start.ts'
import { assertRefused, inParallel, post } from '../support/token_request.ts'

const client_id = 'client:publisher'
const redirect_uri = 'http://127.0.0.1:9/callback'

/** A site that publishes what `there.body` is; `asked` counts. */
async function site(t: TestContext, ...pairs: Pair[]) {
  const there = {
    documents: {} as Record<string, object>,
    status: 200,
    body: JSON.stringify({ keys: pairs.map((pair) => jwkOf(pair)) }),
    headers: {},
    asked: 0,
  }
  const made = await startHttpsSite(t, (request, response) => {
    const document = there.documents[String(request.url)]
    if (document) return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document))
    if (request.url !== '/jwks') return void response.writeHead(404).end()
    there.asked++
    response.writeHead(there.status, { 'cache-control': 'max-age=600', ...there.headers }).end(there.body)
  })
  const publish = (...keys: Pair[]) => {
    there.body = JSON.stringify({ keys: keys.map((pair) => jwkOf(pair)) })
  }
  return Object.assign(there, { publish, url: `${made.origin}/jwks`, origin: made.origin, cert: made.cert })
}

type Site = Awaited<ReturnType<typeof site>>

/** Names lead to this computer, which is a special-use address; only what the policy names may go there. */
async function startFor(t: TestContext, { cert, url }: Site, options: StartOptions = {}) {
  const policy = changedPolicy(({ clients, grants }) => {
    clients[client_id] = { jwks_uri: url }
    for (const { app } of grants) if (app.register) app.register = [{ confidential: true }]
  })
  return start(t, { policy, ...options, fetch: { ca: cert, lookup: async () => ['127.0.0.1'], ...options.fetch } })
}

const tryWith = ({ alice, issuer, clock }: Started, pair: Pair, id = client_id) =>
  alice.send('/introspect', { form: { token: 'x', ...asserted(jwtBy(pair, assertionClaims(id, issuer, clock.now()))) } })

test('RFC 7591 §2: jwks_uri is fetched once while it is fresh, by many at once, and again for a kid that is new [threats 230]', async (t) => {
  const [one, two, three] = [newPair('RS256'), newPair(), newPair()]
  const there = await site(t, one)
  const started = await startFor(t, there)
  const answers = await inParallel(10, () => tryWith(started, one))
  assert.deepEqual([new Set(answers.map(({ status }) => status)), there.asked], [new Set([200]), 1])

  there.publish(one, two)
  assertRefused(await tryWith(started, two), 'invalid_client', 401)
  assert.equal(there.asked, 1, 'it was fetched less than a minute ago')
  started.clock.advance({ seconds: 60 })
  assert.equal((await tryWith(started, two)).status, 200)
  assert.equal(there.asked, 2)

  const strangers = await inParallel(10, () => tryWith(started, newPair()))
  assert.deepEqual([new Set(strangers.map(({ status }) => status)), there.asked], [new Set([401]), 2])

  there.publish(three)
  started.clock.advance({ seconds: 599 })
  assert.equal((await tryWith(started, one)).status, 200, 'still fresh')
  started.clock.advance({ seconds: 1 })
  assertRefused(await tryWith(started, one), 'invalid_client', 401)
  assert.equal((await tryWith(started, three)).status, 200)
  assert.equal(there.asked, 3)
})

test('RFC 9111 §4.2.1: keys are kept for a minute at least and an hour at most, whatever their site says', async (t) => {
  const pair = newPair()
  const there = await site(t, pair)
  const started = await startFor(t, there)
  const asked = async (seconds: number, headers: Record<string, string>) => {
    started.clock.advance({ days: 1 })
    there.headers = headers
    assert.equal((await tryWith(started, pair)).status, 200)
    const before = there.asked
    started.clock.advance({ seconds })
    assert.equal((await tryWith(started, pair)).status, 200)
    return there.asked - before
  }
  for (const control of ['no-store', 'max-age=0', 'private', 'x'])
    assert.deepEqual([await asked(59, { 'cache-control': control }), await asked(301, { 'cache-control': control })], [0, 1], control)
  for (const control of ['max-age=315360000', 'max-age=86400'])
    assert.deepEqual([await asked(3599, { 'cache-control': control }), await asked(3600, { 'cache-control': control })], [0, 1], control)
})

test('a clock that was set back makes no key good for longer', async (t) => {
  const [one, two] = [newPair(), newPair()]
  const there = await site(t, one)
  const started = await startFor(t, there)
  assert.equal((await tryWith(started, one)).status, 200)
  there.publish(two)
  started.clock.advance({ days: -400 })
  assertRefused(await tryWith(started, one), 'invalid_client', 401)
  assert.equal((await tryWith(started, two)).status, 200)
})

test('RFC 7523 §3: while the keys cannot be had it is 503 with Retry-After, never a yes and never invalid_client; the site is not asked all the time [threats 230]', async (t) => {
  const pair = newPair()
  const there = await site(t, pair)
  const started = await startFor(t, there)
  const down = async (why: string) => {
    const answer = await tryWith(started, pair)
    assert.deepEqual([answer.status, answer.json().error], [503, 'temporarily_unavailable'], why)
    assert.match(String(answer.headers['retry-after']), /^([1-9]|10)$/)
    const told = JSON.stringify({ ...answer.json(), request_id: '' }) // which is chance, and may hold any digits
    assert.doesNotMatch(told, /status|127|ECONN|JWK/, 'what listens where is nobody’s business')
  }
  const broken: Partial<Site>[] = [
    { status: 500 },
    { status: 404 },
    { status: 302, headers: { location: '/other' } },
    { body: '' },
    { body: 'null' },
    { body: '[]' },
    { body: '{"keys":7}' },
    { body: '{"keys":[]}' },
    { body: '{"keys":[{"kty":"oct","k":"AAAA"},null,{"kty":"EC"}]}' },
    { body: `{"keys":[],"keys":[${JSON.stringify(jwkOf(pair))}]}` },
    { body: JSON.stringify({ keys: [{ ...pair.privateKey.export({ format: 'jwk' }), kid: pair.kid }] }) },
    { body: 'x'.repeat(65 * 1024) },
  ]
  const { status, body, headers } = there
  for (const fault of broken) {
    Object.assign(there, { status, body, headers }, fault)
    await down(JSON.stringify(fault).slice(0, 80))
    const { asked } = there
    await down('again')
    assert.equal(there.asked, asked, 'not asked again at once')
    started.clock.advance({ seconds: 10 })
    if (started.clock.now() % 6 === 0) started.clock.advance({ minutes: 1 }) // the budget of a client is ten fetches a minute
  }
  Object.assign(there, { status, body, headers })
  started.clock.advance({ minutes: 1 })
  assert.equal((await tryWith(started, pair)).status, 200)
  there.status = 500
  assert.equal((await tryWith(started, pair)).status, 200, 'its keys are fresh for a while')
  started.clock.advance({ seconds: 600 })
  await down('stale')
  there.status = 200
  started.clock.advance({ seconds: 10 })
  assert.equal((await tryWith(started, pair)).status, 200)
})

test('CIMD §8.6: the jwks_uri of software that registers itself leads to no special-use address; the policy’s may [threats 208]', async (t) => {
  const pair = newPair()
  const there = await site(t, pair)
  const started = await startFor(t, there)
  const registered = async (url: string) => {
    const metadata = { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: url, redirect_uris: [redirect_uri] }
    const answer = await started.alice.send('/register', { json: metadata })
    assert.equal(answer.status, 201, answer.text)
    assert.deepEqual([answer.json().jwks_uri, 'client_secret' in answer.json()], [url, false])
    return String(answer.json().client_id)
  }
  const trapped = await registered(`${there.url}?x`)
  assert.equal(there.asked, 0, 'a registration fetches nothing')
  assert.equal((await tryWith(started, pair, trapped)).status, 503)
  assert.equal(there.asked, 0)
  assert.equal((await tryWith(started, pair)).status, 200)
  for (const url of ['http://a.example/jwks', 'https://u:p@a.example/jwks', 'file:///etc/passwd', 'https://a.example:0/', 'jwks'])
    assertRefusedMetadata(
      await started.alice.send('/register', {
        json: { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: url, redirect_uris: [redirect_uri] },
      }),
    )
})

const assertRefusedMetadata = (answer: { status: number; json: () => Record<string, unknown> }) =>
  assert.deepEqual([answer.status, answer.json().error], [400, 'invalid_client_metadata'])

test('RFC 7591 §2: software registers private_key_jwt where the policy lets it be confidential, and signs people in with it', async (t) => {
  const pair = newPair('PS256')
  const there = await site(t, pair)
  const started = await startFor(t, there)
  const { alice, issuer, clock, setPolicy } = started
  const metadata = {
    client_name: 'Signer',
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'PS256',
    jwks: { keys: [jwkOf(pair)] },
    redirect_uris: [redirect_uri],
    grant_types: ['authorization_code', 'refresh_token'],
  }
  const made = (await alice.send('/register', { json: metadata })).json()
  assert.deepEqual(
    [made.token_endpoint_auth_method, made.token_endpoint_auth_signing_alg, made.jwks, made.client_secret, made.client_secret_expires_at],
    ['private_key_jwt', 'PS256', { keys: [jwkOf(pair)] }, undefined, undefined],
  )
  const id = String(made.client_id)
  const by = (with_: Pair) => asserted(jwtBy(with_, assertionClaims(id, issuer, clock.now())))
  const code = { ...(await alice.code({ client_id: id, redirect_uri }, wiki)), grant_type: 'authorization_code', redirect_uri }
  assertRefused(await post(alice, { ...code, client_id: id }), 'invalid_client', 401)
  assertRefused(await post(alice, { ...code, ...by({ ...pair, alg: 'RS256' }) }), 'invalid_client', 401)
  assertRefused(await post(alice, { ...code, ...by(newPair('PS256', pair.kid)) }), 'invalid_client', 401)
  const tokens = await post(alice, { ...code, ...by(pair) })
  assert.equal(tokens.status, 200, tokens.text)
  const refreshed = await post(alice, { grant_type: 'refresh_token', refresh_token: String(tokens.json().refresh_token), ...by(pair) })
  assert.equal(refreshed.status, 200, refreshed.text)
  const revoked = await alice.send('/revoke', { form: { token: String(refreshed.json().refresh_token), ...by(pair) } })
  assert.equal(revoked.status, 200)

  const update = await alice.send(`/register/${id}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${made.registration_access_token}` },
    json: { ...metadata, client_id: id, token_endpoint_auth_method: 'client_secret_basic' },
  })
  assert.match(String(update.json().client_secret), /^mis_/, 'RFC 7592 §2.2: who changes to a secret is given one')
  assertRefused(await post(alice, { grant_type: 'refresh_token', refresh_token: 'mir_x', ...by(pair) }), 'invalid_client', 401)

  assert.equal(
    setPolicy(changedPolicy(({ grants }) => void grants.map(({ app }) => app.register && delete app.register[0]?.confidential))).ok,
    true,
  )
  const narrowed = (await alice.send('/register', { json: metadata })).json()
  assert.equal(narrowed.token_endpoint_auth_method, 'none')
})

test('CIMD §4.2: software that its metadata document describes proves itself by the keys of that document, or those at its jwks_uri', async (t) => {
  const pair = newPair()
  const there = await site(t, pair)
  const started = await startFor(t, there, { fetch: { allow: () => true } })
  const members = { '/inline.json': { jwks: { keys: [jwkOf(pair)] } }, '/remote.json': { jwks_uri: there.url } }
  for (const [path, keys] of Object.entries(members))
    there.documents[path] = {
      client_id: there.origin + path,
      redirect_uris: [redirect_uri],
      token_endpoint_auth_method: 'private_key_jwt',
      ...keys,
    }
  const { alice, issuer, clock } = started
  for (const path of Object.keys(members)) {
    const id = there.origin + path
    const code = { ...(await alice.code({ client_id: id, redirect_uri }, wiki)), grant_type: 'authorization_code', redirect_uri }
    assertRefused(await post(alice, { ...code, client_id: id }), 'invalid_client', 401)
    const by = (signer: Pair) => asserted(jwtBy(signer, assertionClaims(id, issuer, clock.now())))
    assertRefused(await post(alice, { ...code, ...by(newPair('ES256', pair.kid)) }), 'invalid_client', 401)
    const tokens = await post(alice, { ...code, ...by(pair) })
    assert.equal(tokens.status, 200, tokens.text)
  }

  const [path = ''] = Object.keys(members)
  const id = there.origin + path
  const toTokenEndpoint = () => ({ token: 'x', ...asserted(jwtBy(pair, assertionClaims(id, `${issuer}/token`, clock.now()))) })
  assertRefused(await alice.send('/introspect', { form: toTokenEndpoint() }), 'invalid_client', 401)
  const policy = changedPolicy(({ clients }) => {
    clients['client:documented'] = { client_id: id, compat: { assertion_aud: true } }
  })
  assert.equal(started.setPolicy(policy).ok, true)
  assert.equal(
    (await alice.send('/introspect', { form: toTokenEndpoint() })).status,
    200,
    'compat.assertion_aud, where the policy names the document',
  )
})
