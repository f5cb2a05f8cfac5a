/** Client ID Metadata Documents (CIMD) as the front door sees them: /authorize with a client_id that is a URL of a real https site. */
import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { type TestContext, test } from 'node:test'
import { runAction } from '../../src/admin/actions.ts'
import { changedPolicy, policyClient, wiki, withRegistration } from '../support/example_policy.ts'
import { startHttpsSite } from '../support/https_site.ts'
import { until } from '../support/local_api.ts'
import { type Answer, personAt, type TestClient } from '../support/person.ts'
import { type StartOptions, start } from '../support/start.ts'

const redirect_uri = 'http://127.0.0.1:9/callback'

/** A site whose pages are metadata documents: `documents` by path, `asked` counts the requests for each. */
async function site(t: TestContext, other?: RequestListener) {
  const documents = new Map<string, { body: object; headers?: Record<string, string> }>()
  const asked: string[] = []
  const made = await startHttpsSite(t, (request, response) => {
    const path = request.url ?? ''
    asked.push(path)
    const found = documents.get(path)
    if (!found) return other ? other(request, response) : void response.writeHead(404).end()
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=600', ...found.headers })
    response.end(JSON.stringify(found.body))
  })
  const url = (path: string) => made.origin + path
  return {
    ...made,
    asked,
    url,
    /** Publishes a document, with the right client_id unless `members` say otherwise; resolves to the client that it describes. */
    publish(path: string, members: Record<string, unknown> = {}, headers?: Record<string, string>): TestClient {
      const body = {
        client_id: url(path),
        client_name: 'Notes',
        redirect_uris: [redirect_uri],
        grant_types: ['authorization_code', 'refresh_token'],
        ...members,
      }
      documents.set(path, { body, ...(headers && { headers }) })
      return { client_id: url(path), redirect_uri }
    },
  }
}

type Site = Awaited<ReturnType<typeof site>>

/** A daemon to which the site's name leads, as if it were a public one. */
const startFor = (t: TestContext, { cert }: Site, options: StartOptions = {}) =>
  start(t, { ...options, fetch: { ca: cert, lookup: async () => ['127.0.0.1'], allow: () => true } })

/** A page that says no: nothing leaves this server, nothing is kept. */
function pageOf(answer: Answer, status: number, says: RegExp, label = ''): void {
  assert.equal(answer.status, status, `${label} ${answer.text}`)
  assert.match(String(answer.headers['content-type']), /^text\/html/, label)
  assert.deepEqual([answer.headers.location, answer.headers['cache-control']], [undefined, 'no-store'], label)
  assert.match(answer.text, says, label)
}

/** What an error page says, apart from the number of the request. */
const wordsOf = ({ status, text }: Answer) => `${status} ${text.replaceAll(/<code>[0-9a-z]+-[0-9a-z]+<\/code>/g, '')}`

test('CIMD: a client that is described by its own document signs its user in, is shown as unverified, and is fetched once while it is fresh', async (t) => {
  const there = await site(t)
  const started = await startFor(t, there)
  const { alice, bob, clock, daemon } = started
  const client = there.publish('/notes.json', { colour: 'red', grant_types: ['authorization_code', 'refresh_token', 'implicit'] })
  const page = await alice.authorize(client, wiki)
  assert.match(
    page.text,
    /<bdi>Notes<\/bdi> <span class="unverified">unverified<\/span><br><span class="quiet">described by https:\/\/client\.test:\d+\/notes\.json</,
  )
  const tokens = await alice.signIn(client, wiki)
  await bob.signIn(client, wiki)
  await alice.refresh(client, tokens)
  assert.deepEqual(there.asked, ['/notes.json'])
  assert.equal((await alice.introspect(policyClient(started, 'wiki-server'), tokens.access_token)).active, true)

  clock.advance({ seconds: 601 })
  await alice.signIn(client, wiki)
  assert.equal(there.asked.length, 2, 'RFC 9111 §4.2: stale, so asked for again')

  const { decisions } = (await runAction(daemon.deps, 'decisions.list', { client_id: client.client_id })) as {
    decisions: { id: string; entry: string }[]
  }
  const registrations = decisions.filter(({ entry }) => entry === 'register')
  assert.equal(registrations.length, 2, 'one row a fetch')
  const row = (await runAction(daemon.deps, 'decisions.show', { id: registrations[0]?.id })) as Record<string, unknown>
  assert.deepEqual([row.principal, row.detail], ['alice@example.com', { ignored: ['colour'], narrowed: ['grant_types'] }])
})

