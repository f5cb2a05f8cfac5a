import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertCode, assertLinkBack, assertPage, assertSentBack, counts, textOf, withoutTrace } from '../support/answers.ts'
import { changedPolicy, wiki } from '../support/example_policy.ts'
import { start } from '../support/start.ts'

const registered = [
  'https://app.example.com/cb',
  'https://foo.example.com',
  'https://app.example.com/q?x=1',
  'https://app.example.com/%63c',
  'http://127.0.0.1/cb',
  'http://localhost:3000/cb?y=2',
  'http://[::1]/',
  'com.example.app:/cb',
]

/** Software that an admin named and nobody is asked about: if anything redirects by itself, this does. */
const policy = changedPolicy(({ clients, grants }) => {
  clients['client:app'] = { name: 'App', redirect_uris: registered }
  clients['client:single'] = { name: 'Single', redirect_uris: ['https://single.example.com/cb'] }
  for (const { dst, app } of grants) if (app.authorize && dst?.includes('client:grafana')) dst.push('client:app', 'client:single')
})

const openid = { scope: 'openid' }

test('OAuth 2.1 §4.1.1: what is not a registered redirect URI to the letter gets a page, no code and no row [threats 1, 2, 4, 5, 7, 8, 10, 13, 14, 16, 25, 26, 38]', async (t) => {
  const started = await start(t, { policy })
  const { alice, issuer } = started
  const unregistered = [
    'https://evil.tld/cb',
    'https://fooaexample.com',
    'https://foo.example.com.evil.tld',
    'https://foo.example.com/',
    'https://app.example.com@evil.tld/cb',
    'https://app.example.com:x@evil.tld/cb',
    'https://APP.example.com/cb',
    'https://app.example.com:443/cb',
    'HTTPS://app.example.com/cb',
    'https://app.example.com/cb/',
    'https://app.example.com//cb',
    'https://app.example.com./cb',
    'https://app.example.com/%63b',
    'https://app.example.com/cc',
    'https://app.example.com/x/../cb',
    'https://app.example.com/cb#',
    'https://app.example.com/cb#x',
    'https://app.example.com/cb?x=1',
    'https://app.example.com/cb?x=1&code=attacker',
    'https://app.example.com/q',
    'https://app.example.com/q?x=2',
    'https://app.example.com/q?x=1&y=2',
    ' https://app.example.com/cb',
    'https://app.example.com/cb ',
    'https://app.example.com/c\nb',
    'https:app.example.com/cb',
    'https:/app.example.com/cb',
    '//app.example.com/cb',
    '/cb',
    'javascript:alert(1)',
    '\tjav\tascript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'com.example.app:/cb/',
    'com.example.app://cb',
    'COM.example.app:/cb',
    'http://0.0.0.0:1/cb',
    'http://[::]:1/cb',
    'http://100.64.0.5/cb',
    'http://2130706433/cb',
    'http://0x7f.1/cb',
    'http://0177.0.0.1/cb',
    'http://127.1/cb',
    'http://127.0.0.2/cb',
    'http://[::ffff:127.0.0.1]/cb',
    `${issuer}/authorize`,
    '__proto__',
    `https://app.example.com/cb?${'a'.repeat(5000)}`,
    '"><script>alert(1)</script>',
  ]
  await withoutTrace(started, async () => {
    for (const redirect_uri of unregistered)
      for (const more of [{}, { prompt: 'none' }, { response_type: 'token' }])
        assertPage(
          await alice.authorize({ client_id: 'client:app', redirect_uri }, { ...openid, ...more }),
          400,
          /has not registered this redirect_uri/,
        )
  })
})

