/** OpenID Connect Core, for the code flow: what a request may ask for beyond scopes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeJwt } from 'jose'
import { assertCode, assertPage, assertSentBack, textOf, withoutTrace } from '../support/answers.ts'
import { changedPolicy, grafanaCallback, policyClient, wiki } from '../support/example_policy.ts'
import type { Answer, Person, TestClient } from '../support/person.ts'
import { start } from '../support/start.ts'

const grafana = { client_id: 'client:grafana', redirect_uri: grafanaCallback }
const openid = { scope: 'openid' }
const [mesh, person] = ['urn:meshidp:acr:mesh', 'urn:meshidp:acr:person']

const idTokenOf = async (who: Person, client: TestClient, params: Record<string, string> = {}) =>
  decodeJwt((await who.signIn(client, { ...openid, ...params })).id_token ?? '')

const userinfo = async (who: Person, access_token: string) =>
  (await who.send('/userinfo', { headers: { authorization: `Bearer ${access_token}` } })).json()

test('OpenID Connect Core §3.1.2.1, RFC 8176: acr_values that ask for a person show a page once, and acr and amr say what was', async (t) => {
  const started = await start(t)
  const { alice, alicePhone, clock } = started
  const client = policyClient(started, 'grafana', grafanaCallback)
  const before = await idTokenOf(alice, client, { acr_values: `urn:unheard-of ${mesh} ${person}` })
  assert.deepEqual([before.acr, before.amr], [mesh, ['mesh']])
  assertSentBack(started, await alice.authorize(grafana, { ...openid, acr_values: person, prompt: 'none' }), 'login_required', grafana)
  clock.advance({ seconds: 5 })
  assertPage(await alice.authorize(grafana, { ...openid, acr_values: `urn:unheard-of ${person} ${mesh}` }), 200, /^Confirm who you are/)
  const after = await idTokenOf(alice, client, { acr_values: person })
  assert.deepEqual([after.acr, after.amr, after.auth_time], [person, ['mesh', 'user'], clock.now()])

  clock.advance({ seconds: 5 })
  for (const params of [{}, { acr_values: person }, { acr_values: person, prompt: 'none' }, { acr_values: mesh }]) {
    const { acr, auth_time, sub } = await idTokenOf(alice, client, params)
    assert.deepEqual([acr, auth_time, sub], [person, after.auth_time, after.sub], JSON.stringify(params))
  }
  assertPage(await alicePhone.authorize(grafana, { ...openid, acr_values: person }), 200, /^Confirm who/)
})

test('OpenID Connect Core §5.5.1.1: an essential acr that there is none of is refused, one that there is asks the person', async (t) => {
  const started = await start(t)
  const { alice } = started
  const claims = (acr: unknown) => JSON.stringify({ id_token: { acr } })
  const unmet = await alice.authorize(grafana, { ...openid, claims: claims({ essential: true, values: ['urn:mace:incommon:iap:silver'] }) })
  assertSentBack(started, unmet, 'unmet_authentication_requirements', grafana)
  for (const acr of [null, { essential: true }, { values: ['urn:x'] }, { essential: true, values: ['urn:x', mesh] }])
    assertCode(started, await alice.authorize(grafana, { ...openid, claims: claims(acr) }), grafana)
  assertPage(await alice.authorize(grafana, { ...openid, claims: claims({ essential: true, value: person }) }), 200, /^Confirm who/)
  // A claim is said with more care than acr_values, so it counts first.
  assertPage(await alice.authorize(grafana, { ...openid, acr_values: mesh, claims: claims({ values: [person] }) }), 200, /^Confirm who/)
})

test('OpenID Connect Core §5.5: claims named one by one come where they were asked for, and widen no token', async (t) => {
  const started = await start(t)
  const { alice, clock } = started
  const client = policyClient(started, 'grafana', grafanaCallback)
  const claims = JSON.stringify({
    id_token: { email: { essential: true }, unheard_of: null },
    userinfo: { preferred_username: null, groups: { values: ['x'] }, picture: null },
  })
  const tokens = await alice.signIn(client, { ...openid, claims })
  assert.equal(tokens.scope, 'openid')
  const idToken = decodeJwt(tokens.id_token ?? '')
  assert.deepEqual([idToken.email, idToken.preferred_username, idToken.groups], ['alice@example.com', undefined, undefined])
  const expected = { preferred_username: 'alice@example.com', groups: ['group:eng', 'group:oncall'], sub: 'userid:101' }
  assert.deepEqual(await userinfo(alice, tokens.access_token), expected)
  clock.advance({ seconds: 10 })
  const refreshed = await alice.refresh(client, tokens)
  assert.equal(decodeJwt(refreshed.id_token ?? '').email, 'alice@example.com')
  assert.deepEqual(await userinfo(alice, refreshed.access_token), expected)
  assert.deepEqual(await userinfo(alice, (await alice.signIn(client, openid)).access_token), { sub: 'userid:101' })
})

test('OpenID Connect Core §5.5: a claim is decided like the scope that would give it, now and later; a person who is asked sees it', async (t) => {
  const started = await start(t, {
    policy: changedPolicy(({ grants }) => {
      for (const { dst, app } of grants)
        if (dst?.includes('autogroup:registered') && app.authorize) app.authorize = [{ scopes: ['openid', 'email'], consent: 'once' }]
    }),
  })
  const { alice } = started
  const client = await alice.register()
  const claims = JSON.stringify({ userinfo: { email: null, name: null } })
  assert.match(textOf(await alice.authorize(client, { ...openid, claims })), /See your e-mail address/)
  const tokens = await alice.signIn(client, { ...openid, claims })
  assert.equal(tokens.scope, 'openid')
  assert.deepEqual(await userinfo(alice, tokens.access_token), { email: 'alice@example.com', sub: 'userid:101' })

  const without = changedPolicy(({ grants }) => {
    for (const { dst, app } of grants)
      if (dst?.includes('autogroup:registered') && app.authorize) app.authorize = [{ scopes: ['openid'], consent: 'once' }]
  })
  assert.ok(started.setPolicy(without).ok)
  assert.deepEqual(await userinfo(alice, tokens.access_token), { sub: 'userid:101' })
  assert.equal((await alice.refresh(client, tokens)).scope, 'openid')
})

test('OpenID Connect Core §5.5: claims that are no JSON object of objects are refused; without openid they mean nothing', async (t) => {
  const started = await start(t)
  const { alice } = started
  await withoutTrace(started, async () => {
    const deep = `{"id_token":${'{"a":'.repeat(500)}null${'}'.repeat(500)}}`
    for (const claims of [
      'x',
      '[]',
      'null',
      '"x"',
      '{"id_token":[]}',
      '{"userinfo":1}',
      '{"id_token":{"email":true}}',
      '{"id_token":{"email":{"essential":"yes"}}}',
      '{"id_token":{"email":{"values":"x"}}}',
      `{"userinfo":{${Array.from({ length: 51 }, (_, n) => `"c${n}":null`).join()}}}`,
      `${deep}}`,
    ])
      assertSentBack(started, await alice.authorize(grafana, { ...openid, claims }), 'invalid_request', grafana)
  })
  for (const claims of ['{}', '{"id_token":null}', '{"id_token":{"__proto__":null,"constructor":null}}'])
    assertCode(started, await alice.authorize(grafana, { ...openid, claims }), grafana)
  const client = await alice.register()
  const { access_token } = await alice.signIn(client, { ...wiki, claims: '{"userinfo":{"email":null}}' })
  assert.equal(decodeJwt(access_token).scope, 'wiki:read')
})

test('OpenID Connect Core §5.5.1: a sub that is asked for by value is the person who is there, or it is login_required [threats 56]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const claims = (sub: unknown, other?: unknown) =>
    JSON.stringify({ id_token: { sub }, ...(other !== undefined && { userinfo: { sub: other } }) })
  for (const asked of [
    claims({ value: 'userid:102' }),
    claims({ values: ['userid:102', 101] }),
    claims(null, { value: '' }),
    claims({ values: ['userid:101'] }, { value: 'userid:102' }),
  ])
    for (const prompt of [undefined, 'none'])
      assertSentBack(started, await alice.authorize(grafana, { ...openid, claims: asked, prompt }), 'login_required', grafana)
  for (const asked of [claims({ value: 'userid:101' }), claims({ values: ['userid:102', 'userid:101'] }), claims({ essential: true })])
    assertCode(started, await alice.authorize(grafana, { ...openid, claims: asked, prompt: 'none' }), grafana)
})

test('OpenID Connect Core §3.1.2.1: login_hint is a hint; on a page a person reads that somebody else was expected, and never the hint', async (t) => {
  const started = await start(t)
  const { alice } = started
  assertCode(started, await alice.authorize(grafana, { ...openid, login_hint: 'bob@example.com', prompt: 'none' }), grafana)
  const client = await alice.register()
  const expected = /The application expected somebody else/
  const page = await alice.authorize(client, { ...wiki, login_hint: 'zaphod@example.com<b>' })
  assert.match(textOf(page), expected)
  assert.doesNotMatch(page.text, /zaphod/)
  for (const login_hint of ['ALICE@example.com', 'alice', '', 'x'.repeat(5000)])
    assert.doesNotMatch(textOf(await alice.authorize(client, { ...wiki, login_hint })), expected)
})

/** The fields of a form_post page, and where it posts them. */
function postedBy(answer: Answer): { action: string; fields: Record<string, string> } {
  const plain = (text: string) =>
    text.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&#39;', "'").replaceAll('&amp;', '&')
  const [, action = ''] = /<form method="post" action="([^"]*)">/.exec(answer.text) ?? []
  const fields = [...answer.text.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)]
  return { action: plain(action), fields: Object.fromEntries(fields.map(([, name = '', value = '']) => [name, plain(value)])) }
}

