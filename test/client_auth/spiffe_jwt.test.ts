import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  asserted,
  assertionClaims,
  encoded,
  jwkOf,
  jwtBearer,
  jwtBy,
  jwtByHmac,
  jwtSpiffe,
  newPair,
  signatureOf,
} from '../support/assertion.ts'
import { changedPolicy, type PolicyObject, wiki } from '../support/example_policy.ts'
import { startHttpsSite } from '../support/https_site.ts'
import { type StartOptions, start } from '../support/start.ts'
import { assertRefused, post } from '../support/token_request.ts'
import { startTrustDomain, type TrustDomain } from '../support/trust_domain.ts'

const builder = '/ns/ci/sa/builder'

/** A daemon that knows these trust domains, and ways to try SVIDs at it. */
async function startWith(
  t: TestContext,
  domains: readonly TrustDomain[],
  { change = () => {}, ...options }: StartOptions & { change?: (policy: PolicyObject) => void } = {},
) {
  const trust_domains = Object.fromEntries(domains.map(({ name, source }) => [name, source]))
  const started = await start(t, { policy: changedPolicy(change), ...options, config: { spiffe: { trust_domains }, ...options.config } })
  const { alice, issuer, clock } = started
  const claims = (more: Record<string, unknown> = {}) => ({ aud: [issuer], exp: clock.now() + 300, iat: clock.now(), ...more })
  const send = (form: Record<string, string | string[]>) => alice.send('/introspect', { form: { token: 'x', ...form } })
  const proves = async (svid: string, why = svid) => {
    const answer = await send(asserted(svid, jwtSpiffe))
    assert.deepEqual([answer.status, answer.text], [200, '{"active":false}'], `${why}: ${answer.text}`)
  }
  const refuses = async (svid: string, says: RegExp = /./, more: Record<string, string> = {}) => {
    const answer = await send({ ...asserted(svid, jwtSpiffe), ...more })
    assert.deepEqual([answer.status, answer.json().error], [401, 'invalid_client'], `${svid.slice(0, 300)}: ${answer.text}`)
    assert.match(String(answer.json().error_description), says)
  }
  return { ...started, claims, send, proves, refuses }
}

test('draft-ietf-oauth-spiffe-client-auth §3.1: a workload that nobody registered proves itself by its JWT-SVID, as often as it likes', async (t) => {
  const td = await startTrustDomain(t, 'example.org', newPair('ES256'), newPair('RS256'), newPair('PS256'), newPair('ES384'))
  const { alice, claims, issuer, proves, refuses, send } = await startWith(t, [td])
  const svid = td.svid(builder, claims())
  const id = `spiffe://example.org${builder}`
  for (let use = 0; use < 3; use++) await proves(svid)
  assert.equal((await send({ client_id: id, ...asserted(svid, jwtSpiffe) })).status, 200)
  await refuses(svid, /another client|not known/, { client_id: `${id}s` })
  for (const pair of td.pairs) await proves(td.svid(builder, claims(), {}, pair), pair.alg)
  await proves(td.svid(builder, claims({ aud: issuer })))
  await proves(td.svid('/a', claims({ iat: undefined, iss: 'https://spire.example', jti: 'x', nbf: 0, more: {} })))
  for (const endpoint of ['/introspect', '/revoke'])
    assert.equal((await alice.send(endpoint, { form: { token: 'x', ...asserted(svid, jwtSpiffe) } })).status, 200)
  assertRefused(await post(alice, { grant_type: 'authorization_code', code: 'x', ...asserted(svid, jwtSpiffe) }), 'unauthorized_client')
})

test('draft-ietf-oauth-spiffe-client-auth §4: spiffe_jwt is announced where a trust domain is configured, and nowhere else', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const announced = async ({ alice }: Pick<Awaited<ReturnType<typeof start>>, 'alice'>) => {
    const document = (await alice.send('/.well-known/oauth-authorization-server')).json()
    const of = (endpoint: string) => (document[`${endpoint}_endpoint_auth_methods_supported`] as string[]).includes('spiffe_jwt')
    return ['token', 'introspection', 'revocation'].map(of)
  }
  assert.deepEqual(await announced(await startWith(t, [td])), [true, true, true])
  const without = await start(t)
  assert.deepEqual(await announced(without), [false, false, false])
  const svid = td.svid(builder, { aud: without.issuer, exp: without.clock.now() + 300 })
  assertRefused(await without.alice.send('/introspect', { form: { token: 'x', ...asserted(svid, jwtSpiffe) } }), 'invalid_client', 401)
})