test('RFC 8252 §7.3, §8.3: on http loopback the port is free; host, path and query are not, and port tricks are none [threats 20, 22, 23, 28]', async (t) => {
  const started = await start(t, { policy })
  const { alice } = started
  for (const redirect_uri of [
    'http://127.0.0.1:51004/cb',
    'http://127.0.0.1:65535/cb',
    'http://localhost:1/cb?y=2',
    'http://localhost/cb?y=2',
    'http://[::1]:9/',
  ])
    assertCode(started, await alice.authorize({ client_id: 'client:app', redirect_uri }, openid), { redirect_uri })
  await withoutTrace(started, async () => {
    for (const redirect_uri of [
      'http://localhost:51004/cb',
      'http://[::1]:51004/cb',
      'http://127.0.0.1:3000/cb?y=2',
      'http://[::1]:3000/cb?y=2',
      'http://localhost:9/',
      'http://127.0.0.1:9/',
      'http://LOCALHOST:3000/cb?y=2',
      'http://localhost:3000/cb',
      'https://127.0.0.1:51004/cb',
      'http://127.0.0.1:0/cb',
      'http://127.0.0.1:65536/cb',
      'http://127.0.0.1:080/cb',
      'http://127.0.0.1:+80/cb',
      'http://127.0.0.1:/cb',
      'http://127.0.0.1:8a/cb',
      'http://127.0.0.1:1@evil.tld/cb',
      'http://127.0.0.1.evil.tld/cb',
    ])
      assertPage(await alice.authorize({ client_id: 'client:app', redirect_uri }, openid), 400, /has not registered this redirect_uri/)
  })
})

test('RFC 9700 §4.11: a loopback address with a free port never leads back to this server [threats 38]', async (t) => {
  const started = await start(t)
  const { alice, issuer } = started
  const client = await alice.register({ redirect_uris: ['http://localhost/authorize'] })
  assertPage(await alice.authorize({ ...client, redirect_uri: 'http://localhost:1/authorize' }, wiki), 200)
  assertPage(await alice.authorize({ ...client, redirect_uri: `${issuer}/authorize` }, wiki), 400, /has not registered/)
})

test('OAuth 2.1 §4.1.2: each registered redirect URI is answered as it stands, its query kept, ours appended once [threats 10]', async (t) => {
  const started = await start(t, { policy })
  for (const redirect_uri of registered) {
    assertCode(started, await started.alice.authorize({ client_id: 'client:app', redirect_uri }, openid), { redirect_uri })
    const refused = await started.alice.authorize({ client_id: 'client:app', redirect_uri }, { ...openid, response_type: 'token' })
    assertSentBack(started, refused, 'unsupported_response_type', { redirect_uri })
  }
})

test('OAuth 2.1 §2.3.2, OpenID Connect Core §3.1.2.1: redirect_uri may be left out where there is one, and OpenID is not asked for [threats 32]', async (t) => {
  const started = await start(t, { policy })
  const { alice } = started
  const leftOut = (client_id: string, params: Record<string, string>) =>
    alice.authorize({ client_id, redirect_uri: '' }, { ...params, redirect_uri: undefined })
  const way = { redirect_uri: 'https://single.example.com/cb' }
  assertCode(started, await leftOut('client:single', { scope: 'profile' }), way)
  assertSentBack(started, await leftOut('client:single', { scope: 'profile', response_type: 'token' }), 'unsupported_response_type', way)
  await withoutTrace(started, async () => {
    for (const scope of ['openid', 'profile openid', 'openid  profile'])
      assertPage(await leftOut('client:single', { scope }), 400, /"redirect_uri" is missing/)
    assertPage(await leftOut('client:app', { scope: 'profile' }), 400, /"redirect_uri" is missing/)
    assertPage(await leftOut('client:wiki-server', { scope: 'profile' }), 400, /"redirect_uri" is missing/)
    assertPage(
      await alice.authorize({ client_id: 'client:single', redirect_uri: '' }, { scope: 'profile' }),
      400,
      /"redirect_uri" is missing/,
    )
  })
})

test('OAuth 2.1 §3.1: redirect_uri or client_id twice, the same or not, is a page [threats 34, 40]', async (t) => {
  const started = await start(t, { policy })
  const { alice } = started
  const [one = '', two = ''] = registered
  const client = { client_id: 'client:app', redirect_uri: one }
  await withoutTrace(started, async () => {
    for (const redirect_uri of [
      [one, one],
      [one, two],
      [one, 'https://evil.tld/'],
      ['https://evil.tld/', one],
      [one, ''],
    ])
      assertPage(await alice.authorize(client, { ...openid, redirect_uri }), 400, /"redirect_uri" is there more than once/)
    for (const client_id of [
      ['client:app', 'client:app'],
      ['client:app', 'client:single'],
    ])
      assertPage(await alice.authorize(client, { ...openid, client_id }), 400, /"client_id" is there more than once/)
    const encoded = await alice.send(
      `/authorize?client_id=client:app&redirect_uri=${encodeURIComponent(one)}&redirect%5Furi=https://evil.tld/`,
    )
    assertPage(encoded, 400, /"redirect_uri" is there more than once/)
  })
})