test('OAuth 2.0 Form Post Response Mode §2: code, state to the letter and iss come as a form, with one script that its digest allows [threats 44, 49]', async (t) => {
  const started = await start(t)
  const { alice, issuer } = started
  const client = policyClient(started, 'grafana', grafanaCallback)
  const state = `"><script>alert(1)</script>'&amp;\n\u202e${'x'.repeat(128)}`
  const answer = await alice.authorize(client, { ...openid, response_mode: 'form_post', state })
  assert.equal(answer.status, 200)
  assert.deepEqual(
    [answer.headers.location, answer.headers['cache-control'], answer.headers['x-frame-options']],
    [undefined, 'no-store', 'DENY'],
  )
  const { action, fields } = postedBy(answer)
  assert.equal(action, grafanaCallback)
  assert.deepEqual({ ...fields, code: '' }, { code: '', state, iss: issuer })
  assert.deepEqual(
    [...answer.text.matchAll(/<script[^>]*>(.*?)<\/script>/gs)].map(([, script]) => script),
    ['document.forms[0].submit()'],
  )
  assert.match(String(answer.headers['content-security-policy']), /default-src 'none'.*script-src 'sha256-[A-Za-z0-9+/=]{44}'$/)
  assert.match(textOf(answer), /Continue/)
  const tokens = await alice.token(client, {
    grant_type: 'authorization_code',
    code: fields.code ?? '',
    code_verifier: answer.code_verifier,
  })
  assert.ok(tokens.access_token)

  const refused = postedBy(await alice.authorize(client, { ...openid, response_mode: 'form_post', response_type: 'token' }))
  assert.deepEqual([refused.fields.error, refused.fields.state, refused.fields.iss], ['unsupported_response_type', 'st-1', issuer])
})