test('SPIFFE-ID §2: what is no SPIFFE ID of a workload of a trust domain that is configured is refused [threats 235]', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const { claims, refuses, proves } = await startWith(t, [td])
  const bad: unknown[] = [
    undefined,
    null,
    7,
    '',
    ['spiffe://example.org/a'],
    'example.org/a',
    'alice@example.com',
    'https://example.org/a',
    'SPIFFE://example.org/a',
    'spiffe:/example.org/a',
    'spiffe:///a',
    'spiffe://',
    'spiffe://example.org',
    'spiffe://example.org/',
    'spiffe://example.org//a',
    'spiffe://example.org/a/',
    'spiffe://example.org/a//b',
    'spiffe://example.org/a/../b',
    'spiffe://example.org/..',
    'spiffe://example.org/./a',
    'spiffe://example.org/a/.',
    'spiffe://example.org/%2e%2e/b',
    'spiffe://example.org/a%2fb',
    'spiffe://example.org/a?x=1',
    'spiffe://example.org/a?',
    'spiffe://example.org/a#b',
    'spiffe://example.org:443/a',
    'spiffe://user@example.org/a',
    'spiffe://user:password@example.org/a',
    'spiffe://Example.org/a',
    'spiffe://EXAMPLE.ORG/a',
    'spiffe://exämple.org/a',
    'spiffe://example.org/ä',
    'spiffe://example.org/a b',
    'spiffe://example.org/a\n',
    'spiffe://example.org/*',
    'spiffe://example.org\\a',
    ' spiffe://example.org/a',
    `spiffe://example.org/${'a'.repeat(2048)}`,
    `spiffe://${'a'.repeat(256)}/a`,
    'spiffe://other.example/a',
    'spiffe://example.org.evil.example/a',
    'spiffe://sub.example.org/a',
    'spiffe://__proto__/a',
    'spiffe://constructor/a',
  ]
  for (const sub of bad) await refuses(td.svid('/x', claims({ sub })))
  await proves(td.svid('', claims({ sub: 'spiffe://example.org/A.b_c-9/...' })))
  await proves(td.svid('', claims({ sub: `spiffe://example.org/${'a'.repeat(2048 - 21)}` })))
})

test('draft-ietf-oauth-spiffe-client-auth §6: the keys of one trust domain sign for no other, whatever the kid [threats 236]', async (t) => {
  const [ours, theirs] = [
    await startTrustDomain(t, 'example.org', newPair('ES256', 'same')),
    await startTrustDomain(t, 'partner.example', newPair('ES256', 'same')),
  ]
  const { claims, proves, refuses } = await startWith(t, [ours, theirs])
  await proves(ours.svid(builder, claims()))
  await proves(theirs.svid(builder, claims()))
  await refuses(ours.svid(builder, claims(), {}, theirs.pairs[0]), /not signed by a key of its own trust domain/)
  await refuses(theirs.svid(builder, claims(), {}, ours.pairs[0]), /not signed by a key of its own trust domain/)
  await refuses(ours.svid(builder, claims(), { kid: undefined }, theirs.pairs[0]))
})

