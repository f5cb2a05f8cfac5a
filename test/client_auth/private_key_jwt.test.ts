import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
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
  type Pair,
  signatureOf,
} from '../support/assertion.ts'
import { changedPolicy, wiki } from '../support/example_policy.ts'
import { gatewayResource, tokenExchange, tokenType, withGateway } from '../support/exchange.ts'
import { type StartOptions, start } from '../support/start.ts'
import { assertRefused, changeMesh, holdAtMesh, inParallel, post, spendable } from '../support/token_request.ts'

const client_id = 'client:signer'
const ec = newPair('ES256')
const rsa = newPair('RS256')

const withKeys = (...keys: readonly (Pair | Record<string, unknown>)[]) => ({
  jwks: { keys: keys.map((key) => ('privateKey' in key ? jwkOf(key as Pair) : key)) },
})

/** A daemon whose policy names a client that signs, and ways to try what it may send. */
async function startWith(t: TestContext, entry: Record<string, unknown> = withKeys(ec), options: StartOptions = {}) {
  const policy = changedPolicy(({ clients }) => {
    clients[client_id] = entry
    clients['client:other'] = withKeys(ec)
  })
  const started = await start(t, { policy, ...options })
  const { alice, issuer, clock } = started
  const claims = (more: Record<string, unknown> = {}) => assertionClaims(client_id, issuer, clock.now(), more)
  /** Introspection of what is no token: 200 for whoever is proven, 401 for anybody else. */
  const send = (form: Record<string, string | string[]>) => alice.send('/introspect', { form: { token: 'x', ...form } })
  const proves = async (assertion: string, why = assertion) => {
    const answer = await send(asserted(assertion))
    assert.deepEqual([answer.status, answer.text], [200, '{"active":false}'], `${why}: ${answer.text}`)
  }
  const refuses = async (assertion: string, says: RegExp = /./, why = assertion.slice(0, 200)) => {
    const answer = await send({ client_id, ...asserted(assertion) })
    assert.deepEqual([answer.status, answer.json().error], [401, 'invalid_client'], `${why}: ${answer.text}`)
    assert.match(String(answer.json().error_description), says, why)
  }
  return { ...started, claims, send, proves, refuses }
}

test('RFC 7523 §2.2: a client proves itself by what it signs, by each asymmetric algorithm, with and without client_id', async (t) => {
  const pairs = ['ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512', 'Ed25519', 'EdDSA'].map((alg) =>
    newPair(alg),
  )
  const { claims, proves, send, alice } = await startWith(t, withKeys(...pairs))
  const announced = (await alice.send('/.well-known/oauth-authorization-server')).json()
  assert.deepEqual(
    [...(announced.introspection_endpoint_auth_signing_alg_values_supported as string[])].sort(),
    pairs.map(({ alg }) => alg).sort(),
  )
  for (const pair of pairs) await proves(jwtBy(pair, claims()), pair.alg)
  const [pair = ec] = pairs
  for (const typ of ['JWT', 'jwt', 'client-authentication+jwt', 'application/client-authentication+jwt'])
    await proves(jwtBy(pair, claims(), { typ }), typ)
  assert.equal((await send({ client_id, ...asserted(jwtBy(pair, claims())) })).status, 200)
  assert.equal((await send({ client_id: 'client:other', ...asserted(jwtBy(pair, claims())) })).status, 401)
})

test('RFC 8725 §3.1: no public thing is a secret: HMAC with a public key, "none" and an algorithm that the key is not for are refused [threats 214]', async (t) => {
  const { claims, refuses } = await startWith(t, withKeys(ec, rsa))
  for (const { publicKey, kid, alg, privateKey } of [ec, rsa]) {
    const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString()
    const jwk = publicKey.export({ format: 'jwk' })
    const der = publicKey.export({ format: 'der', type: 'spki' })
    for (const secret of [pem, ` ${pem}`, `\n${pem}`, pem.trim(), JSON.stringify(jwk), der, String(jwk.n ?? jwk.x), ''])
      for (const HS of ['HS256', 'HS384', 'HS512', 'hs256']) await refuses(jwtByHmac(secret, claims(), { alg: HS, kid }), /asymmetric/)
    for (const none of ['none', 'None', 'NONE', '', null, 1, ['ES256'], 'constructor', '__proto__']) {
      await refuses(`${encoded({ alg: none, kid })}.${encoded(claims())}.`)
      await refuses(jwtBy({ alg, kid, privateKey, publicKey }, claims(), { alg: none }))
    }
    for (const other of ['ES256', 'ES384', 'ES512', 'RS256', 'RS512', 'PS256', 'EdDSA', 'RS1', 'ES256K'].filter((one) => one !== alg))
      await refuses(jwtBy({ alg, kid, privateKey, publicKey }, claims(), { alg: other }))
  }
})