test('Form Post Response Mode: the mode is kept while a page waits; a "no" is posted, and a refusal of self-registered software waits for a click [threats 44]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register({ redirect_uris: ['https://app.example.com/cb'] })
  const asked = { ...wiki, response_mode: 'form_post' }
  const approved = postedBy(await alice.answer(await alice.authorize(client, asked), 'approve'))
  assert.deepEqual([approved.action, Object.keys(approved.fields)], ['https://app.example.com/cb', ['code', 'state', 'iss']])
  const denied = postedBy(await alice.answer(await alice.authorize(client, { ...asked, scope: 'wiki:write' }), 'deny'))
  assert.equal(denied.fields.error, 'access_denied')
  const page = await alice.authorize(client, { ...asked, scope: 'nonsense' })
  assertPage(page, 400, /Go back to/)
  assert.equal(postedBy(page).fields.error, 'invalid_scope')
  assert.doesNotMatch(page.text, /<script/)
})

test('Form Post Response Mode: only http and https are posted to [threats 44]', async (t) => {
  const started = await start(t)
  const client = await started.alice.register({ redirect_uris: ['com.example.app:/cb'] })
  const answer = await started.alice.authorize(client, { ...wiki, response_mode: 'form_post', prompt: 'none' })
  assertSentBack(started, answer, 'invalid_request', client)
})