test('JWT-SVID §2, §3: it ends, is for this server alone, and has no algorithm, header or type that is not foreseen [threats 238]', async (t) => {
  const pair = newPair('ES256')
  const ed = newPair('EdDSA')
  const td = await startTrustDomain(t, 'example.org', pair, ed, newPair('RS256'))
  const { claims, clock, issuer, proves, refuses } = await startWith(t, [td])
  const now = clock.now()
  const [rsa = pair] = td.pairs.slice(2)
  for (const exp of [undefined, null, `${now + 300}`, now + 0.5, now - 60, 0, -1]) await refuses(td.svid(builder, claims({ exp })))
  for (const more of [{ nbf: now + 61 }, { iat: now + 61 }, { nbf: 'x' }, { iat: null }]) await refuses(td.svid(builder, claims(more)))
  await proves(td.svid(builder, claims({ exp: now - 59 })))
  await proves(td.svid(builder, claims({ exp: now + 86_400, iat: now - 86_400 })), 'its trust domain says for how long')
  for (const aud of [
    undefined,
    null,
    [],
    '',
    `${issuer}/`,
    `${issuer}/token`,
    [issuer, 'https://other.example'],
    ['https://other.example'],
    { [issuer]: 1 },
  ])
    await refuses(td.svid(builder, claims({ aud })), /as aud, and nothing else/)

  await refuses(td.svid(builder, claims(), {}, ed), /JWT-SVID section 2\.1/)
  await refuses(td.svid(builder, claims(), { alg: 'Ed25519' }, ed))
  for (const key of [pair, rsa]) {
    const jwk = key.publicKey.export({ format: 'jwk' })
    const pem = key.publicKey.export({ format: 'pem', type: 'spki' }).toString()
    const payload = { sub: `spiffe://example.org${builder}`, ...claims() }
    for (const secret of [pem, ` ${pem}`, JSON.stringify(jwk), String(jwk.n ?? jwk.x), ''])
      for (const alg of ['HS256', 'HS512']) await refuses(jwtByHmac(secret, payload, { alg, kid: key.kid }))
    for (const alg of ['none', 'None', 'NONE']) await refuses(`${encoded({ alg, kid: key.kid })}.${encoded(payload)}.`)
    for (const alg of ['ES384', 'PS384', 'RS512', 'ES512', key === rsa ? 'ES256' : 'RS256'])
      await refuses(jwtBy({ ...key, alg: key.alg }, payload, { alg }))
  }
  const stranger = newPair()
  for (const header of [
    { jku: 'https://evil.example/' },
    { jwk: jwkOf(stranger) },
    { x5u: 'https://evil.example/' },
    { x5c: ['MIIB'] },
    { crit: ['exp'] },
    { b64: true },
    { cty: 'JWT' },
    { anything: 1 },
  ])
    for (const by of [pair, { ...stranger, kid: pair.kid }]) await refuses(td.svid(builder, claims(), header, by))
  const [header = '', payload = ''] = td.svid(builder, claims()).split('.')
  const twice = `${header}.${encoded(Buffer.from(payload, 'base64url').toString().replace('{', '{"sub":"spiffe://example.org/admin",'))}`
  await refuses(`${twice}.${signatureOf(twice, pair).toString('base64url')}`)
})

test('JWT-SVID §2.3: typ is JWT, JOSE or absent; client-authentication+jwt is not asked for [threats 239]', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const { claims, proves, refuses } = await startWith(t, [td])
  for (const typ of [undefined, 'JWT', 'JOSE']) await proves(td.svid(builder, claims(), { typ }))
  for (const typ of ['at+jwt', 'jwt', 'client-authentication+jwt', 'wit+jwt', '', null, 7])
    await refuses(td.svid(builder, claims(), { typ }))
  await proves(td.svid(builder, claims(), { kid: undefined }))
})

test('SPIFFE Bundle §4.2.2: only keys that are for JWT-SVIDs verify them', async (t) => {
  const [good, x509, unsaid, sig, wit] = [newPair(), newPair(), newPair(), newPair(), newPair()]
  const td = await startTrustDomain(t, 'example.org', good)
  const uses: [typeof good, string | undefined][] = [
    [x509, 'x509-svid'],
    [unsaid, undefined],
    [sig, 'sig'],
    [wit, 'wit-svid'],
  ]
  td.more = {
    keys: [
      jwkOf(good, { use: 'jwt-svid' }),
      ...uses.map(([pair, use]) => jwkOf(pair, { use })),
      { kty: 'AKP', use: 'jwt-svid' },
      'x',
      null,
    ],
  }
  const { claims, proves, refuses } = await startWith(t, [td])
  await proves(td.svid(builder, claims()))
  for (const [pair] of uses) await refuses(td.svid(builder, claims(), {}, pair))
})