test('RFC 7517 §4.4: a key without alg signs by what fits its type, one with alg by that alone [threats 215]', async (t) => {
  const [pss, pkcs1] = [newPair('PS256'), newPair('RS256')]
  const only = newPair('PS256')
  const { claims, proves, refuses } = await startWith(
    t,
    withKeys(jwkOf(pss), jwkOf(pkcs1, { alg: 'RS512' }), jwkOf(only, { alg: 'PS256', use: 'sig' })),
  )
  await proves(jwtBy(pss, claims()))
  await proves(jwtBy({ ...pss, alg: 'RS256' }, claims()))
  await refuses(jwtBy(pkcs1, claims()), /not signed by a key of this client for its algorithm/)
  await proves(jwtBy({ ...pkcs1, alg: 'RS512' }, claims()))
  await proves(jwtBy(only, claims()))
  await refuses(jwtBy({ ...only, alg: 'RS256' }, claims()))
})

test('RFC 7517 §4.2, §4.3: keys that are not for signatures verify none', async (t) => {
  const [sig, enc] = [newPair(), newPair()]
  const { claims, proves, refuses } = await startWith(t, withKeys(sig, jwkOf(enc, { use: 'enc' })))
  await proves(jwtBy(sig, claims()))
  await refuses(jwtBy(enc, claims()))
})

test('RFC 7515 §4.1.4: without a kid a few keys of the right kind are tried; a kid that several keys share says nothing [threats 217]', async (t) => {
  const [one, two, three, four, five] = ['ES256', 'ES256', 'ES256', 'ES256', 'ES256'].map((alg) => newPair(alg)) as [
    Pair,
    Pair,
    Pair,
    Pair,
    Pair,
  ]
  await t.test('a few', async (t) => {
    const { claims, proves, refuses } = await startWith(t, withKeys(one, two, three, jwkOf(four, { kid: undefined }), rsa))
    for (const pair of [one, four, rsa]) await proves(jwtBy(pair, claims(), { kid: undefined }))
    await refuses(jwtBy(five, claims(), { kid: undefined }), /not signed by the key/)
    await refuses(jwtBy(one, claims(), { kid: two.kid }), /not signed by the key/)
    await refuses(jwtBy(one, claims(), { kid: 'unknown' }), /not signed by a key of this client/)
    await refuses(jwtBy(four, claims(), { kid: 'anything' }))
    for (const kid of [7, null, {}, [one.kid]]) await refuses(jwtBy(one, claims(), { kid }))
  })
  await t.test('too many', async (t) => {
    const { claims, proves, refuses } = await startWith(t, withKeys(one, two, three, four, five))
    await refuses(jwtBy(one, claims(), { kid: undefined }), /several keys/)
    await proves(jwtBy(one, claims()))
  })
  await t.test('a kid twice', async (t) => {
    const { claims, proves, refuses } = await startWith(t, withKeys(one, jwkOf(two, { kid: one.kid }), jwkOf(rsa, { kid: one.kid })))
    for (const pair of [one, two]) await refuses(jwtBy(pair, claims(), { kid: one.kid }), /several keys/)
    await proves(jwtBy(rsa, claims(), { kid: one.kid }), 'RFC 7517 §4.5: the same kid for another type is no doubt')
  })
})