const confirming = { config: { sign_in: 'confirm' } } as const
const cookieOf = (answer: Answer) => String(answer.headers['set-cookie'] ?? '')

test('sign_in: confirm asks each browser once who sits before it, and the cookie says nothing without its person at their machine [threats 64, 406]', async (t) => {
  const started = await start(t, confirming)
  const { alice, alicePhone, bob, clock } = started
  assertSentBack(started, await alice.authorize(grafana, { ...openid, prompt: 'none' }), 'login_required', grafana)
  const page = await alice.authorize(grafana, openid)
  assertPage(page, 200, /^Confirm who you are/)
  assert.equal(page.headers['set-cookie'], undefined)
  const done = await alice.answer(page, 'approve')
  assertCode(started, done, grafana)
  assert.match(cookieOf(done), /^meshidp=\d+\.[\w-]{43}; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Lax$/)
  const [cookie = ''] = cookieOf(done).split(';')

  const withCookie = (who: Person, value: string, params: Record<string, string> = {}) => {
    const query = new URLSearchParams({
      response_type: 'code',
      ...grafana,
      ...openid,
      code_challenge: 'a'.repeat(43),
      code_challenge_method: 'S256',
      state: 'st-1',
      ...params,
    })
    return who.send(`/authorize?${query}`, { headers: { cookie: value } })
  }
  assertCode(started, await withCookie(alice, cookie), grafana)
  assertCode(started, await withCookie(alice, `other=1; ${cookie}; more=${'x'.repeat(10_000)}`, { prompt: 'none' }), grafana)
  for (const who of [alicePhone, bob]) assertPage(await withCookie(who, cookie), 200, /^Confirm who/)
  const [name, value = ''] = cookie.split('=')
  for (const other of [
    '',
    `${cookie}; ${cookie}`,
    `${name}=x; ${cookie}`,
    `${cookie}x`,
    `${name}=9${value}`,
    `__Host-${cookie}`,
    `${name}=${value.toUpperCase()}`,
    cookie.slice(0, -1),
  ])
    assertPage(await withCookie(alice, other), 200, /^Confirm who/)
  assertPage(await withCookie(alice, cookie, { prompt: 'login' }), 200, /^Confirm who/)
  clock.advance({ days: 30 })
  assertPage(await withCookie(alice, cookie), 200, /^Confirm who/)
})

test('sign_in: confirm: a person who agrees on a consent page has confirmed too; in the ambient way there is no cookie', async (t) => {
  const started = await start(t, confirming)
  const client = await started.alice.register()
  const done = await started.alice.answer(await started.alice.authorize(client, wiki), 'approve')
  assert.match(cookieOf(done), /^meshidp=/)
  const ambient = await start(t)
  const other = await ambient.alice.register()
  assert.equal((await ambient.alice.answer(await ambient.alice.authorize(other, wiki), 'approve')).headers['set-cookie'], undefined)
})

test('A confirmation is no consent: where the policy wants one meanwhile, the person is asked for it [threats 64]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const page = await alice.authorize(grafana, { ...openid, prompt: 'login' })
  assertPage(page, 200, /^Confirm who/)
  const always = changedPolicy(({ grants }) => {
    for (const { dst, app } of grants)
      if (dst?.includes('client:grafana') && app.authorize) app.authorize = [{ scopes: ['openid'], consent: 'always' }]
  })
  assert.ok(started.setPolicy(always).ok)
  const second = await alice.answer(page, 'approve')
  assertPage(second, 200, /^Sign in to/)
  assertPage(await alice.answer(page, 'approve'), 400)
  assertCode(started, await alice.answer(second, 'approve'), grafana)
})