test('policy: a SPIFFE selector matches whole segments, each star one of them [threats 241]', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const other = await startTrustDomain(t, 'partner.example')
  const started = await startWith(t, [td, other], {
    change({ grants }) {
      grants.push({ src: ['spiffe://example.org/ns/*/sa/builder'], dst: ['resource:wiki'], app: { introspect: [{}] } })
      grants.push({ src: ['spiffe://example.org/app'], dst: ['resource:wiki'], app: { introspect: [{}] } })
    },
  })
  const { alice, claims } = started
  const { access_token } = await alice.signIn(await alice.register(), wiki)
  const seesWith = async (svid: string) => {
    const answer = await alice.send('/introspect', { form: { token: access_token, ...asserted(svid, jwtSpiffe) } })
    assert.equal(answer.status, 200, answer.text)
    return answer.json().active
  }
  for (const path of ['/ns/ci/sa/builder', '/ns/prod/sa/builder', '/ns/.../sa/builder', '/app'])
    assert.equal(await seesWith(td.svid(path, claims())), true, path)
  for (const path of [
    '/ns/ci/sa/builder-evil',
    '/ns/ci/sa/Builder',
    '/ns/ci/x/sa/builder',
    '/ns/sa/builder',
    '/ns/ci/sa/builder/x',
    '/x/ns/ci/sa/builder',
    '/app-evil',
    '/app/x',
    '/ap',
  ])
    assert.equal(await seesWith(td.svid(path, claims())), false, path)
  assert.equal(await seesWith(other.svid('/ns/ci/sa/builder', claims())), false, 'another trust domain')
})

test('RFC 7521 §4.2: an SVID is no jwt-bearer assertion, and an assertion is no SVID [threats 242]', async (t) => {
  const pair = newPair()
  const td = await startTrustDomain(t, 'example.org', pair)
  const { claims, issuer, clock, send, refuses } = await startWith(t, [td], {
    change({ clients }) {
      clients['client:both'] = { spiffe_id: `spiffe://example.org${builder}`, jwks: { keys: [jwkOf(pair)] } }
    },
  })
  const svid = td.svid(builder, claims())
  for (const more of [{}, { client_id: 'client:both' }, { client_id: `spiffe://example.org${builder}` }])
    assertRefused(await send({ ...asserted(svid, jwtBearer), ...more }), 'invalid_client', 401)
  for (const client_id of ['client:both', `spiffe://example.org${builder}`]) {
    const assertion = assertionClaims(client_id, issuer, clock.now())
    if (client_id === 'client:both') await refuses(jwtBy(pair, assertion), /SPIFFE ID of a workload as sub/, { client_id })
    else assertRefused(await send(asserted(jwtBy(pair, assertion), jwtBearer)), 'invalid_client', 401)
  }
  assert.equal((await send({ client_id: 'client:both', ...asserted(svid, jwtSpiffe) })).status, 200)
  const own = jwtBy(pair, assertionClaims('client:both', issuer, clock.now()))
  assert.equal((await send(asserted(own, jwtBearer))).status, 200)
  assertRefused(await send({ client_assertion_type: [jwtBearer, jwtSpiffe], client_assertion: svid }), 'invalid_request')
})

test('policy: a client with a spiffe_id is that workload and no other, with or without client_id; its name is what grants speak of', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const started = await startWith(t, [td], {
    change({ clients, grants }) {
      clients['client:builder'] = { spiffe_id: `spiffe://example.org${builder}`, compat: { assertion_aud: true } }
      clients['client:left'] = { spiffe_id: 'spiffe://example.org/twin' }
      clients['client:right'] = { spiffe_id: 'spiffe://example.org/twin' }
      grants.push({ src: ['client:builder'], dst: ['resource:wiki'], app: { introspect: [{}] } })
    },
  })
  const { alice, claims, issuer, refuses, send } = started
  const svid = td.svid(builder, claims())
  const { access_token } = await alice.signIn(await alice.register(), wiki)
  for (const more of [{}, { client_id: 'client:builder' }, { client_id: `spiffe://example.org${builder}` }]) {
    const answer = await alice.send('/introspect', { form: { token: access_token, ...asserted(svid, jwtSpiffe), ...more } })
    assert.equal(answer.json().active, true, answer.text)
  }
  await refuses(td.svid('/ns/ci/sa/other', claims()), /another client/, { client_id: 'client:builder' })
  await refuses(svid, /another client/, { client_id: 'client:left' })
  const toToken = td.svid(builder, claims({ aud: `${issuer}/token` }))
  assert.equal((await send(asserted(toToken, jwtSpiffe))).status, 200, 'compat.assertion_aud')
  const twin = td.svid('/twin', claims())
  await refuses(twin, /not known here/)
  for (const client_id of ['client:left', 'client:right'])
    assert.equal((await send({ client_id, ...asserted(twin, jwtSpiffe) })).status, 200)
  assertRefused(await send({ client_id: 'client:builder' }), 'invalid_client', 401)
})