test('RFC 8725 §3.10: keys and addresses in the header mean nothing, and nothing is fetched; crit is refused [threats 218]', async (t) => {
  const asked: string[] = []
  const lookup = async (name: string) => {
    asked.push(name)
    return ['127.0.0.1']
  }
  const { claims, proves, refuses } = await startWith(t, withKeys(ec), { fetch: { lookup, allow: () => true } })
  const stranger = newPair()
  const strangers = [
    { jku: 'https://evil.example/jwks' },
    { jwk: jwkOf(stranger) },
    { x5u: 'https://evil.example/x5u' },
    { x5c: [stranger.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')] },
  ]
  for (const header of strangers) {
    await refuses(jwtBy(stranger, claims(), header))
    await refuses(jwtBy({ ...stranger, kid: ec.kid }, claims(), header))
    await proves(jwtBy(ec, claims(), header))
  }
  for (const header of [{ crit: ['exp'] }, { crit: [] }, { crit: ['b64'], b64: false }, { b64: true }])
    await refuses(jwtBy(ec, claims(), header))
  assert.deepEqual(asked, [])
})

test('RFC 7515 §3.1: only three parts of canonical base64url, two of them objects, are a JWT [threats 220]', async (t) => {
  const { claims, proves, refuses } = await startWith(t)
  const good = () => jwtBy(ec, claims())
  const parts = () => good().split('.') as [string, string, string]
  const [header, payload, signature] = parts()
  const signedBy = (text: string) => `${text}.${signatureOf(text, ec).toString('base64url')}`
  const bad: string[] = [
    '.',
    '..',
    '...',
    'x',
    `${header}.${payload}`,
    `${header}.${payload}.`,
    `.${payload}.${signature}`,
    `${header}..${signature}`,
    `${good()}.x`,
    `${good()}..`,
    `${good()}.a.b`,
    `${good()}=`,
    `${good()} `,
    ` ${good()}`,
    `${good()}\n`,
    good().replace('.', ' .'),
    JSON.stringify({ protected: header, payload, signature }),
    JSON.stringify({ payload, signatures: [{ protected: header, signature }] }),
    signedBy(`${header}=.${payload}`),
    signedBy(`${header}.${payload}=`),
    `${encoded({ alg: 'dir', enc: 'A256GCM' })}..AAAA.AAAA.AAAA`,
    `${encoded({ alg: 'RSA-OAEP', enc: 'A256GCM', cty: 'JWT' })}.AAAA.AAAA.AAAA.AAAA`,
    ...['null', '[]', '"x"', '7', 'true', '', '{', '{"alg":"ES256"', '\u0000'].flatMap((text) => [
      signedBy(`${encoded(text)}.${payload}`),
      signedBy(`${header}.${encoded(text)}`),
    ]),
    signedBy(`${header}.${Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString('base64url')}`),
    signedBy(`${header}.${Buffer.from(`\ufeff${JSON.stringify(claims())}`).toString('base64url')}`),
    jwtBy(ec, good()),
    `${header}.${payload}.${'A'.repeat(20_000)}`,
  ]
  for (const text of bad) await refuses(text)
  const last = good()
  const spare = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const twin = last.slice(0, -1) + spare[spare.indexOf(last.at(-1) ?? '') ^ 1]
  await refuses(twin, /./, 'RFC 4648 §3.5: bits that no byte has')
  await proves(last)
})

test('RFC 7519 §4: a member that is there twice is refused, however it is spelled and however deep [threats 221]', async (t) => {
  const { claims, refuses, proves } = await startWith(t)
  const text = JSON.stringify(claims())
  const signedBy = (header: string, payload: string) => {
    const signed = `${encoded(header)}.${encoded(payload)}`
    return `${signed}.${signatureOf(signed, ec).toString('base64url')}`
  }
  const header = JSON.stringify({ alg: 'ES256', kid: ec.kid })
  const twice = (more: string) => text.replace(/\}$/, `,${more}}`)
  for (const more of [
    `"sub":"client:other"`,
    `"sub":"${client_id}"`,
    `"s\\u0075b":"client:other"`,
    '"x":{"a":1,"a":1}',
    '"x":[{"b":[],"b":2}]',
    '"aud":"y"',
  ])
    await refuses(signedBy(header, twice(more)))
  await refuses(signedBy(header, `{"sub":"client:other",${text.slice(1)}`))
  for (const more of ['"alg":"none"', '"kid":"y"', '"\\u0061lg":"ES256"']) await refuses(signedBy(header.replace(/\}$/, `,${more}}`), text))
  await proves(signedBy(header, twice('"x":{"sub":"y","z":{"sub":"w"}},"y":["sub",":","{\\"sub\\":"]')))
})

