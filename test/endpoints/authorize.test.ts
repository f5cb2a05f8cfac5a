import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeJwt } from 'jose'
import { runAction } from '../../src/admin/actions.ts'
import { Unavailable } from '../../src/oauth/error.ts'
import { assertCode, assertLinkBack, assertPage, assertSentBack, counts, decisionOf, textOf, withoutTrace } from '../support/answers.ts'
import { changedPolicy, grafanaCallback, policyClient, wiki } from '../support/example_policy.ts'
import { type Answer, type AuthorizeParams, challengeOf, formText, newVerifier, type Person, personAt } from '../support/person.ts'
import { freePort, type Started, start } from '../support/start.ts'
import { changeMesh } from '../support/token_request.ts'

/** Named by an admin, never asked about: errors go back to it by themselves. */
const grafana = { client_id: 'client:grafana', redirect_uri: grafanaCallback }
const openid = { scope: 'openid' }

/** By POST, so that what is long comes through (Node takes 16 KiB of headers); `params` overrides. */
const post = (person: Person, params: AuthorizeParams) => {
  const all = {
    response_type: 'code',
    ...grafana,
    ...openid,
    state: 'st-1',
    code_challenge: challengeOf(newVerifier()),
    code_challenge_method: 'S256',
    ...params,
  }
  const given = Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined))
  return person.send('/authorize', { form: given })
}

const decision = ({ daemon }: Started, id: string) => runAction(daemon.deps, 'decisions.show', { id }) as Promise<Record<string, unknown>>

test('RFC 6749 §4.1.2, RFC 9207 §2: by GET and by POST the answer is code, state as sent if there was one, and iss as in the metadata [threats 79, 80]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const { issuer } = (await alice.send('/.well-known/oauth-authorization-server')).json()
  assert.equal(issuer, started.issuer)
  assertCode(started, await alice.authorize(grafana, openid), grafana)
  assertCode(started, await post(alice, {}), grafana)
  for (const state of [undefined, ''])
    assertCode(started, await alice.authorize(grafana, { ...openid, state }), { ...grafana, state: null })
  assert.equal((await alice.send('/.well-known/oauth-authorization-server')).json().authorization_response_iss_parameter_supported, true)
})

test('RFC 6749 §3.1: a parameter that is there twice, also under an encoded name, is refused; only resource may repeat [threats 40]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const twice: Record<string, [string, string]> = {
    scope: ['openid', 'profile'],
    state: ['st-1', 'st-2'],
    code_challenge: ['a'.repeat(43), 'a'.repeat(43)],
    code_challenge_method: ['S256', 'plain'],
    response_type: ['code', 'code'],
    response_mode: ['query', 'query'],
    nonce: ['one', 'two'],
    prompt: ['login', 'consent'],
    max_age: ['1', '2'],
    unheard_of: ['', 'x'],
  }
  await withoutTrace(started, async () => {
    for (const [name, values] of Object.entries(twice)) {
      const words = assertSentBack(started, await alice.authorize(grafana, { ...openid, [name]: values }), 'invalid_request', grafana)
      assert.match(words, new RegExp(`'${name}' is there more than once`))
    }
    const encoded = await alice.send(`/authorize?${formText({ ...grafana, response_type: 'code', state: 'st-1' })}&response%5Ftype=token`)
    assertSentBack(started, encoded, 'invalid_request', grafana)
  })
  const page = await alice.authorize(await alice.register(), { ...wiki, resource: [wiki.resource, wiki.resource] })
  assertPage(page, 200, /Wiki The team's pages, as an MCP server\. http:\/\/localhost:8490\/mcp It may Read every page/)
})

test('RFC 6749 §3.1: unknown parameters, and those of OpenID Connect that only advise, are ignored [threats 41, 58]', async (t) => {
  const started = await start(t)
  for (const params of [
    { foo: 'bar', __proto__x: '1', constructor: 'x', toString: 'x' },
    {
      ui_locales: '../../../etc/passwd',
      display: 'popup',
      login_hint: 'bob@example.com',
      acr_values: 'urn:x',
      claims: '{"id_token":{"unheard_of":{"value":"userid:102"}},"other":[]}',
    },
    { ui_locales: 'de '.repeat(1000), user_id: '102', login: 'bob@example.com', 'Tailscale-User-Login': 'bob@example.com' },
    { request: '', request_uri: '', response_mode: '', prompt: '', nonce: '', resource: '' }, // without a value: as if left out
  ])
    assertCode(started, await started.alice.authorize(grafana, { ...openid, ...params }), grafana)
})