test('CIMD §3: a client_id that is no clean https URL with a path is unknown, and nothing is fetched [threats 185, 188, 196]', async (t) => {
  const there = await site(t)
  const { alice } = await startFor(t, there)
  there.publish('/c')
  const host = `client.test:${there.port}`
  for (const client_id of [
    ...[
      `http://${host}/c`,
      `https://${host}`,
      `https://${host}/`,
      `HTTPS://${host}/c`,
      `https:/${host}/c`,
      `https://CLIENT.test:${there.port}/c`,
    ],
    ...[
      `https://${host}/./c`,
      `https://${host}/a/../c`,
      `https://${host}/%2e/c`,
      `https://${host}/a/%2E%2e/c`,
      `https://client.test.:${there.port}/c`,
    ],
    ...[
      `https://${host}/c#`,
      `https://${host}/c#x`,
      `https://${host}/c?#`,
      `https://u@${host}/c`,
      `https://@${host}/c`,
      `https://:@${host}/c`,
    ],
    ...['https://2130706433/c', 'https://0x7f000001/c', `https://127.1:${there.port}/c`],
    ...[` https://${host}/c`, `https://${host}/c `, `https://${host}\\c`, `https://${host}/${'c'.repeat(3000)}`],
  ])
    pageOf(await alice.authorize({ client_id, redirect_uri }, wiki), 400, /is not known here/, client_id)
  pageOf(await alice.authorize({ client_id: '', redirect_uri }, wiki), 400, /client_id/)
  pageOf(
    await alice.authorize({ client_id: '', redirect_uri }, { ...wiki, client_id: [there.url('/c'), there.url('/c')] }),
    400,
    /more than once/,
  )
  assert.equal(there.connections(), 0)
})

test('CIMD §8.6: special-use addresses are reached only where the policy names the very URL; others look like any failure [threats 187, 206]', async (t) => {
  const there = await site(t)
  const [named, unnamed] = [there.publish('/named.json'), there.publish('/other.json')]
  const policy = changedPolicy((one) => {
    one.clients['client:notes'] = { client_id: named.client_id, name: 'Our notes' }
  })
  const { alice } = await start(t, { policy, fetch: { ca: there.cert, lookup: async () => ['127.0.0.1'] } })
  pageOf(await alice.authorize(unnamed, wiki), 400, /could not be fetched, or is not one for this client_id/)
  for (const host of ['127.0.0.1', '[::1]', '[::ffff:7f00:1]', '100.100.100.100'])
    pageOf(
      await alice.authorize({ client_id: `https://${host}:${there.port}/named.json`, redirect_uri }, wiki),
      400,
      /could not be fetched/,
      host,
    )
  assert.equal(there.connections(), 0)
  const page = await alice.authorize(named, wiki)
  assert.match(page.text, /<dd><bdi>Our notes<\/bdi> <br><span class="quiet">named in the policy by an admin/)
  assert.equal((await alice.signIn(named, wiki)).scope, 'wiki:read')
  assert.deepEqual(there.asked, ['/named.json'])
})