test('RFC 7523 §3: an assertion says by whom, for whom, until when and which one it is; another is not this client [threats 223]', async (t) => {
  const { claims, issuer, proves, refuses, send } = await startWith(t)
  for (const missing of ['iss', 'sub', 'aud', 'exp', 'jti']) await refuses(jwtBy(ec, claims({ [missing]: undefined })))
  for (const bad of [
    { iss: 'client:other' },
    { sub: 'client:other' },
    { iss: 'client:other', sub: 'client:other' },
    { iss: issuer },
    { iss: [client_id] },
    { sub: null },
    { iss: client_id.toUpperCase(), sub: client_id.toUpperCase() },
  ])
    await refuses(jwtBy(ec, claims(bad)), /client_id as iss and as sub/)
  for (const aud of [
    `${issuer}/`,
    `${issuer}/token`,
    `${issuer}/introspect`,
    issuer.toUpperCase(),
    'https://other.example',
    [],
    [issuer, 'https://other.example'],
    [issuer, `${issuer}/token`],
    '',
    null,
    7,
    { [issuer]: 1 },
    [[issuer]],
  ])
    await refuses(jwtBy(ec, claims({ aud })), /as aud, and nothing else/)
  await proves(jwtBy(ec, claims({ aud: [issuer] })))
  for (const typ of ['at+jwt', 'application/at+jwt', 'dpop+jwt', 'secevent+jwt', 'logout+jwt', '', 7, null])
    await refuses(jwtBy(ec, claims(), { typ }), /another kind/)
  // Client and key are both good ones, and not of each other: "client:other" has the same key.
  assert.equal((await send({ client_id: 'client:other', ...asserted(jwtBy(ec, claims())) })).json().error, 'invalid_client')
})

test('RFC 7523 §3, 4. to 6.: it lives five minutes at the most, of whole seconds, and clocks may differ by one minute [threats 224, 494]', async (t) => {
  const { claims, clock, proves, refuses } = await startWith(t)
  const now = clock.now()
  for (const exp of [
    now - 60,
    now - 3600,
    0,
    -1,
    now + 361,
    now + 3600,
    now * 1000,
    Number.MAX_SAFE_INTEGER,
    `${now + 60}`,
    now + 60.5,
    null,
    [now + 60],
    true,
  ])
    await refuses(jwtBy(ec, claims({ exp })))
  const raw = jwtBy(ec, claims())
  const [header = ''] = raw.split('.')
  for (const number of ['1e400', '-1e400', '1E3', '1e309']) {
    const signed = `${header}.${encoded(JSON.stringify(claims()).replace(/"exp":\d+/, `"exp":${number}`))}`
    await refuses(`${signed}.${signatureOf(signed, ec).toString('base64url')}`)
  }
  for (const more of [
    { nbf: now + 61 },
    { nbf: 'x' },
    { nbf: 1.5 },
    { iat: now + 61 },
    { iat: now - 361 },
    { iat: `${now}` },
    { iat: -1 },
    { iat: null },
  ])
    await refuses(jwtBy(ec, claims(more)))
  for (const more of [{ exp: now - 59 }, { exp: now + 360 }, { nbf: now + 60 }, { iat: now + 60 }, { iat: now - 360 }, { iat: undefined }])
    await proves(jwtBy(ec, claims(more)), JSON.stringify(more))
})

test('RFC 7523 §3, 7.: an assertion is good for once, also for many at the same moment, after a restart and in another signature [threats 226, 227]', async (t) => {
  const started = await startWith(t)
  const { claims, clock, proves, refuses, send, daemon } = started
  const used = jwtBy(ec, claims())
  await proves(used)
  await refuses(used, /used before/)

  const same = claims()
  const answers = await inParallel(20, () => send(asserted(jwtBy(ec, same)))) // each signature is another
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array.from({ length: 19 }, () => 401)])

  const order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
  const [signed, signature = ''] = [jwtBy(ec, same).split('.').slice(0, 2).join('.'), jwtBy(ec, same).split('.')[2]]
  const bytes = Buffer.from(signature, 'base64url')
  const s = order - BigInt(`0x${bytes.subarray(32).toString('hex')}`)
  const malleable = Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')])
  await refuses(`${signed}.${malleable.toString('base64url')}`)

  for (const jti of ['', 7, null, ['x'], 'x'.repeat(257), 'x'.repeat(10_000)]) await refuses(jwtBy(ec, claims({ jti })), /jti/)
  const big = await send(asserted(jwtBy(ec, claims({ jti: 'x'.repeat(1024 * 1024) }))))
  assert.equal(big.status, 413)
  await proves(jwtBy(ec, claims({ jti: 'ü'.repeat(256) })))
  const foreign = { ...claims(), iss: 'client:other', sub: 'client:other', jti: same.jti }
  assert.equal((await send(asserted(jwtBy(ec, foreign)))).status, 200, 'what one client calls its own, another may too')

  const rows = () => daemon.deps.store.engine.all<{ jti: string }>('SELECT jti FROM client_assertions LIMIT 100', {})
  const before = await rows()
  assert.ok(before.every(({ jti }) => jti.length === 43 && jti !== same.jti))
  for (const bad of [jwtBy(newPair('ES256', ec.kid), claims()), jwtBy(ec, claims({ exp: clock.now() + 9999 }))]) await refuses(bad)
  assert.equal((await rows()).length, before.length, 'what is not the client’s own takes no room')

  const last = jwtBy(ec, claims({ exp: clock.now() + 300 }))
  await proves(last)
  const again = await started.restart()
  assert.equal((await again.alice.send('/introspect', { form: { token: 'x', ...asserted(last) } })).json().error, 'invalid_client')
})