test('OpenID Connect Core §3.1.2.1: id_token_hint says who is meant; for anybody else it is login_required, and what is no ID token of ours is refused [threats 56]', async (t) => {
  const started = await start(t)
  const { alice, bob, clock } = started
  const client = policyClient(started, 'grafana', grafanaCallback)
  const { id_token: ofBob = '' } = await bob.signIn(client, openid)
  const { id_token: ofAlice = '', access_token } = await alice.signIn(client, openid)
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  for (const prompt of [undefined, 'none']) {
    assertSentBack(started, await alice.authorize(client, { ...openid, prompt, id_token_hint: ofBob }), 'login_required', client)
    for (const id_token_hint of [
      'x',
      '..',
      access_token,
      `${ofAlice}x`,
      `${encode(null)}.${encode(null)}.`,
      `${encode({ alg: 'none' })}.${encode({ sub: 'userid:101' })}.`,
    ])
      assertSentBack(started, await alice.authorize(client, { ...openid, prompt, id_token_hint }), 'invalid_request', client)
    clock.advance({ days: 1 }) // an expired one is still a hint
    assertCode(started, await alice.authorize(client, { ...openid, prompt, id_token_hint: ofAlice }), client)
  }
})

test('OAuth 2.1 §4.1: code is the only response type, query and form_post the only modes; nothing else is ever answered, nor in a fragment [threats 43, 44]', async (t) => {
  const started = await start(t)
  await withoutTrace(started, async () => {
    for (const response_type of ['token', 'id_token', 'code id_token', 'code token', 'none', 'CODE', 'code code', '__proto__'])
      assertSentBack(started, await started.alice.authorize(grafana, { ...openid, response_type }), 'unsupported_response_type', grafana)
    for (const response_type of ['', undefined])
      assertSentBack(started, await started.alice.authorize(grafana, { ...openid, response_type }), 'invalid_request', grafana)
    for (const response_mode of ['fragment', 'web_message', 'jwt', 'query.jwt', 'form_post.jwt', 'xyz', 'Query', 'FORM_POST'])
      assertSentBack(started, await started.alice.authorize(grafana, { ...openid, response_mode }), 'invalid_request', grafana)
  })
  assertCode(started, await started.alice.authorize(grafana, { ...openid, response_mode: 'query' }), grafana)
})

test('RFC 7636, OAuth 2.1 §4.1.1: PKCE with S256 and nothing less, for confidential clients too [threats 46, 47]', async (t) => {
  const started = await start(t)
  const { alice, bob } = started
  assert.deepEqual((await alice.send('/.well-known/openid-configuration')).json().code_challenge_methods_supported, ['S256'])
  const challenge = challengeOf(newVerifier())
  await withoutTrace(started, async () => {
    for (const code_challenge_method of ['plain', undefined, '', 's256', 'S512', 'S256 ', 'none'])
      assertSentBack(started, await alice.authorize(grafana, { ...openid, code_challenge_method }), 'invalid_request', grafana)
    for (const code_challenge of [
      undefined,
      '',
      'x',
      challenge.slice(1),
      `${challenge}x`,
      `${challenge}=`,
      'x'.repeat(129),
      `${challenge.slice(1)}+`,
      `${challenge.slice(1)}é`,
    ])
      assertSentBack(started, await alice.authorize(grafana, { ...openid, code_challenge }), 'invalid_request', grafana)
    assertSentBack(
      started,
      await alice.authorize(grafana, { ...openid, code_challenge: undefined, code_challenge_method: undefined }),
      'invalid_request',
      grafana,
    )
  })
  const client = await bob.register()
  assertLinkBack(
    started,
    await bob.authorize(client, { ...wiki, code_challenge: undefined, code_challenge_method: undefined }),
    'invalid_request',
    client,
  )
})

test('OAuth 2.1 §7.5.1: a client excused from PKCE must send a nonce instead; a challenge that it sends counts [threats 46, 50]', async (t) => {
  const started = await start(t, {
    policy: changedPolicy(({ clients }) => {
      if (clients['client:grafana']) clients['client:grafana'].require_pkce = false
    }),
  })
  const { alice } = started
  const without = { ...openid, code_challenge: undefined, code_challenge_method: undefined }
  assertSentBack(started, await alice.authorize(grafana, without), 'invalid_request', grafana)
  assertSentBack(started, await alice.authorize(grafana, { ...without, code_challenge: '' }), 'invalid_request', grafana)
  assertSentBack(
    started,
    await alice.authorize(grafana, { ...without, nonce: 'n', code_challenge_method: 'S256' }),
    'invalid_request',
    grafana,
  )
  assertSentBack(
    started,
    await alice.authorize(grafana, { ...without, nonce: 'n', code_challenge: challengeOf(newVerifier()) }),
    'invalid_request',
    grafana,
  )
  assertCode(started, await alice.authorize(grafana, { ...without, nonce: 'n' }), grafana)
  const client = policyClient(started, 'grafana', grafanaCallback)
  const { code } = await alice.code(client, openid)
  await assert.rejects(alice.token(client, { grant_type: 'authorization_code', code }), { error: 'invalid_grant' })
})