test('CIMD §4, §8.6: whatever stands at the address, its visitor learns one and the same; the log says what it was [threats 193, 194, 196, 206]', async (t) => {
  const answers: Record<string, RequestListener> = {
    '/404': (_request, response) => response.writeHead(404).end(),
    '/302': (_request, response) => response.writeHead(302, { location: '/good.json' }).end(),
    '/html': (_request, response) => response.setHeader('content-type', 'text/html').end('<p>Internal wiki: secret-of-the-page</p>'),
    '/text': (_request, response) => response.setHeader('content-type', 'application/json').end('secret-of-the-page'),
    '/large': (_request, response) => response.setHeader('content-type', 'application/json').end(`"${'x'.repeat(6000)}"`),
    '/cut': (_request, response) => void response.socket?.destroy(),
  }
  const there = await site(t, (request, response) => answers[request.url ?? '']?.(request, response))
  const { alice, logged } = await startFor(t, there, {
    config: { limits: { document_fetches: { principal: 100, origin: 100, total: 100 } } },
  })
  there.publish('/good.json')
  there.publish('/wrong', { client_id: there.url('/other') })
  const ids = [...Object.keys(answers), '/wrong'].map(there.url)
  ids.push('https://client.test:1/closed', `https://other.test:${there.port}/certificate`)
  const seen = new Set<string>()
  for (const client_id of ids) {
    const answer = await alice.authorize({ client_id, redirect_uri }, wiki)
    pageOf(answer, 400, /could not be fetched, or is not one for this client_id/, client_id)
    seen.add(wordsOf(answer))
    assert.equal((await alice.authorize({ client_id, redirect_uri }, wiki)).status, 400, 'errors are not kept')
  }
  assert.equal(seen.size, 1, [...seen].join('\n'))
  // As the log shows an error: with what caused it.
  const wordsOfAll = (error: unknown): string =>
    error instanceof Error ? `${error.message} ${(error as { code?: string }).code ?? ''} ${wordsOfAll(error.cause)}` : ''
  const causes = logged.map(({ fields }) => wordsOfAll(fields.err))
  for (const cause of [/status 404/, /status 302/, /not a JSON content type/, /ECONNREFUSED/, /ALTNAME/, /client_id is not the URL/])
    assert.ok(
      causes.some((one) => cause.test(one)),
      `${cause} in ${causes.join('; ')}`,
    )
})

test('CIMD §4: a document that is about this client_id and still unfit is told why, and never leads anywhere [threats 13, 182, 197]', async (t) => {
  const there = await site(t)
  const { alice, daemon } = await startFor(t, there, {
    config: { limits: { document_fetches: { principal: 100, origin: 100, total: 100 } } },
  })
  const unfit: [Record<string, unknown>, RegExp][] = [
    [{ client_secret: 'x' }, /client_secret cannot be accepted/],
    [{ client_secret_expires_at: 0 }, /client_secret_expires_at cannot be accepted/],
    ...['client_secret_basic', 'client_secret_post', 'client_secret_jwt'].map((method): [Record<string, unknown>, RegExp] => [
      { token_endpoint_auth_method: method },
      /must be none/,
    ]),
    [{ token_endpoint_auth_method: 'private_key_jwt' }, /needs jwks or jwks_uri/],
    [{ redirect_uris: ['javascript:alert(1)'] }, /redirect_uris/],
    [{ redirect_uris: undefined }, /redirect_uris/],
    [{ client_name: 'Grafana' }, /belongs to software that an admin named/],
  ]
  for (const [index, [members, says]] of unfit.entries())
    pageOf(await alice.authorize(there.publish(`/${index}`, members), wiki), 400, says, JSON.stringify(members))
  assert.deepEqual(((await runAction(daemon.deps, 'clients.list', {})) as { clients: unknown[] }).clients, [])

  const client = there.publish('/good.json')
  pageOf(await alice.authorize({ ...client, redirect_uri: 'https://evil.example/cb' }, wiki), 400, /has not registered this redirect_uri/)
})

test('CIMD §8.8: who may not bring software, or not from there, makes no fetch; nobody and a machine neither [threats 202, 211]', async (t) => {
  const there = await site(t)
  const client = there.publish('/notes.json')
  const started = await startFor(t, there, { policy: withRegistration({ via: ['cimd'], redirect_uris: ['other.test'] }, { via: ['dcr'] }) })
  const { alice, mallory, ci, issuer, daemon } = started
  pageOf(await mallory.authorize(client, wiki), 403, /mallory@other\.com may not register software here.*decision/s)
  pageOf(await alice.authorize(client, wiki), 403, /but not software like this/)
  pageOf(await ci.authorize(client, wiki), 403, /belongs to no person/)
  pageOf(await personAt(t, issuer, '127.0.0.99').authorize(client, wiki), 403, /127\.0\.0\.99/)
  for (let number = 0; number < 20; number++) await mallory.authorize({ client_id: there.url(`/${number}`), redirect_uri }, wiki)
  assert.deepEqual([there.connections(), there.asked], [0, []])
  const { decisions } = (await runAction(daemon.deps, 'decisions.list', { principal: 'mallory@other.com' })) as { decisions: unknown[] }
  assert.equal(decisions.length, 1, 'and however many names she invents, one row')

  const allow = (...hosts: string[]) => started.setPolicy(withRegistration({ via: ['cimd'], redirect_uris: ['client.test', ...hosts] })).ok
  assert.equal(allow(), true)
  pageOf(await alice.authorize(client, wiki), 403, /but not software like this/, 'its redirect URIs lead elsewhere')
  assert.equal(allow('127.0.0.1'), true)
  await alice.signIn(client, wiki)
  const leadsAway = there.publish('/away.json', { post_logout_redirect_uris: ['https://evil.example/'] })
  pageOf(await alice.authorize(leadsAway, wiki), 403, /but not software like this/, 'its people would be led elsewhere after a logout')
  pageOf(await mallory.authorize(client, wiki), 403, /may not register software/, 'known by now, and still not for her')
  assert.equal(there.asked.length, 3)
})