test('RFC 6749 §4.1.2.1: what cannot be answered elsewhere is a page: no client, an unknown one, no UTF-8, too much [threats 1, 49]', async (t) => {
  const started = await start(t, { policy })
  const { alice } = started
  const evil = `"><script>alert(1)</script>${'x'.repeat(3000)}`
  await withoutTrace(started, async () => {
    for (const client_id of ['', undefined])
      assertPage(await alice.authorize({ client_id: '', redirect_uri: 'https://a.example/' }, { client_id }), 400, /"client_id" is missing/)
    for (const client_id of [
      'client:nobody',
      'CLIENT:app',
      'client:app ',
      'dcr_01',
      '__proto__',
      'constructor',
      evil,
      'http://a.example/x',
      'https://a.example',
    ])
      assertPage(await alice.authorize({ client_id, redirect_uri: registered[0] ?? '' }), 400, /The client .* is not known here/)
    for (const query of ['client_id=%ff', 'client_id=%', 'client_id=client:app%00', 'a=b&'.repeat(101)])
      assertPage(await alice.send(`/authorize?${query}`), 400)
    assertPage(await alice.send('/authorize'), 400, /"client_id" is missing/)
  })
})

test('RFC 8252 §8.4, OAuth 2.1 §7.3.1: two clients may claim one private-use scheme; each is asked about, with PKCE, and never approved for the other [threats 31]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const redirect_uri = 'com.example.app:/cb'
  const [first, second] = [await alice.register({ redirect_uris: [redirect_uri] }), await alice.register({ redirect_uris: [redirect_uri] })]
  assertCode(started, await alice.answer(await alice.authorize(first, wiki), 'approve'), { redirect_uri })
  const page = await alice.authorize(second, wiki)
  assertPage(page, 200, /an app on your own device.*Only go on if you just started this sign-in yourself/)
  assertLinkBack(
    started,
    await alice.authorize(second, { ...wiki, code_challenge: undefined, code_challenge_method: undefined }),
    'invalid_request',
    { redirect_uri },
  )
})

test('OAuth 2.1 §7.9, UTS 46: the page shows the host that is answered, as A-labels; a loopback one with a warning [threats 17, 23, 74]', async (t) => {
  const { alice } = await start(t)
  for (const [redirect_uri, shown] of [
    ['https://xn--pple-43d.com/cb', /The answer goes to xn--pple-43d\.com Resource/],
    ['https://app.example.com:8443/cb', /The answer goes to app\.example\.com:8443 Resource/],
    ['http://localhost:3118/cb', /The answer goes to localhost:3118 a program on your own computer .*Only go on if you just started/],
    ['http://127.0.0.1:9/cb', /The answer goes to 127\.0\.0\.1:9 a program on your own computer .*Only go on if you just started/],
  ] as const) {
    const page = await alice.authorize(await alice.register({ redirect_uris: [redirect_uri] }), wiki)
    assertPage(page, 200, shown)
    assert.equal(/Only go on if/.test(textOf(page)), redirect_uri.startsWith('http:'))
  }
})

test('OAuth 2.1 §7.5.3: a form that was posted is never posted on: every redirect is 303 [threats 37]', async (t) => {
  const started = await start(t, { policy })
  const { alice } = started
  const grafana = { client_id: 'client:single', redirect_uri: 'https://single.example.com/cb' }
  const posted = (params: Record<string, string>) =>
    alice.send('/authorize', {
      form: {
        ...grafana,
        response_type: 'code',
        state: 'st-1',
        scope: 'openid',
        code_challenge: 'x'.repeat(43),
        code_challenge_method: 'S256',
        ...params,
      },
    })
  assertCode(started, await posted({}), grafana)
  assertSentBack(started, await posted({ response_type: 'token' }), 'unsupported_response_type', grafana)
  const client = await alice.register()
  for (const decision of ['approve', 'deny'] as const)
    assert.equal((await alice.answer(await alice.authorize(client, { ...wiki, prompt: 'login' }), decision)).status, 303)
  const before = await counts(started)
  assertPage(await posted({ redirect_uri: 'https://evil.tld/' }), 400, /has not registered/)
  assert.deepEqual(await counts(started), before)
})