test('RFC 6749 §4.1.2: any state comes back to the letter, percent-encoded, and splits no header; above 4096 characters it is a page [threats 49]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const states = [
    '"><script>alert(1)</script>',
    '\r\nSet-Cookie: a=b',
    '%0d%0aSet-Cookie:a=b',
    'a+b&code=x#y',
    'ü€😀\u202e\u0085',
    '\x01\x7f',
    ' ',
    'x'.repeat(4096),
  ]
  for (const state of states) {
    const answers = [await post(alice, { state }), await post(alice, { state, response_type: 'token' })]
    for (const answer of answers) {
      assert.match(String(answer.headers.location), /^[!-~]+$/)
      assert.equal(answer.headers['set-cookie'], undefined)
    }
    assertCode(started, answers[0] as Answer, { ...grafana, state })
    assertSentBack(started, answers[1] as Answer, 'unsupported_response_type', { ...grafana, state })
  }
  await withoutTrace(started, async () => {
    for (const state of ['x'.repeat(4097), 'x'.repeat(60_000)]) assertPage(await post(alice, { state }), 400, /state is longer than 4096/)
    for (const body of ['state=%00', 'state=%ed%a0%80', 'state=%ff', 'state=%'])
      assertPage(await alice.send('/authorize', { form: `${formText({ ...grafana, response_type: 'code' })}&${body}` }), 400)
    assertPage(await post(alice, { state: 'x'.repeat(70_000) }), 413)
    const tooLong = await alice.send(`/authorize?${formText({ ...grafana, state: 'x'.repeat(64 * 1024) })}`)
    assert.deepEqual([tooLong.status, tooLong.headers.location], [431, undefined])
  })
  const client = await alice.register()
  const [evil = ''] = states
  assertLinkBack(started, await alice.authorize(client, { ...wiki, state: evil, response_type: 'token' }), 'unsupported_response_type', {
    ...client,
    state: evil,
  })
})

test('OpenID Connect Core §3.1.2.1: nonce may be left out; one is kept to the letter, up to 2048 characters [threats 50]', async (t) => {
  const started = await start(t)
  const client = policyClient(started, 'grafana', grafanaCallback)
  for (const nonce of [undefined, 'n-1', '"><script>', 'x'.repeat(2048)]) {
    const { id_token = '' } = await started.alice.signIn(client, { ...openid, nonce })
    assert.equal(decodeJwt(id_token).nonce, nonce)
  }
  for (const nonce of ['x'.repeat(2049), 'x'.repeat(60_000)])
    assertSentBack(started, await post(started.alice, { nonce }), 'invalid_request', grafana)
})

test('RFC 6749 §3.3: a scope that is too long, of too many or of impossible characters is refused before anything is asked [threats 52]', async (t) => {
  const started = await start(t)
  await withoutTrace(started, async () => {
    for (const scope of ['x'.repeat(50_000), 'x '.repeat(10_000), 'a '.repeat(101), 'openid "', 'openid\u00e9', 'openid\t', 'a\\b'])
      assertSentBack(started, await post(started.alice, { scope }), 'invalid_scope', grafana)
  })
})

test('RFC 6749 §3.3: scopes that the policy does not give this person for this client are left out, and the answer says which remain [threats 53]', async (t) => {
  const started = await start(t, {
    policy: changedPolicy(({ grants }) => {
      for (const { dst, app } of grants)
        if (dst?.includes('client:grafana') && app.authorize) app.authorize = [{ scopes: ['openid', 'email'], consent: 'never' }]
        else if (dst?.includes('resource:wiki') && app.authorize)
          app.authorize = [{ scopes: ['wiki:read'], clients: ['*'], consent: 'once' }]
    }),
  })
  const { alice } = started
  const client = policyClient(started, 'grafana', grafanaCallback)
  assert.equal((await alice.signIn(client, { scope: 'openid groups email admin profile wiki:write' })).scope, 'openid email')
  const page = await alice.authorize(await alice.register(), { ...wiki, scope: 'wiki:write wiki:read wiki:admin' })
  assertPage(page, 200, /It may Read every page that you may read wiki:read How long/)
  assertSentBack(started, await alice.authorize(grafana, { scope: 'groups profile' }), 'invalid_scope', grafana)
})

test('RFC 6749 §3.3, RFC 8707: without a scope it is all that the policy gives at the resource; without a resource, its default one [threats 53]', async (t) => {
  const started = await start(t, {
    policy: changedPolicy(({ resources }) => {
      if (resources['resource:notes']) Object.assign(resources['resource:notes'], { default: true, token_format: 'jwt' })
    }),
  })
  const { alice } = started
  const client = await alice.register()
  const granted = async (params: AuthorizeParams) => {
    const { access_token, scope } = await alice.signIn(client, params)
    return [decodeJwt(access_token).aud, scope]
  }
  const notes = 'http://localhost:8491/mcp'
  assert.deepEqual(await granted({ resource: wiki.resource }), [wiki.resource, 'wiki:read wiki:write'])
  assert.deepEqual(await granted({ resource: wiki.resource, scope: '' }), [wiki.resource, 'wiki:read wiki:write'])
  assert.deepEqual(await granted({}), [notes, 'notes:read'])
  assert.deepEqual(await granted({ scope: 'openid notes:read' }), [notes, 'openid notes:read'])
  assert.deepEqual(await granted({ scope: 'openid' }), [started.issuer, 'openid'])
})