test("CIMD §8.6: nobody can send us to somebody else's server more often than the budget says; a crowd at one URL is one fetch [threats 202]", async (t) => {
  const there = await site(t)
  const { alice, bob, clock } = await startFor(t, there, {
    config: { limits: { document_fetches: { principal: 3, origin: 5, total: 100 } } },
  })
  const ask = (person: typeof alice, path: string) => person.authorize(there.publish(path), wiki)
  for (const path of ['/1', '/2', '/3']) assert.equal((await ask(alice, path)).status, 200)
  const refused = await ask(alice, '/4')
  pageOf(refused, 503, /Too many metadata documents/)
  assert.match(String(refused.headers['retry-after']), /^\d+$/)
  assert.equal((await ask(alice, '/1')).status, 200, 'what is fresh costs nothing')
  for (const path of ['/5', '/6']) assert.equal((await ask(bob, path)).status, 200)
  pageOf(await ask(bob, '/7'), 503, /Too many/, 'the origin has a budget of its own')
  assert.equal(there.asked.length, 5)
  clock.advance({ seconds: 60 })
  assert.equal((await ask(alice, '/8')).status, 200)
})

test('CIMD §8.6: a crowd that asks for one new document is hardly more than one fetch [threats 202]', async (t) => {
  const there = await site(t)
  const { alice, bob } = await startFor(t, there)
  const client = there.publish('/notes.json')
  const crowd = await Promise.all(Array.from({ length: 40 }, (_, index) => (index % 2 ? alice : bob).authorize(client, wiki)))
  assert.ok(crowd.every(({ status }) => status === 200))
  assert.ok(there.asked.length <= 5, `${there.asked.length} fetches`)
})

test('CIMD §4.4: a document that may not be kept is fetched for each request; what failed is not remembered [threats 203]', async (t) => {
  const there = await site(t)
  const { alice } = await startFor(t, there)
  const client = there.publish('/notes.json', {}, { 'cache-control': 'no-store' })
  await alice.authorize(client, wiki)
  await alice.authorize(client, wiki)
  assert.equal(there.asked.length, 2)
  const later = { client_id: there.url('/later.json'), redirect_uri }
  assert.equal((await alice.authorize(later, wiki)).status, 400)
  there.publish('/later.json')
  assert.equal((await alice.authorize(later, wiki)).status, 200)
})

test('CIMD §6.3: what changed after the page was shown, or after the code was sent, redirects nothing: the page is void, the code stays where it was [threats 199]', async (t) => {
  const there = await site(t)
  const { alice, bob, clock } = await startFor(t, there)
  const client = there.publish('/notes.json', {}, { 'cache-control': 'max-age=1' })
  const page = await alice.authorize(client, wiki)
  const sent = await bob.code(client, wiki)

  there.publish('/notes.json', { redirect_uris: ['https://evil.example/cb'] }, { 'cache-control': 'max-age=1' })
  clock.advance({ seconds: 2 })
  const moved = await bob.authorize({ ...client, redirect_uri: 'https://evil.example/cb' }, wiki)
  assert.match(moved.text, /evil\.example/, 'the new document is in use, and its page says where the answer goes')

  const answer = await alice.answer(page, 'approve')
  pageOf(answer, 400, /start again/i)
  await assert.rejects(
    bob.token(client, { grant_type: 'authorization_code', ...sent, redirect_uri: 'https://evil.example/cb' }),
    (error: { error?: unknown }) => error.error === 'invalid_grant',
  )
  const tokens = await bob.token(client, { grant_type: 'authorization_code', ...sent, redirect_uri })
  assert.equal(tokens.scope, 'wiki:read')
})