test('OpenID Connect Core §3.1.2.1: a "no" to the question who is there is access_denied, and confirms nothing', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = policyClient(started, 'grafana', grafanaCallback)
  await alice.signIn(client, openid)
  started.clock.advance({ seconds: 9 })
  assertSentBack(
    started,
    await alice.answer(await alice.authorize(grafana, { ...openid, prompt: 'login' }), 'deny'),
    'access_denied',
    grafana,
  )
  const { auth_time, acr } = await idTokenOf(alice, client)
  assert.deepEqual([auth_time, acr], [started.clock.now() - 9, mesh])
})

const signOutPolicy = changedPolicy(({ clients }) => {
  if (clients['client:grafana']) clients['client:grafana'].post_logout_redirect_uris = ['https://grafana.example.com/bye?x=1']
})
const bye = 'https://grafana.example.com/bye?x=1'
const end = (who: Person, params: Record<string, string>, sent = {}) =>
  who.send(`/end_session?${new URLSearchParams(params)}`, { headers: { accept: 'text/html' }, ...sent })

test('OpenID Connect RP-Initiated Logout §2, §3: an ID token of the person who is there ends what it came from, and leads back where that was registered [threats 317]', async (t) => {
  const started = await start(t, { policy: signOutPolicy, config: { sign_in: 'confirm' } })
  const { alice, clock } = started
  const client = policyClient(started, 'grafana', grafanaCallback)
  const tokens = await alice.signIn(client, openid)
  const other = await alice.signIn(client, openid)
  clock.advance({ days: 2 }) // an expired ID token is still a hint
  const done = await end(alice, {
    id_token_hint: tokens.id_token ?? '',
    post_logout_redirect_uri: bye,
    state: 'a b&c',
    client_id: client.client_id,
    ui_locales: 'de',
  })
  assert.deepEqual([done.status, done.headers.location], [303, `${bye}&state=a%20b%26c`])
  assert.match(cookieOf(done), /^meshidp=; Path=\/; Max-Age=0;/)
  await assert.rejects(alice.refresh(client, tokens), { error: 'invalid_grant' })
  assert.ok((await alice.refresh(client, other)).access_token, 'another sign-in goes on')

  const again = await end(alice, { id_token_hint: tokens.id_token ?? '' })
  assertPage(again, 200, /^You are signed out/)
  const posted = await alice.send('/end_session', { form: { id_token_hint: other.id_token ?? '' } })
  assertPage(posted, 200, /^You are signed out/)
  await assert.rejects(alice.refresh(client, other), { error: 'invalid_grant' })
})

test('RP-Initiated Logout §2: what is not registered, tampered with, or of somebody else is a page, no redirect, and ends nothing [threats 317]', async (t) => {
  const started = await start(t, { policy: signOutPolicy })
  const { alice, bob } = started
  const client = policyClient(started, 'grafana', grafanaCallback)
  const tokens = await alice.signIn(client, openid)
  const hint = tokens.id_token ?? ''
  await withoutTrace(started, async () => {
    for (const params of [
      { id_token_hint: hint, post_logout_redirect_uri: 'https://evil.example/' },
      { id_token_hint: hint, post_logout_redirect_uri: `${bye}&y` },
      { id_token_hint: hint, post_logout_redirect_uri: 'https://grafana.example.com/bye' },
      { id_token_hint: hint, post_logout_redirect_uri: grafanaCallback },
      { id_token_hint: hint, client_id: 'client:wiki-server' },
      { id_token_hint: `${hint}x` },
      { id_token_hint: tokens.access_token },
      { id_token_hint: 'x' },
      { post_logout_redirect_uri: bye },
      { post_logout_redirect_uri: bye, client_id: 'client:wiki-server' },
      { post_logout_redirect_uri: bye, client_id: 'client:nobody' },
      { post_logout_redirect_uri: 'https://evil.example/', client_id: client.client_id },
    ])
      assertPage(await end(alice, params), 400)
    assertPage(await end(bob, { id_token_hint: hint }), 400, /another person/)
    const twice = await alice.send(`/end_session?${new URLSearchParams({ id_token_hint: hint })}&id_token_hint=x`)
    assert.equal(twice.status, 400)
  })
  assert.ok((await alice.refresh(client, tokens)).access_token)
})