test('a request for nothing is refused in words: no scope, no resource, no default', async (t) => {
  const started = await start(t)
  const words = assertSentBack(started, await started.alice.authorize(grafana), 'invalid_scope', grafana)
  assert.match(words, /Neither a scope nor a resource was asked for/)
})

test('RFC 8707 §2: a resource that the policy does not know, or two of them, is invalid_target; a slash at the end is none [threats 62]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const strange = [
    'mcp',
    '/mcp',
    `${wiki.resource}#x`,
    `${wiki.resource}?x=1`,
    'HTTP://localhost:8490/mcp',
    'http://localhost:8490',
    'javascript:alert(1)',
    'resource:wiki',
    'https://evil.tld/',
    '__proto__',
    '"><script>',
  ]
  await withoutTrace(started, async () => {
    for (const resource of strange)
      assertSentBack(started, await alice.authorize(grafana, { scope: 'wiki:read', resource }), 'invalid_target', grafana)
    for (const resource of [
      [wiki.resource, 'http://localhost:8491/mcp'],
      [wiki.resource, 'https://evil.tld/'],
      ['https://evil.tld/', wiki.resource],
    ])
      assertSentBack(started, await alice.authorize(grafana, { scope: 'wiki:read', resource }), 'invalid_target', grafana)
  })
  const client = await alice.register()
  const { access_token } = await alice.signIn(client, { ...wiki, resource: `${wiki.resource}/` })
  assert.equal(decodeJwt(access_token).aud, wiki.resource)
  assertLinkBack(started, await alice.authorize(client, { ...wiki, resource: 'https://evil.tld/' }), 'invalid_target', client)
})

test('OpenID Connect Core §3.1.2.6: request objects, by value or by reference, signed or encrypted, and registration are refused; nothing is fetched [threats 59, 61]', async (t) => {
  let lookups = 0
  const started = await start(t, {
    fetch: {
      lookup: async () => {
        lookups++
        return ['127.0.0.1']
      },
    },
  })
  const metadata = (await started.alice.send('/.well-known/openid-configuration')).json()
  assert.deepEqual(
    [metadata.request_parameter_supported, metadata.request_uri_parameter_supported, metadata.claims_parameter_supported],
    [false, false, true],
  )
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"client_id":"client:grafana","scope":"openid"}').toString('base64url')}.`
  await withoutTrace(started, async () => {
    for (const [name, value] of [
      ['request', unsigned],
      ['request', 'eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkExMjhHQ00ifQ.a.b.c.d'],
      ['request_uri', 'http://169.254.169.254/latest/meta-data'],
      ['request_uri', 'https://client.test/request.jwt'],
      ['request_uri', 'urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c'],
      ['registration', '{"redirect_uris":["https://evil.tld/"]}'],
    ] as const)
      assertSentBack(started, await started.alice.authorize(grafana, { ...openid, [name]: value }), `${name}_not_supported`, grafana)
    assertPage(await started.alice.send('/authorize?request_uri=https://client.test/request.jwt'), 400, /"client_id" is missing/)
    const onlyInside = await started.alice.send(`/authorize?client_id=client:grafana&request=${unsigned}`)
    assertSentBack(started, onlyInside, 'request_not_supported', { ...grafana, state: null })
  })
  assert.equal(lookups, 0)
})