test('CIMD §6.3: who agreed to the software is asked again when its redirect URIs or keys change, and not for a new name [threats 200]', async (t) => {
  const there = await site(t)
  const { alice, clock } = await startFor(t, there)
  const publish = (members: Record<string, unknown>) => {
    clock.advance({ seconds: 601 })
    return there.publish('/notes.json', members)
  }
  const client = publish({})
  await alice.signIn(client, wiki)
  assert.equal((await alice.authorize(client, wiki)).status, 303, 'agreed once')
  assert.equal((await alice.authorize(publish({ client_name: 'Better notes' }), wiki)).status, 303)
  for (const members of [
    { redirect_uris: [redirect_uri, 'https://a.example/cb'] },
    { redirect_uris: [redirect_uri, 'https://a.example/cb'], jwks_uri: 'https://a.example/jwks' },
  ]) {
    assert.equal((await alice.authorize(publish(members), wiki)).status, 200, JSON.stringify(members))
    await alice.signIn(client, wiki)
    assert.equal((await alice.authorize(client, wiki)).status, 303)
  }
})

test('a client of the policy whose id is an https URL and that holds its redirect URIs is never fetched [threats 209]', async (t) => {
  const there = await site(t)
  const client = there.publish('/static.json', { redirect_uris: ['https://evil.example/cb'] })
  const policy = changedPolicy((one) => {
    one.clients['client:static'] = { client_id: client.client_id, redirect_uris: [redirect_uri] }
  })
  const { alice } = await startFor(t, there, { policy })
  assert.equal((await alice.signIn(client, wiki)).scope, 'wiki:read')
  pageOf(await alice.authorize({ ...client, redirect_uri: 'https://evil.example/cb' }, wiki), 400, /has not registered this redirect_uri/)
  assert.equal(there.connections(), 0)
})

test('one document is the software of many: what one person or machine revokes leaves all others signed in [threats 212]', async (t) => {
  const there = await site(t)
  const started = await startFor(t, there)
  const { alice, alicePhone, bob } = started
  const client = there.publish('/notes.json')
  const [laptop, phone, his] = [await alice.signIn(client, wiki), await alicePhone.signIn(client, wiki), await bob.signIn(client, wiki)]
  assert.equal((await alice.send('/revoke', { form: { client_id: client.client_id, token: String(laptop.refresh_token) } })).status, 200)
  await assert.rejects(alice.refresh(client, laptop))
  const server = policyClient(started, 'wiki-server')
  assert.equal((await alice.introspect(server, laptop.access_token)).active, false)
  for (const tokens of [phone, his]) assert.equal((await alice.introspect(server, tokens.access_token)).active, true)
  await alicePhone.refresh(client, phone)
  await bob.refresh(client, his)
})

test('while the mesh is dark a new document is not fetched: 503', async (t) => {
  const there = await site(t)
  const { alice, mesh } = await startFor(t, there)
  mesh.change({ state: 'Stopped' })
  await until(async () => (await alice.send('/readyz')).status === 503)
  const answer = await alice.authorize(there.publish('/notes.json'), wiki)
  pageOf(answer, 503, /mesh/i)
  assert.ok(answer.headers['retry-after'])
  assert.equal(there.connections(), 0)
})

test('CIMD §8.6, §8.7: no other address in a document is fetched by the server or loaded by the reader of the page [threats 208, 76]', async (t) => {
  const there = await site(t)
  const { alice } = await startFor(t, there)
  const client = there.publish('/notes.json', {
    logo_uri: there.url('/logo.png'),
    client_uri: there.url('/'),
    policy_uri: there.url('/policy'),
    tos_uri: there.url('/terms'),
  })
  const page = await alice.authorize(client, wiki)
  assert.equal(page.status, 200)
  assert.doesNotMatch(page.text, /<img|logo\.png|src=/)
  await alice.signIn(client, wiki)
  const keys = there.publish('/keys.json', { jwks_uri: there.url('/jwks') })
  await alice.authorize(keys, wiki)
  assert.deepEqual(there.asked, ['/notes.json', '/keys.json'])
})
