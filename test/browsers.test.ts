/** Browsers carry their person's network identity to every page: what pages of others can make them do, and learn. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertPage, counts, textOf } from './support/answers.ts'
import { grafanaCallback, wiki } from './support/example_policy.ts'
import { ticketOf } from './support/person.ts'
import { start } from './support/start.ts'

test('CWE-352, Fetch Metadata: whatever changes something is a POST of a page of ours; an older browser shows our Origin [threats 391, 392]', async (t) => {
  const started = await start(t)
  const { alice, issuer } = started
  const client = await alice.register()
  await alice.signIn(client, wiki)
  const page = await alice.authorize(client, { ...wiki, prompt: 'consent' })
  const [authorization] = await started.daemon.deps.store.engine.all<{ id: string }>('SELECT id FROM authorizations LIMIT 1', {})
  const before = await counts(started)
  const origin = new URL(issuer).origin
  const forms = [
    ['/consent', { ticket: ticketOf(page), decision: 'approve' }],
    ['/authorizations/end', { authorization: String(authorization?.id) }],
  ] as const
  for (const [path, form] of forms) {
    for (const headers of [
      {},
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: `${origin}.evil.example` },
      { origin: origin.replace('http:', 'https:') },
      { origin, 'sec-fetch-site': 'cross-site' },
      { origin, 'sec-fetch-site': 'same-site' },
      { origin, 'sec-fetch-site': 'none' },
      { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' },
      { 'sec-fetch-site': 'Same-Origin' },
      { referer: `${origin}/` },
    ] as Record<string, string>[])
      assert.equal((await alice.send(path, { form, headers })).status, 403, `${path} ${JSON.stringify(headers)}`)
    const asText = { method: 'POST', raw: new URLSearchParams(form).toString(), headers: { origin, 'content-type': 'text/plain' } }
    assert.ok([400, 415].includes((await alice.send(path, asText)).status))
    assert.equal((await alice.send(`${path}?${new URLSearchParams(form)}`, { headers: { origin } })).status, 405)
  }
  assert.deepEqual(await counts(started), before)
  for (const [path, form] of forms) assert.equal((await alice.send(path, { form, headers: { origin } })).status, 303, path)
})

test('RFC 7592 §2.1, CWE-639: who holds one registration can neither read, change nor delete another, whoever made it [threats 397]', async (t) => {
  const { alice, bob } = await start(t)
  const hers = await alice.register({ client_name: 'Hers' })
  for (const [person, method] of [alice, bob].flatMap((person) => ['GET', 'PUT', 'DELETE'].map((method) => [person, method] as const))) {
    const own = await person.register()
    const update = { client_id: hers.client_id, client_name: 'Taken', redirect_uris: ['https://evil.example/cb'] }
    const answer = await person.send(`/register/${hers.client_id}`, {
      method,
      headers: { authorization: `Bearer ${own.registration_access_token}` },
      ...(method === 'PUT' && { json: update }),
    })
    assert.equal(answer.status, 401, method)
    assert.doesNotMatch(answer.text, /Hers|callback/)
  }
  const headers = { authorization: `Bearer ${hers.registration_access_token}` }
  assert.equal((await alice.send(`/register/${hers.client_id}`, { headers })).json().client_name, 'Hers')
})

test('CWE-269: no member of a registration makes software trusted, named by the policy or excused from being asked about [threats 398]', async (t) => {
  const { alice } = await start(t)
  const wanted = {
    trusted: true,
    verified: true,
    consent: 'never',
    require_pkce: false,
    policy_name: 'client:grafana',
    groups: ['group:eng'],
    owner: 'user:bob@example.com',
    registered_by: null,
    kind: 'policy',
  }
  const client = await alice.register(wanted)
  const path = `/register/${client.client_id}`
  const headers = { authorization: `Bearer ${client.registration_access_token}` }
  const shown = (await alice.send(path, { headers })).json()
  for (const name of Object.keys(wanted)) assert.equal(name in shown, false, name)
  const { registration_access_token: _, registration_client_uri: __, client_id_issued_at: ___, ...metadata } = shown
  const changed = await alice.send(path, { method: 'PUT', headers, json: { ...metadata, ...wanted } })
  for (const name of Object.keys(wanted)) assert.equal(name in changed.json(), false, name)
  const page = await alice.authorize(client, wiki)
  assertPage(page, 200, /unverified/)
  const bare = await alice.authorize(client, { ...wiki, code_challenge: undefined, code_challenge_method: undefined })
  assert.doesNotMatch(String(bare.headers.location), /code=/)
})

test('CWE-79: names are text on every page, and no picture of anybody is loaded [threats 400, 401]', async (t) => {
  const { alice, mesh, daemon } = await start(t)
  const picture = 'https://pictures.example/alice.svg'
  mesh.change({ people: { 'alice@example.com': { name: '<img src=x onerror=alert(1)>', picture } } } as Parameters<typeof mesh.change>[0])
  await daemon.deps.identity.refresh()
  const client = await alice.register({ client_name: '</title><img src=x>{{7*7}}' })
  const consent = await alice.authorize(client, wiki)
  await alice.answer(consent, 'approve')
  const { code } = await alice.code(client, wiki).catch(() => ({ code: '' }))
  assert.ok(code)
  await alice.signIn(client, wiki)
  const home = await alice.send('/', { headers: { accept: 'text/html', 'user-agent': '<script>alert(1)</script>' } })
  for (const page of [consent, home]) {
    assertPage(page, 200)
    assert.match(textOf(page), /<img src=x>\{\{7\*7\}\}/)
    assert.doesNotMatch(page.text, /pictures\.example|<script|onerror=alert\(1\)>/)
  }
})

test('CWE-384: nothing in an address is taken for a session or a confirmation [threats 407]', async (t) => {
  const { alice } = await start(t, { config: { sign_in: 'confirm' } })
  const client = { client_id: 'client:grafana', redirect_uri: grafanaCallback }
  const asked = await alice.authorize(client, { scope: 'openid' })
  assertPage(asked, 200, /alice@example\.com/)
  for (const name of ['meshidp', '__Host-meshidp', 'session', 'sid', 'PHPSESSID', 'cookie']) {
    const page = await alice.authorize(client, { scope: 'openid', [name]: 'stolen' })
    assertPage(page, 200)
    assert.equal(textOf(page), textOf(asked))
    assert.equal(page.headers['set-cookie'], undefined)
    const home = await alice.send(`/?${name}=stolen`, { headers: { accept: 'text/html' } })
    assert.equal(home.headers['set-cookie'], undefined)
    assert.equal(home.text.includes('stolen'), false)
  }
})

test('HTML, Cross-Origin-Opener-Policy and Fetch, Cross-Origin-Resource-Policy: no page can be read, opened or embedded by another origin [threats 409]', async (t) => {
  const { alice } = await start(t)
  const client = await alice.register()
  const html = { headers: { accept: 'text/html' } }
  for (const page of [
    await alice.send('/', html),
    await alice.authorize(client, wiki),
    await alice.authorize(client, { client_id: 'nobody' }),
    await alice.send('/nothing', html),
    await alice.send('/consent', { form: { ticket: 'x' }, ...html }),
  ]) {
    const { headers } = page
    assert.deepEqual(
      [headers['cross-origin-opener-policy'], headers['cross-origin-resource-policy'], headers['x-content-type-options']],
      ['same-origin', 'same-origin', 'nosniff'],
    )
    assert.equal(headers['access-control-allow-origin'], undefined)
  }
  for (const path of ['/token', '/register', '/userinfo', '/introspect'])
    assert.equal((await alice.send(path, { method: 'POST', json: {} })).headers['x-content-type-options'], 'nosniff', path)
})

test('XS-Leaks: what another page loads from here is the same for whoever agreed, never agreed or is unknown [threats 410]', async (t) => {
  const { alice, carol, mallory } = await start(t)
  const client = await alice.register()
  await alice.signIn(client, wiki)
  const query = `/authorize?${new URLSearchParams({ response_type: 'code', client_id: client.client_id, redirect_uri: client.redirect_uri, ...wiki })}`
  for (const mode of ['no-cors', 'cors', 'same-origin', 'websocket'])
    for (const path of [query, `${query}&prompt=none`, '/authorize?client_id=nobody']) {
      const answers = await Promise.all(
        [alice, carol, mallory].map((person) =>
          person.send(path, { headers: { accept: 'text/html', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': mode } }),
        ),
      )
      const seen = answers.map(({ status, text }) => `${status} ${text.replaceAll(/<code>[^<]*<\/code>/g, '')}`)
      assert.equal(new Set(seen).size, 1, `${mode} ${path}`)
      assert.equal(answers[0]?.status, 403)
    }
})