test('OpenID Connect Core §3.1.2.1: auth_time is when this person last showed up at this node; max_age and prompt=login ask them again [threats 55]', async (t) => {
  const started = await start(t)
  const { alice, alicePhone, clock } = started
  const client = policyClient(started, 'grafana', grafanaCallback)
  const authTime = async (person: Person, params: AuthorizeParams) =>
    Number(decodeJwt((await person.signIn(client, { ...openid, ...params })).id_token ?? '').auth_time)
  const first = clock.now()
  assert.equal(await authTime(alice, { max_age: '0' }), first)
  assertPage(await alice.authorize(grafana, { ...openid, max_age: '0' }), 200)
  clock.advance({ seconds: 10 })
  assert.equal(await authTime(alice, {}), first)
  assert.equal(await authTime(alice, { max_age: '11' }), first)
  assert.equal(await authTime(alicePhone, {}), first + 10)
  assertSentBack(started, await alice.authorize(grafana, { ...openid, max_age: '9', prompt: 'none' }), 'login_required', grafana)
  assertPage(await alice.authorize(grafana, { ...openid, max_age: '9' }), 200, /^Confirm who you are .* alice@example\.com/)
  assert.equal(await authTime(alice, {}), first, 'a page that nobody answered confirms nothing')
  assert.equal(await authTime(alice, { max_age: '9' }), first + 10)
  clock.advance({ seconds: 1 })
  for (const prompt of ['login', 'select_account', 'login consent']) assertPage(await alice.authorize(grafana, { ...openid, prompt }), 200)
  assertPage(await alice.authorize(grafana, { ...openid, max_age: '0' }), 200)
  assertSentBack(started, await alice.authorize(grafana, { ...openid, max_age: '0', prompt: 'none' }), 'login_required', grafana)
  assert.equal(await authTime(alice, { max_age: '2' }), first + 10)
  assert.equal(await authTime(alice, { prompt: 'login' }), first + 11)
  await withoutTrace(started, async () => {
    for (const max_age of ['-1', 'abc', '', '1e99', '1.5', ' 1', '9999999999', '0x1', 'NaN'])
      assertSentBack(started, await alice.authorize(grafana, { ...openid, max_age }), 'invalid_request', grafana)
    for (const prompt of ['none login', 'none consent', 'create', 'NONE', 'login login'])
      assertSentBack(started, await alice.authorize(grafana, { ...openid, prompt }), 'invalid_request', grafana)
  })
})

test('OpenID Registration §2: what a client registered as default_max_age counts where a request says none', async (t) => {
  const started = await start(t)
  const { alice, clock } = started
  const client = await alice.register({ default_max_age: 60 })
  await alice.signIn(client, wiki)
  assertCode(started, await alice.authorize(client, wiki), client)
  clock.advance({ seconds: 61 })
  assertPage(await alice.authorize(client, wiki), 200)
  assertCode(started, await alice.authorize(client, { ...wiki, max_age: '62' }), client)
})

test('OpenID Connect Core §3.1.2.1: prompt=none never shows a page, neither for consent nor for an error', async (t) => {
  const started = await start(t)
  const { alice, carol } = started
  const client = await alice.register()
  assertSentBack(started, await alice.authorize(client, { ...wiki, prompt: 'none' }), 'consent_required', client)
  assertSentBack(
    started,
    await alice.authorize(client, { ...wiki, prompt: 'none', response_type: 'token' }),
    'unsupported_response_type',
    client,
  )
  assertSentBack(started, await carol.authorize(client, { ...wiki, prompt: 'none' }), 'access_denied', client)
  await alice.signIn(client, wiki)
  assertCode(started, await alice.authorize(client, { ...wiki, prompt: 'none' }), client)
})

test('RFC 9700 §4.11: for self-registered software an error is a page with a link, not a redirect', async (t) => {
  const started = await start(t)
  const { alice, carol } = started
  const client = await alice.register({ client_name: 'Tool', redirect_uris: ['https://tool.example.com/cb'] })
  for (const [params, error] of [
    [{ response_type: 'token' }, 'unsupported_response_type'],
    [{ code_challenge_method: 'plain' }, 'invalid_request'],
    [{ scope: '"' }, 'invalid_scope'],
    [{ resource: 'x' }, 'invalid_target'],
    [{ request: 'x' }, 'request_not_supported'],
    [{ state: ['st-1', 'st-1'] }, 'invalid_request'],
    [{ max_age: 'x' }, 'invalid_request'],
  ] as const) {
    const page = await withoutTrace(started, () => alice.authorize(client, { ...wiki, ...params }))
    assertLinkBack(started, page, error, client)
    assert.match(textOf(page), /Go back to Tool unverified at tool\.example\.com/)
  }
  assertLinkBack(started, await carol.authorize(client, wiki), 'access_denied', client, 403)
  assertLinkBack(started, await alice.authorize(client, { ...wiki, scope: 'wiki:admin' }), 'invalid_scope', client)
})

test('a refusal has the same words on the page, in the log and in the decision that it names; the same again is one decision with a count [threats 53, 82]', async (t) => {
  const started = await start(t)
  const { alice, carol, clock, logged } = started
  const client = await alice.register({ redirect_uris: ['https://tool.example.com/cb'] })
  const page = await carol.authorize(client, wiki)
  const id = decisionOf(textOf(page))
  assert.match(textOf(page), /carol@example\.com may not use resource:wiki\. .*in group:eng/)
  const line = logged.find(({ fields }) => fields.decision_id === id)
  assert.equal(line?.fields.error, 'access_denied')
  // On the page they stand apart: why, what would have allowed it, and what to mention.
  const [, why = '', near = ''] = /^(.*?\.) (.*) Ask an admin, and mention decision/.exec(line?.message ?? '') ?? []
  assert.ok(textOf(page).includes(`Not allowed ${why} What would allow it ${near} What to do next`), line?.message)
  clock.advance({ minutes: 2 })
  assert.equal(decisionOf(textOf(await carol.authorize(client, wiki))), id)
  const shown = await decision(started, id)
  assert.ok(line?.message.includes(String(shown.sentence)))
  assert.deepEqual(
    [shown.outcome, shown.entry, shown.principal, shown.client_id, shown.resource, shown.scopes, shown.count],
    ['denied', 'authorize', 'carol@example.com', client.client_id, wiki.resource, 'wiki:read', 2],
  )
  assert.equal((await counts(started)).authorizations, 0)
})