test('RP-Initiated Logout §2: without a hint a person is asked, and only a page of ours may answer [threats 68, 317]', async (t) => {
  const started = await start(t, confirming)
  const { alice } = started
  const client = policyClient(started, 'grafana', grafanaCallback)
  const tokens = await alice.signIn(client, openid)
  assertPage(await end(alice, {}), 200, /^Sign out/)
  assertPage(await end(alice, { confirmed: 'yes' }), 200, /^Sign out/)
  const press = (headers: Record<string, string>) =>
    alice.send('/end_session', { form: { confirmed: 'yes' }, headers: { accept: 'text/html', ...headers } })
  for (const headers of [{}, { origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site', origin: started.issuer }])
    assertPage(await press(headers), 403)
  const done = await press({ origin: started.issuer, 'sec-fetch-site': 'same-origin' })
  assertPage(done, 200, /^You are signed out/)
  assert.match(cookieOf(done), /Max-Age=0/)
  assert.ok((await alice.refresh(client, tokens)).access_token, 'what was allowed goes on')
  started.clock.advance({ seconds: 3 })
  assertSentBack(started, await alice.authorize(grafana, { ...openid, prompt: 'none' }), 'login_required', grafana)
})

test('RP-Initiated Logout §2, §3: without a hint a client of the policy is told by client_id, and gets the browser back once its person agrees [threats 317]', async (t) => {
  const started = await start(t, { policy: signOutPolicy })
  const { alice } = started
  const client = policyClient(started, 'grafana', grafanaCallback)
  const tokens = await alice.signIn(client, openid)
  const asked = { client_id: client.client_id, post_logout_redirect_uri: bye, state: 'a"b' }
  const question = await end(alice, asked)
  assertPage(question, 200, /^Sign out .* Then you go back to Grafana, at grafana\.example\.com \./)
  assert.match(question.text, /name="state" value="a&quot;b"/)
  const press = (form: Record<string, string>, origin = started.issuer) =>
    alice.send('/end_session', { form: { ...form, confirmed: 'yes' }, headers: { accept: 'text/html', origin } })
  assertPage(await press(asked, 'https://grafana.example.com'), 403)
  assertPage(await press({ ...asked, post_logout_redirect_uri: 'https://evil.example/' }), 400)
  const done = await press(asked)
  assert.deepEqual([done.status, done.headers.location], [303, `${bye}&state=a%22b`])
  assert.match(cookieOf(done), /^meshidp=; Path=\/; Max-Age=0;/)
  assert.ok((await alice.refresh(client, tokens)).access_token, 'what was allowed goes on')

  const own = await alice.register({ post_logout_redirect_uris: ['https://app.example.com/'] })
  const byAnybody = { client_id: own.client_id, post_logout_redirect_uri: 'https://app.example.com/' }
  assertPage(await end(alice, byAnybody), 400, /the client_id of an application that the policy names/)
  assertPage(await press(byAnybody), 400)
})

test('OpenID Connect RP-Initiated Logout §3.1: a registered client may register where to go, by the rules of redirect URIs [threats 317]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const uri = 'https://app.example.com/signed-out'
  const client = await alice.register({ post_logout_redirect_uris: [uri] })
  const { id_token = '' } = await alice.signIn(client, openid)
  assert.equal((await end(alice, { id_token_hint: id_token, post_logout_redirect_uri: uri })).headers.location, uri)
  for (const bad of [['javascript:alert(1)'], ['https://*.example.com/'], 'https://x.example', []])
    await assert.rejects(alice.register({ post_logout_redirect_uris: bad }), { error: 'invalid_redirect_uri' })
})