test('RFC 7523 §3, 7.: what was used is remembered for longer than it could be used, and then forgotten [threats 226]', async (t) => {
  const { claims, clock, daemon, proves } = await startWith(t)
  const { pruneExpired } = await import('../../src/store/prune.ts')
  const { rulesOf } = await import('../../src/janitor.ts')
  const { engine } = daemon.deps.store
  const kept = async () => {
    await pruneExpired(engine, rulesOf(daemon.deps), clock.now())
    return (await engine.all('SELECT jti FROM client_assertions LIMIT 10', {})).length
  }
  await proves(jwtBy(ec, claims({ exp: clock.now() + 300 })))
  clock.advance({ seconds: 300 + 60 })
  assert.equal(await kept(), 1)
  clock.advance({ minutes: 10 })
  assert.equal(await kept(), 0)
})

test('RFC 7521 §4.2: an assertion has a type that is known, is there once, and stands for itself [threats 229]', async (t) => {
  const { claims, send } = await startWith(t)
  const good = () => jwtBy(ec, claims())
  const bad: [Record<string, string | string[]>, RegExp][] = [
    [{ client_assertion: good() }, /no client_assertion_type/],
    [{ client_assertion: good(), client_id }, /no client_assertion_type/],
    [{ client_assertion_type: jwtBearer, client_id }, /no client_assertion\./],
    [asserted(good(), 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer'), /not supported/],
    [asserted(good(), `${jwtBearer} `), /not supported/],
    [asserted(good(), jwtBearer.toUpperCase()), /not supported/],
    [asserted(good(), 'jwt-bearer'), /not supported/],
    [asserted(good(), 'urn:ietf:params:oauth:grant-type:jwt-bearer'), /not supported/],
  ]
  for (const [form, says] of bad) {
    const answer = await send(form)
    assertRefused(answer, 'invalid_client', 401)
    assert.match(answer.text, says)
  }
  const twice: Record<string, string | string[]>[] = [
    { client_assertion_type: jwtBearer, client_assertion: [good(), good()] },
    { client_assertion_type: [jwtBearer, jwtBearer], client_assertion: good() },
    { client_assertion_type: [jwtBearer, jwtSpiffe], client_assertion: good() },
    { ...asserted(good()), client_id, client_secret: 'mis_x' },
  ]
  for (const form of twice) assertRefused(await send(form), 'invalid_request')
})

test('RFC 8725 §3.4, §3.5: weak keys are no keys, in the policy and in a registration [threats 232]', async (t) => {
  const { setPolicy, alice } = await startWith(t)
  const rsaKey = rsa.publicKey.export({ format: 'jwk' })
  const rsaOf = (n: string | undefined, e: string) => ({ kty: 'RSA', n, e })
  const ecKey = ec.publicKey.export({ format: 'jwk' })
  const okp = (x: Buffer) => ({ kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url') })
  const weak: Record<string, unknown>[] = [
    rsaOf(Buffer.alloc(128, 0xff).toString('base64url'), 'AQAB'),
    rsaOf(Buffer.alloc(255, 0xff).toString('base64url'), 'AQAB'),
    rsaOf(rsaKey.n, 'AQ'),
    rsaOf(rsaKey.n, 'Aw'),
    rsaOf(rsaKey.n, 'EQ'),
    rsaOf(rsaKey.n, 'AQAA'),
    rsaOf(rsaKey.n, Buffer.alloc(64, 0xff).toString('base64url')),
    { ...ecKey, y: ecKey.x },
    { ...ecKey, x: 'AA', y: 'AA' },
    { ...ecKey, x: Buffer.alloc(32).toString('base64url'), y: Buffer.alloc(32).toString('base64url') },
    { ...ecKey, crv: 'P-224' },
    okp(Buffer.alloc(32)),
    okp(Buffer.from(`01${'00'.repeat(31)}`, 'hex')),
    okp(Buffer.from(`${'00'.repeat(31)}80`, 'hex')),
    okp(Buffer.from('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85', 'hex')),
    okp(Buffer.from(`ed${'ff'.repeat(31)}`, 'hex')),
    okp(Buffer.alloc(31, 1)),
    { kty: 'oct', k: 'c2hvcnQ' },
  ]
  const confidential = changedPolicy(({ grants }) => {
    for (const { app } of grants) if (app.register) app.register = [{ confidential: true }]
  })
  assert.equal(setPolicy(confidential).ok, true)
  for (const jwk of weak) {
    const metadata = { token_endpoint_auth_method: 'private_key_jwt', redirect_uris: ['http://127.0.0.1/cb'], jwks: { keys: [jwk] } }
    const answer = await alice.send('/register', { json: metadata })
    assert.deepEqual([answer.status, answer.json().error], [400, 'invalid_client_metadata'], JSON.stringify(jwk))
  }
  for (const jwk of weak) {
    const policy = changedPolicy(({ clients }) => {
      clients[client_id] = withKeys(jwk)
    })
    assert.equal(setPolicy(policy).ok, false, JSON.stringify(jwk))
  }
})

test('RFC 8725 §3.12: a token of our own is no assertion, for anybody [threats 233]', async (t) => {
  const { alice, issuer, send, daemon, clock } = await startWith(t)
  const { id_token = '', access_token } = await alice.signIn(await alice.register(), { scope: 'openid' })
  const bySelf = daemon.deps.jwts.sign('JWT', 'ES256', assertionClaims(client_id, issuer, clock.now()))
  for (const token of [id_token, access_token, bySelf])
    for (const form of [asserted(token), { client_id, ...asserted(token) }, asserted(token, jwtSpiffe)])
      assertRefused(await send(form), 'invalid_client', 401)
})

test('compat.assertion_aud: one client may name the token endpoint in aud, as older software does; others may not', async (t) => {
  const { claims, issuer, proves, refuses, send } = await startWith(t, { ...withKeys(ec), compat: { assertion_aud: true } })
  await proves(jwtBy(ec, claims({ aud: `${issuer}/token` })))
  await proves(jwtBy(ec, claims({ aud: [issuer, `${issuer}/token`] })))
  await proves(jwtBy(ec, claims()))
  for (const aud of [`${issuer}/introspect`, `${issuer}/token/`, [`${issuer}/token`, 'https://other.example'], []])
    await refuses(jwtBy(ec, claims({ aud })))
  const other = { ...claims({ aud: `${issuer}/token` }), iss: 'client:other', sub: 'client:other' }
  assertRefused(await send(asserted(jwtBy(ec, other))), 'invalid_client', 401)
})

test('RFC 6749 §2.3: who signs is not who knows a secret or nothing; a policy client may have both credentials', async (t) => {
  const { claims, proves, send } = await startWith(t, { ...withKeys(ec), client_secret_file: 'wiki-server' })
  await proves(jwtBy(ec, claims()))
  assertRefused(await send({ client_id }), 'invalid_client', 401)
  assertRefused(await send({ client_id: 'client:other', client_secret: 'mis_guess' }), 'invalid_client', 401)
  assertRefused(await send({ client_id: 'client:other' }), 'invalid_client', 401)
})

test('RFC 7523 §3, 7.: a request that fails has used its assertion up; one that is looked at twice, because another was first, has used it once', async (t) => {
  const redirect_uri = 'http://127.0.0.1:9/cb'
  const started = await startWith(t, { ...withKeys(ec), redirect_uris: [redirect_uri] })
  const { alice, claims, setPolicy } = started
  const policy = changedPolicy(({ clients, grants }) => {
    clients[client_id] = { ...withKeys(ec), redirect_uris: [redirect_uri] }
    grants.push({
      src: ['*'],
      dst: ['resource:wiki'],
      app: { authorize: [{ scopes: ['wiki:read'], clients: [client_id], consent: 'never' }] },
    })
  })
  assert.equal(setPolicy(policy).ok, true)
  const byKey = (form: Record<string, string>, assertion = jwtBy(ec, claims())) => post(alice, { ...form, ...asserted(assertion) })

  const assertion = jwtBy(ec, claims())
  assertRefused(await byKey({ grant_type: 'refresh_token', refresh_token: 'mir_x' }, assertion), 'invalid_grant')
  assertRefused(await byKey({ grant_type: 'refresh_token', refresh_token: 'mir_x' }, assertion), 'invalid_client', 401)

  const grant = { ...(await alice.code({ client_id, redirect_uri }, wiki)), grant_type: 'authorization_code', redirect_uri }
  assertRefused(await post(alice, { ...grant, client_id }), 'invalid_client', 401)
  const tokens = await byKey(grant)
  assert.equal(tokens.status, 200, tokens.text)
  const refresh = { grant_type: 'refresh_token', refresh_token: String(tokens.json().refresh_token) }
  const held = holdAtMesh(started)
  const answers = inParallel(5, () => byKey(refresh))
  await held.waiting(5)
  held.letGo()
  const successors = new Set((await answers).map((answer) => answer.json().refresh_token))
  assert.deepEqual([successors.size, successors.has(undefined)], [1, false])
})

test('RFC 7515 §5.2: whatever is changed about an assertion, it is refused, and never an error of this server', async (t) => {
  const { claims, send, proves } = await startWith(t)
  const assertion = jwtBy(ec, claims())
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \u00e9"{'
  const edit = fc.tuple(fc.nat(assertion.length - 1), fc.nat(3), fc.array(fc.constantFrom(...letters), { maxLength: 4 }))
  const edited = fc
    .array(edit, { minLength: 1, maxLength: 3 })
    .map((edits) => edits.reduce((text, [at, removed, put]) => text.slice(0, at) + put.join('') + text.slice(at + removed), assertion))
  await fc.assert(
    fc.asyncProperty(edited, fc.constantFrom(jwtBearer, jwtSpiffe), async (text, type) => {
      if (text === assertion) return
      const answer = await send({ client_id, ...asserted(text, type) })
      assert.deepEqual([answer.status, answer.json().error], [401, 'invalid_client'], answer.text)
    }),
    { numRuns: 500 },
  )
  await proves(assertion)
})

test('RFC 7523 §3, 7.: what fails because the mesh is away has used up nothing: the same request is answered when it is back, once', async (t) => {
  const started = await start(t, { policy: withGateway(({ clients }) => void Object.assign(clients, { 'client:gateway': withKeys(ec) })) })
  const { alice, ci, issuer, clock, daemon } = started
  const { access_token } = await alice.signIn(await alice.register(), gatewayResource)
  const assertion = () => asserted(jwtBy(ec, assertionClaims('client:gateway', issuer, clock.now())))
  const exchange = {
    grant_type: tokenExchange,
    subject_token: access_token,
    subject_token_type: tokenType('access_token'),
    resource: wiki.resource,
    ...assertion(),
  }
  const own = String((await ci.send('/token', { form: { ...exchange, ...assertion() } })).json().access_token)
  const look = { token: own, ...assertion() }
  const before = await spendable(started)
  await changeMesh(started, { state: 'Stopped' })
  for (const [path, form] of [
    ['/token', exchange],
    ['/introspect', look],
  ] as const) {
    const dark = await ci.send(path, { form })
    assert.deepEqual([dark.status, dark.json().error], [503, 'temporarily_unavailable'])
    assert.ok(Number(dark.headers['retry-after']) > 0)
  }
  assert.deepEqual(await spendable(started), before)
  await changeMesh(started, { state: 'Running' })
  assert.equal((await ci.send('/introspect', { form: look })).json().active, true)
  const answers = await inParallel(20, () => ci.send('/token', { form: exchange }))
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(19).fill(401)])
  assertRefused(await ci.send('/introspect', { form: look }), 'invalid_client', 401)
  assert.equal((await daemon.deps.store.engine.all('SELECT jti FROM client_assertions LIMIT 100', {})).length, 3)
})