test('software that nobody vouches for learns nothing about who looks at it: not from a refusal, not in a hidden frame', async (t) => {
  const started = await start(t)
  const { alice, carol, mallory } = started
  const client = await alice.register({ redirect_uris: ['https://tool.example.com/cb'] })
  for (const person of [carol, mallory]) {
    const words = assertSentBack(started, await person.authorize(client, { ...wiki, prompt: 'none' }), 'access_denied', client)
    assert.doesNotMatch(words, /carol|mallory|example|group|resource/)
    assert.match(String((await decision(started, decisionOf(words))).sentence), /@.* may not use resource:wiki/)
    const behindLink = assertLinkBack(started, await person.authorize(client, wiki), 'access_denied', client, 403)
    assert.equal(decisionOf(behindLink), decisionOf(words))
    assert.doesNotMatch(behindLink, /carol|mallory|example|group|resource/)
  }
  // An admin vouches for this one, and its people see its pages only: it is told in full.
  const words = assertSentBack(started, await mallory.authorize(grafana, openid), 'access_denied', grafana)
  assert.match(words, /^mallory@other\.com may not sign in to client:grafana\./)
})

test('an error that no decision made names the request, and the log has its words under that id', async (t) => {
  const started = await start(t)
  const words = assertSentBack(
    started,
    await started.alice.authorize(grafana, { ...openid, response_type: 'token' }),
    'unsupported_response_type',
    grafana,
  )
  const [, sentence, id] = /^(.*) Request ([0-9a-z-]+)\.$/.exec(words) ?? []
  assert.ok(
    started.logged.some(({ fields, message }) => fields.request_id === id && message === sentence),
    words,
  )
  const page = await started.alice.authorize({ client_id: 'nobody', redirect_uri: 'https://a.example/' })
  const [, shown] = /Request ([0-9a-z-]+) · invalid_request/.exec(textOf(page)) ?? []
  const line = started.logged.find(({ fields }) => fields.request_id === shown)
  assert.ok(line && textOf(page).includes(line.message))
})

test('RFC 9700 §4.2: no code and no state ever reaches the log [threats 83]', async (t) => {
  const started = await start(t)
  const { alice, logged } = started
  const state = 'a-state-to-look-for'
  const code = assertCode(started, await alice.authorize(grafana, { ...openid, state }), { ...grafana, state })
  assertSentBack(started, await alice.authorize(grafana, { ...openid, state, response_type: 'token' }), 'unsupported_response_type', {
    ...grafana,
    state,
  })
  await alice.authorize(await alice.register(), { ...wiki, state, response_type: 'token' })
  assert.ok(logged.length > 0)
  const all = JSON.stringify(logged)
  for (const secret of [code, code.slice(-43), state]) assert.ok(!all.includes(secret))
  assert.deepEqual(await started.daemon.deps.store.engine.all('SELECT digest FROM codes WHERE digest = $code', { code }), [])
})

test('who is nobody, or nobody in person, gets a page with the reason; nothing is sent anywhere, nothing is written', async (t) => {
  const started = await start(t)
  const { alice, ci, logged } = started
  const client = await alice.register()
  const refusedAs = async (change: Parameters<typeof changeMesh>[1]['machines'], words: RegExp) => {
    await changeMesh(started, { machines: change ?? {} })
    for (const params of [{ ...openid }, { ...openid, prompt: 'none' }, { ...openid, response_type: 'token' }])
      assertPage(await alice.authorize(grafana, params), 403, words)
    assertPage(await alice.authorize(client, wiki), 403, words)
    assertPage(await post(alice, {}), 403, words)
  }
  await withoutTrace(started, async () => {
    for (const whose of [grafana, client])
      assertPage(await ci.authorize(whose, openid), 403, /ci-runner.* is tagged \(tag:ci\), so it belongs to no person/)
    // S5: on the daemon's own node any process could be asking.
    await changeMesh(started, { browser: 'idp' })
    assertPage(await personAt(t, started.issuer, '127.0.0.1').authorize(grafana, openid), 403, /from the machine that meshidp runs on/)
    const before = started.mesh.document().machines['alice-laptop']
    await refusedAs({ 'alice-laptop': { removed: true } }, /The mesh knows nobody at 127\.0\.0\.2/)
    await refusedAs({ 'alice-laptop': { removed: false, expired: true } }, /has expired.*"tailscale up"/)
    await refusedAs(
      { 'alice-laptop': { expired: false, key_expiry: new Date((started.clock.now() - 1) * 1000).toISOString() } },
      /has expired/,
    )
    await refusedAs({ 'alice-laptop': { key_expiry: undefined, shared: true } }, /shared in from another tailnet/)
    await refusedAs({ 'alice-laptop': { shared: undefined, unsigned: true } }, /tailnet lock/)
    await changeMesh(started, { machines: { 'alice-laptop': { ...before, unsigned: undefined } } })
  })
  assert.ok(logged.some(({ message }) => message.includes('The mesh knows nobody')))
  assertCode(started, await alice.authorize(grafana, openid), grafana)
})