test('draft-ietf-oauth-spiffe-client-auth §3.1.2, §5.1: together with a metadata document that the policy names, whole segments matched', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const asked: string[] = []
  let spiffe_id = 'spiffe://example.org/client/*'
  const site = await startHttpsSite(t, (request, response) => {
    asked.push(String(request.url))
    const body = {
      client_id: `${site.origin}${request.url}`,
      client_name: 'Workloads',
      spiffe_id,
      spiffe_bundle_endpoint: `${site.origin}/bundle`,
    }
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=60' }).end(JSON.stringify(body))
  })
  const client_id = `${site.origin}/client.json`
  const started = await startWith(t, [td], {
    fetch: { ca: site.cert, lookup: async () => ['127.0.0.1'] },
    change({ clients, grants }) {
      clients['client:workloads'] = { client_id }
      grants.push({ src: ['client:workloads'], dst: ['resource:wiki'], app: { introspect: [{}] } })
    },
  })
  const { alice, claims, clock, refuses } = started
  const { access_token } = await alice.signIn(await alice.register(), wiki)
  const see = (path: string) =>
    alice.send('/introspect', { form: { token: access_token, client_id, ...asserted(td.svid(path, claims()), jwtSpiffe) } })

  await refuses(td.svid('/client/1', claims(), {}, newPair()), /not signed/, { client_id })
  await refuses(td.svid('/client/1', claims({ exp: 1 })), /expired/, { client_id })
  assert.deepEqual(asked, [], 'who proves nothing makes nobody fetch')
  for (const path of ['/client/1', '/client/2/x']) assert.equal((await see(path)).json().active, true, path)
  assert.deepEqual(asked, ['/client.json'])
  for (const path of ['/client', '/client123', '/other/1']) assertRefused(await see(path), 'invalid_client', 401)
  await refuses(td.svid('/client/1', claims()), /not known here/, { client_id: `${site.origin}/unnamed.json` })
  assert.deepEqual(asked, ['/client.json'], 'a document that nobody named is not fetched, and nobody believes where it says that keys are')

  spiffe_id = 'spiffe://example.org/moved'
  assert.equal((await see('/client/1')).status, 200)
  clock.advance({ seconds: 61 })
  spiffe_id = 'no SPIFFE ID'
  assertRefused(await see('/client/1'), 'invalid_client', 401)
  spiffe_id = 'spiffe://example.org/moved'
  clock.advance({ seconds: 61 })
  assertRefused(await see('/client/1'), 'invalid_client', 401)
  assert.equal((await see('/moved')).json().active, true)
  assert.equal(asked.length, 3)
})

test('RFC 9111 §4.2, RFC 6749 §5.2: a workload’s document serves it for a minute, whatever its origin says; where it cannot be fetched it is 503, and no word about the client', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  let [asked, status] = [0, 500]
  const site = await startHttpsSite(t, (request, response) => {
    asked++
    const body = { client_id: `${site.origin}${request.url}`, client_name: 'Workloads', spiffe_id: 'spiffe://example.org/client/*' }
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-cache' }).end(JSON.stringify(body))
  })
  const client_id = `${site.origin}/client.json`
  let lookup = async () => ['127.0.0.1']
  const { claims, clock, send } = await startWith(t, [td], {
    fetch: { ca: site.cert, lookup: () => lookup() },
    change({ clients }) {
      clients['client:workloads'] = { client_id }
    },
  })
  const see = () => send({ client_id, ...asserted(td.svid('/client/1', claims()), jwtSpiffe) })
  const isDark = async () => {
    const answer = await see()
    assert.deepEqual([answer.status, answer.json().error], [503, 'temporarily_unavailable'], answer.text)
    assert.match(String(answer.headers['retry-after']), /^\d+$/)
  }
  await isDark()
  lookup = () => Promise.reject(new Error('ENOTFOUND'))
  await isDark()
  lookup = async () => ['127.0.0.1']
  status = 200
  asked = 0
  for (let use = 0; use < 20; use++) assert.equal((await see()).status, 200)
  clock.advance({ seconds: 59 })
  assert.deepEqual([(await see()).status, asked], [200, 1])
  clock.advance({ seconds: 1 })
  assert.deepEqual([(await see()).status, asked], [200, 2])
  clock.advance({ seconds: 60 })
  status = 500
  await isDark()
})