test('a caller is who whois says: headers that claim somebody else count for nothing, Funnel is nobody', async (t) => {
  const started = await start(t)
  const query = formText({
    ...grafana,
    ...openid,
    response_type: 'code',
    code_challenge: challengeOf(newVerifier()),
    code_challenge_method: 'S256',
  })
  const forged = {
    'tailscale-user-login': 'alice@example.com',
    tailscale_user_login: 'alice@example.com',
    'x-forwarded-for': '127.0.0.2',
    'x-real-ip': '127.0.0.2',
    forwarded: 'for=127.0.0.2',
    'x-webauth-user': 'alice',
  }
  const answer = await started.mallory.send(`/authorize?${query}`, { headers: forged })
  assertSentBack(started, answer, 'access_denied', { ...grafana, state: null })
  assert.match(answer.location().get('error_description') ?? '', /^mallory@other\.com/)
  assertPage(
    await started.alice.send(`/authorize?${query}`, { headers: { 'tailscale-funnel-request': '?1' } }),
    403,
    /public internet through Funnel/,
  )
})

test('while the mesh is dark it is 503 with Retry-After, a page, and nothing is written; it recovers by itself', async (t) => {
  const started = await start(t)
  const { alice, mesh, daemon } = started
  const client = await alice.register()
  const seen = () => daemon.deps.identity.refresh().catch(() => {})
  await withoutTrace(started, async () => {
    const dark = async (words: RegExp) => {
      for (const answer of [
        await alice.authorize(grafana, openid),
        await alice.authorize(client, { ...wiki, prompt: 'none' }),
        await post(alice, {}),
      ]) {
        assertPage(answer, 503, words)
        assert.match(String(answer.headers['retry-after']), /^[1-9]\d*$/)
      }
      assertPage(await alice.send('/'), 503, words)
    }
    // S1: after "tailscale down" whois goes on answering from memory. S7: while tailscaled starts it knows nobody.
    for (const state of ['Stopped', 'NeedsLogin', 'NoState', 'Starting']) {
      await changeMesh(started, { state })
      await dark(new RegExp(`tailscaled says "${state}"`))
    }
    await changeMesh(started, { state: 'Running' })
    await mesh.stop()
    await seen()
    await dark(/The mesh/)
    // Who is wrong is told so all the same, and is sent nowhere.
    assertPage(await alice.authorize({ ...grafana, redirect_uri: 'https://evil.tld/' }, openid), 400, /has not registered/)
  })
  await mesh.start()
  await seen()
  assertCode(started, await alice.authorize(grafana, openid), grafana)
})

test('a store that cannot write gives no code: 503 with Retry-After, a page, and nothing is sent to the client', async (t) => {
  const started = await start(t)
  const { store } = started.daemon.deps
  const { commit } = store
  store.commit = () => Promise.reject(new Unavailable('The disk is full.'))
  await withoutTrace(started, async () => {
    const answer = await started.alice.authorize(grafana, openid)
    assertPage(answer, 503, /The disk is full/)
    assert.ok(answer.headers['retry-after'])
    assertPage(await started.mallory.authorize(grafana, openid), 503, /The disk is full/)
  })
  store.commit = commit
  assertCode(started, await started.alice.authorize(grafana, openid), grafana)
})

test('what nobody foresaw is a page of 500 that tells nothing of itself', async (t) => {
  const started = await start(t)
  const { engine } = started.daemon.deps.store
  const { get } = engine
  engine.get = (sql, params) => (sql.includes('auth_times') ? Promise.reject(new TypeError('secret inside')) : get(sql, params))
  const answer = await started.alice.authorize(grafana, openid)
  assertPage(answer, 500, /The log has more/)
  assert.ok(!answer.text.includes('secret inside'))
  assert.ok(started.logged.some(({ fields }) => fields.err instanceof TypeError))
})

test('one function decides everywhere: software that a group may not use is refused, however it is asked for [threats 82]', async (t) => {
  const started = await start(t, {
    policy: changedPolicy(({ clients, grants, groups }) => {
      groups['group:ops'] = ['carol@example.com']
      clients['client:ops'] = { redirect_uris: ['https://ops.example.com/cb'] }
      grants.push({
        src: ['group:ops'],
        dst: ['resource:wiki'],
        app: { authorize: [{ scopes: ['wiki:read'], clients: ['client:ops'], consent: 'never' }] },
      })
      for (const { dst, app } of grants)
        if (dst?.includes('resource:notes')) for (const capability of app.authorize ?? []) capability.clients = ['autogroup:registered']
    }),
  })
  const ops = { client_id: 'client:ops', redirect_uri: 'https://ops.example.com/cb' }
  assertCode(started, await started.carol.authorize(ops, wiki), ops)
  for (const person of [started.alice, started.bob, started.mallory]) {
    const words = assertSentBack(started, await person.authorize(ops, wiki), 'access_denied', ops)
    assert.equal((await decision(started, decisionOf(words))).outcome, 'denied')
  }
  assert.equal((await counts(started)).authorizations, 1)
})

test('RFC 9110 §15.5.6: other methods, and bodies that are no form, are refused as pages', async (t) => {
  const started = await start(t)
  const { alice } = started
  await withoutTrace(started, async () => {
    for (const method of ['PUT', 'DELETE']) {
      const answer = await alice.send('/authorize', { method })
      assertPage(answer, 405)
      assert.equal(answer.headers.allow, 'GET, POST')
    }
    const json = { ...grafana, ...openid, response_type: 'code' }
    assertPage(await alice.send('/authorize', { json }), 415)
    assertPage(await alice.send('/authorize', { raw: formText(json), method: 'POST', headers: { 'content-type': 'text/plain' } }), 415)
    assertPage(await alice.send(`/authorize?${formText(json)}`, { method: 'POST' }), 400, /"client_id" is missing/)
  })
})

test('RFC 8414 §2: with a path in the issuer, pages, their form and their style are below it', async (t) => {
  const port = await freePort()
  const started = await start(t, { config: { issuer: `http://localhost:${port}/idp`, listen: { port } } })
  const { alice, issuer } = started
  const client = await alice.register()
  const page = await alice.authorize(client, wiki)
  assertPage(page, 200)
  assert.match(page.text, /<form method="post" action="\/idp\/consent">/)
  assert.equal((await alice.send(new URL(/href="([^"]+\.css)"/.exec(page.text)?.[1] ?? '', issuer).href)).status, 200)
  const code = assertCode(started, await alice.answer(page, 'approve'), client)
  assert.ok(code)
  assert.equal((await alice.send(`${new URL(issuer).origin}/authorize?${formText(grafana)}`)).status, 404)
})

test('Fetch Metadata: what another page loads as a picture, a script or by fetch signs nobody in, and leaves no trace; a click does [threats 64]', async (t) => {
  const started = await start(t)
  const client = policyClient(started, 'grafana', grafanaCallback)
  const query = `/authorize?${formText({ response_type: 'code', client_id: client.client_id, redirect_uri: client.redirect_uri, code_challenge: challengeOf(newVerifier()), code_challenge_method: 'S256', state: 'st-1', ...openid })}`
  await withoutTrace(started, async () => {
    for (const mode of ['no-cors', 'cors', 'same-origin', 'websocket'])
      for (const site of ['cross-site', 'same-site', 'same-origin', 'none'])
        assertPage(
          await started.alice.send(query, { headers: { 'sec-fetch-mode': mode, 'sec-fetch-site': site } }),
          403,
          /cannot be loaded as a part/,
        )
  })
  for (const headers of [{ 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-mode': 'cors' }])
    assertCode(started, await started.alice.send(query, { headers: headers as Record<string, string> }), client)
})

test('Fetch standard, Sec-Purpose: what a browser loads in advance signs nobody in and out, and leaves no trace; the click that follows does [threats 64]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = policyClient(started, 'grafana', grafanaCallback)
  const { id_token = '' } = await alice.signIn(client, openid)
  const query = `/authorize?${formText({ response_type: 'code', client_id: client.client_id, redirect_uri: client.redirect_uri, code_challenge: challengeOf(newVerifier()), code_challenge_method: 'S256', state: 'st-1', ...openid })}`
  const navigation = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'cross-site' }
  await withoutTrace(started, async () => {
    for (const ahead of [{ 'sec-purpose': 'prefetch' }, { 'sec-purpose': 'prefetch;prerender' }, { purpose: 'prefetch' }])
      for (const path of [query, `${query}&prompt=none`, `/end_session?${formText({ id_token_hint: id_token })}`])
        assertPage(await alice.send(path, { headers: { ...navigation, ...ahead } as Record<string, string> }), 403, /not loaded before/)
  })
  assertCode(started, await alice.send(query, { headers: navigation }), client)
})
