import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runAction } from '../../src/admin/actions.ts'
import type { Params } from '../../src/store/engine.ts'
import { assertCode, assertLinkBack, assertPage, assertSentBack, counts, decisionOf, textOf, withoutTrace } from '../support/answers.ts'
import { changedPolicy, grafanaCallback, wiki } from '../support/example_policy.ts'
import { startHttpsSite } from '../support/https_site.ts'
import { type Answer, challengeOf, formText, newVerifier, type Person, type TestClient, ticketOf } from '../support/person.ts'
import { type Started, start, unhurried } from '../support/start.ts'
import { changeMesh, inParallel } from '../support/token_request.ts'

const grafana = { client_id: 'client:grafana', redirect_uri: grafanaCallback }
const ours = ({ issuer }: Started) => ({ origin: new URL(issuer).origin, 'sec-fetch-site': 'same-origin' })

/** The example policy with what it says of the wiki, for people, changed. */
const wikiGrant = (capability: Record<string, unknown>) =>
  changedPolicy(({ grants }) => {
    for (const { dst, app } of grants)
      if (dst?.includes('resource:wiki') && app.authorize)
        app.authorize = [{ scopes: ['wiki:read', 'wiki:write', 'notes:read'], clients: ['*'], ...capability }]
  })

/** RFC 7592 §2.2: the client as it is, with `metadata` changed. */
async function update(
  person: Person,
  { client_id, registration_access_token, redirect_uri }: TestClient,
  metadata: Record<string, unknown>,
): Promise<void> {
  const answer = await person.send(`/register/${client_id}`, {
    method: 'PUT',
    json: { client_id, client_name: 'Test client', redirect_uris: [redirect_uri], token_endpoint_auth_method: 'none', ...metadata },
    headers: { authorization: `Bearer ${registration_access_token}` },
  })
  assert.equal(answer.status, 200, answer.text)
}

/** The next so many answers wait for each other once they have read their ticket: so they overlap for sure. */
function meetAtTicket({ daemon }: Started, many: number): void {
  const { engine } = daemon.deps.store
  const { get } = engine
  const gate = Promise.withResolvers<void>()
  let here = 0
  engine.get = async <Row>(sql: string, params: Params) => {
    const row = await get<Row>(sql, params)
    if (!/ FROM tickets /.test(sql)) return row
    if (++here === many) {
      engine.get = get
      gate.resolve()
    }
    await gate.promise
    return row
  }
}

test('OAuth 2.1 §7.9: the page says who you are, what asks and who brought it, where the answer goes, for what, and each scope [threats 71, 74, 76, 77, 80]', async (t) => {
  const started = await start(t)
  const { alice, bob } = started
  const client = await alice.register({
    client_name: 'Admin Console',
    redirect_uris: ['https://tool.example.com/cb'],
    logo_uri: 'https://evil.tld/logo.svg',
    client_uri: 'https://evil.tld/',
    policy_uri: 'https://evil.tld/policy',
  })
  const page = await bob.authorize(client, { ...wiki, scope: 'wiki:read wiki:write openid groups' })
  assertPage(page, 200)
  assert.equal(
    textOf(page),
    'Allow “Admin Console” to act for you? You are signed in by the mesh as bob@example.com , on bob-laptop.dev-mesh.internal. ' +
      'Application Admin Console unverified self-registered by alice@example.com The answer goes to tool.example.com ' +
      "Resource Wiki The team's pages, as an MCP server. http://localhost:8490/mcp It may " +
      'Read every page that you may read wiki:read Change pages in your name wiki:write ' +
      'Know who you are openid See which groups you are in groups ' +
      'How long Until you end it, and 90 days at most. It ends by itself when it is not used for 30 days. Each access token lasts 5 minutes. ' +
      'To end it Use your page here , at any time. Do you allow this? You will not be asked again for this. Allow Deny',
  )
  assert.ok(!page.text.includes('evil.tld'), 'no logo, and no link of a stranger')
  const named = await bob.authorize(grafana, { scope: 'openid', prompt: 'consent' })
  assertPage(
    named,
    200,
    /^Sign in to “Grafana”\? .*Application Grafana named in the policy by an admin The answer goes to localhost:3000 .* It may Know who you are openid/,
  )
  assert.doesNotMatch(named.text, /unverified/)
})

test('the page says where gateways may take it on, how long it lasts, and whether it is asked again, as the policy has it', async (t) => {
  const edge = { actors: ['client:wiki-server', 'tag:proxy'], from: ['resource:wiki'], scopes: { 'notes:read': ['wiki:read'] } }
  const limits = { consent: 'always', access_token_ttl: '15m', refresh_token_ttl: '12h' }
  const started = await start(t, {
    policy: changedPolicy(({ grants }) => {
      for (const { dst, app } of grants)
        if (dst?.includes('resource:wiki') && app.authorize)
          app.authorize = [{ scopes: ['wiki:read', 'wiki:write', 'notes:read'], clients: ['*'], ...limits }]
      grants.push({ src: ['alice@example.com'], dst: ['resource:notes'], app: { exchange: [edge] } })
    }),
    config: { lifetimes: { refresh_token: 7 * 86_400 } },
  })
  const { alice, bob } = started
  const client = await alice.register()
  const through =
    'Through others, also Wiki server may act for you at Notes : Read your notes tag:proxy may act for you at Notes : Read your notes'
  const page = await alice.authorize(client, wiki)
  assertPage(page, 200, new RegExp(`wiki:read ${through} How long Until you end it, and 7 days at most\\.`))
  assertPage(page, 200, /not used for 12 hours\. Each access token lasts 15 minutes\. .* You will be asked each time\./)
  for (const other of [await bob.authorize(client, wiki), await alice.authorize(client, { ...wiki, scope: 'wiki:write' })])
    assert.doesNotMatch(textOf(other), /Through others/)
  const brief = await alice.register({ grant_types: ['authorization_code'] })
  assertPage(await alice.authorize(brief, wiki), 200, /How long For 15 minutes; then it needs a new sign-in\. To end it/)
})

test('CWE-79: whatever software calls itself comes out as text [threats 73, 74]', async (t) => {
  const started = await start(t)
  const { alice } = started
  for (const client_name of [
    '<img src=x onerror=alert(1)>',
    '{{7*7}} #{7*7}',
    '</title><script>alert(1)</script>',
    `"' autofocus onfocus=alert(1) x='`,
    '&lt;b&gt; &amp; &#39;',
  ]) {
    const client = await alice.register({ client_name })
    const page = await alice.authorize(client, wiki)
    assertPage(page, 200)
    assert.ok(textOf(page).startsWith(`Allow “${client_name}” to act for you?`))
    const refused = await alice.authorize(client, { ...wiki, scope: '"' })
    assertLinkBack(started, refused, 'invalid_scope', client)
    assert.ok(textOf(refused).includes(`Go back to ${client_name} unverified`))
    for (const { text } of [page, refused]) assert.ok(!/<[^>]*(?:onerror|onfocus|<)/.test(text))
  }
  for (const client_name of ['a\u202eb', 'a\u200bb', 'x'.repeat(10_240), '   ', 'Z\u0300\u0301\u0302\u0303\u0304'])
    await assert.rejects(alice.register({ client_name }), { error: 'invalid_client_metadata' })
})

test('RFC 6749 §4.1.2, RFC 9207 §2: Allow gives a code, Deny sends access_denied back, always; both have their decision [threats 79]', async (t) => {
  const started = await start(t)
  const { alice, logged } = started
  const client = await alice.register()
  const state = '"><b>&x=y ü'
  const allowed = await alice.answer(await alice.authorize(client, { ...wiki, state }), 'approve')
  assertCode(started, allowed, { ...client, state })
  const before = await counts(started)
  const denied = await alice.answer(await alice.authorize(client, { ...wiki, state, prompt: 'consent' }), 'deny')
  const words = assertSentBack(started, denied, 'access_denied', { ...client, state })
  const after = await counts(started)
  assert.deepEqual(after, { ...before, tickets: before.tickets + 1, spent: before.spent + 1, decisions: before.decisions + 1 })
  assert.doesNotMatch(words, /alice/, 'a person who says no does not say who they are')
  const id = decisionOf(words)
  const shown = (await runAction(started.daemon.deps, 'decisions.show', { id })) as Record<string, unknown>
  assert.deepEqual(
    [shown.outcome, shown.reason, shown.sentence, shown.client_id],
    ['denied', 'person', 'alice@example.com said no.', client.client_id],
  )
  assert.ok(logged.some(({ fields, message }) => fields.decision_id === id && message.startsWith('alice@example.com said no.')))
  const { decisions } = (await runAction(started.daemon.deps, 'decisions.list', { outcome: 'allowed', client_id: client.client_id })) as {
    decisions: Record<string, unknown>[]
  }
  assert.ok(decisions.some(({ entry, granted }) => entry === 'authorize' && granted === 'wiki:read'))
  const atGrafana = await alice.answer(await alice.authorize(grafana, { scope: 'openid', prompt: 'consent' }), 'deny')
  assert.match(assertSentBack(started, atGrafana, 'access_denied', grafana), /^alice@example\.com said no\. Decision [0-9A-Z]{26}\.$/)
})

test('the page is for one person at one machine: whoever else answers it gets 403, and it stays open for its own [threats 65]', async (t) => {
  const started = await start(t)
  const { alice, alicePhone, bob, ci, mallory } = started
  const client = await alice.register()
  const page = await mallory.authorize(client, wiki)
  assert.equal(page.status, 403, 'mallory gets no page of her own to hand on')
  const open = await alice.authorize(client, wiki)
  await withoutTrace(started, async () => {
    for (const other of [bob, alicePhone, mallory])
      for (const decision of ['approve', 'deny'] as const)
        assertPage(await other.answer(open, decision), 403, /opened by another person or on another machine/)
    assertPage(await ci.answer(open, 'approve'), 403, /belongs to no person/)
    await changeMesh(started, { machines: { 'alice-laptop': { expired: true } } })
    assertPage(await alice.answer(open, 'approve'), 403, /has expired/)
    // S8: the login is only what a person is called. Another person with that name at that machine is another person.
    await changeMesh(started, { people: { 'alice@example.com': { id: '999' } }, machines: { 'alice-laptop': { expired: undefined } } })
    assertPage(await alice.answer(open, 'approve'), 403, /opened by another person/)
    await changeMesh(started, { people: { 'alice@example.com': { id: '101' } }, machines: { 'alice-laptop': { id: 'another-node' } } })
    assertPage(await alice.answer(open, 'approve'), 403, /on another machine/)
  })
  await changeMesh(started, {
    people: { 'alice@new.example.com': { id: '101' } },
    machines: { 'alice-laptop': { id: undefined, owner: 'alice@new.example.com' } },
  })
  assertPage(await alice.answer(open, 'approve'), 403, /alice@new\.example\.com may not use resource:wiki/)
  await changeMesh(started, { machines: { 'alice-laptop': { owner: 'alice@example.com' } } })
  assertCode(started, await alice.answer(open, 'approve'), client)
})

test('a ticket is good once, for ten minutes; made up, replayed or late it is a page of 400 and changes nothing [threats 70]', async (t) => {
  const started = await start(t)
  const { alice, clock } = started
  const client = await alice.register()
  const used = await alice.authorize(client, wiki)
  assertCode(started, await alice.answer(used, 'approve'), client)
  const denied = await alice.authorize(client, { ...wiki, prompt: 'consent' })
  assertSentBack(started, await alice.answer(denied, 'deny'), 'access_denied', client)
  const late = await alice.authorize(client, { ...wiki, prompt: 'consent' })
  const inTime = await alice.authorize(client, { ...wiki, prompt: 'consent' })
  clock.advance({ seconds: 599 })
  assertCode(started, await alice.answer(inTime, 'approve'), client)
  clock.advance({ seconds: 1 })
  await withoutTrace(started, async () => {
    for (const page of [used, denied, late, inTime])
      for (const decision of ['approve', 'deny'] as const)
        assertPage(await alice.answer(page, decision), 400, /answered already, or it has waited for too long/)
    const ticket = ticketOf(late)
    for (const made of [
      ticket.slice(4),
      ticket.slice(0, -1),
      `${ticket}x`,
      ticket.toUpperCase(),
      ` ${ticket}`,
      'mit_',
      '__proto__',
      'x'.repeat(50_000),
    ])
      assertPage(
        await alice.send('/consent', { form: { ticket: made, decision: 'approve' }, headers: ours(started) }),
        400,
        /answered already/,
      )
    for (const decision of ['', 'allow', 'APPROVE', '__proto__', 'constructor'])
      assertPage(await alice.send('/consent', { form: { ticket, decision }, headers: ours(started) }), 400)
    for (const form of [
      `ticket=${ticket}&ticket=${ticket}&decision=approve`,
      `ticket=${ticket}&decision=approve&decision=deny`,
      'ticket=%ff',
      `ticket=${ticket}&decision=approve%00`,
    ])
      assertPage(await alice.send('/consent', { form, headers: ours(started) }), 400)
  })
  const kept = await started.daemon.deps.store.engine.all<{ digest: string; request: string }>(
    'SELECT digest, request FROM tickets LIMIT 100',
    {},
  )
  assert.ok(
    kept.every(
      ({ digest, request }) => ![used, denied, late, inTime].some((page) => `${digest}${request}`.includes(ticketOf(page).slice(4))),
    ),
  )
})

test('of many answers at the same moment one counts: one code, or one refusal [threats 70]', async (t) => {
  const started = await start(t, { config: { limits: unhurried } })
  const { alice } = started
  const client = await alice.register()
  const page = await alice.authorize(client, wiki)
  meetAtTicket(started, 20)
  const answers = await inParallel(20, () => alice.answer(page, 'approve'))
  assert.equal(answers.filter(({ status }) => status === 303).length, 1)
  for (const answer of answers.filter(({ status }) => status !== 303)) assertPage(answer, 400, /answered already/)
  const { authorizations, codes, spent } = await counts(started)
  assert.deepEqual([authorizations, codes, spent], [1, 1, 1])

  const again = await alice.authorize(client, { ...wiki, prompt: 'consent' })
  meetAtTicket(started, 20)
  const mixed = await inParallel(20, (index) => alice.answer(again, index % 2 === 0 ? 'deny' : 'approve'))
  const [winner, ...others] = mixed.filter(({ status }) => status === 303)
  assert.equal(others.length, 0)
  assert.equal((await counts(started)).codes, winner?.location().has('code') ? 2 : 1)
})

test('RFC 9700 §4.7: only a page of this server can answer: cross-site, same-site, a foreign or opaque origin, or no ticket is 403 [threats 68]', async (t) => {
  const started = await start(t)
  const { alice, issuer } = started
  const { origin } = new URL(issuer)
  const client = await alice.register()
  const page = await alice.authorize(client, wiki)
  const form = { ticket: ticketOf(page), decision: 'approve' }
  await withoutTrace(started, async () => {
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'none' },
      { 'sec-fetch-site': 'cross-site', origin },
      { 'sec-fetch-site': 'same-site', origin },
      { 'sec-fetch-site': 'same-origin', origin: 'https://evil.tld' },
      { 'sec-fetch-site': 'Same-Origin, cross-site', origin },
      { origin: 'https://evil.tld' },
      { origin: 'null' },
      { origin: `${origin}.evil.tld` },
      { origin: origin.replace('http', 'https') },
      { origin: origin.replace(/\d+$/, '1') },
      { origin: `${origin}/` },
      { referer: `${issuer}/authorize` },
      {},
    ] as Record<string, string>[])
      for (const sent of [form, { decision: 'approve' }])
        assertPage(await alice.send('/consent', { form: sent, headers }), 403, /not sent by a page of this server/)
    for (const sent of [{ decision: 'approve' }, { ticket: '', decision: 'deny' }, {}])
      assertPage(await alice.send('/consent', { form: sent, headers: ours(started) }), 403, /not sent by a page of this server/)
    const elsewhere = await alice.send('/consent', { form, headers: { ...ours(started), host: 'evil.tld' } })
    assertPage(elsewhere, 421)
  })
  // Our pages send no referrer, and browsers then say Origin: null, truthfully.
  assertCode(started, await alice.send('/consent', { form, headers: { 'sec-fetch-site': 'same-origin', origin: 'null' } }), client)
  const older = { ticket: ticketOf(await alice.authorize(client, { ...wiki, prompt: 'consent' })), decision: 'approve' }
  assertCode(started, await alice.send('/consent', { form: older, headers: { origin } }), client)
})

test('only the request that the page was made for counts; what else a form says is not looked at [threats 43, 67]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register({ redirect_uris: ['https://tool.example.com/cb', 'https://tool.example.com/other'] })
  const verifier = newVerifier()
  const page = await alice.authorize(client, { ...wiki, code_challenge: challengeOf(verifier) })
  const tampered = {
    scope: 'wiki:read wiki:write openid',
    redirect_uri: 'https://tool.example.com/other',
    client_id: 'client:grafana',
    resource: 'http://localhost:8491/mcp',
    state: 'evil',
    code_challenge: challengeOf('x'.repeat(43)),
    response_type: 'token',
    user_id: '102',
    login: 'bob@example.com',
  }
  const code = assertCode(started, await alice.answer(page, 'approve', { form: tampered }), client)
  const { scope, access_token } = await alice.token(client, { grant_type: 'authorization_code', code, code_verifier: verifier })
  const { sub, aud, client_id } = JSON.parse(Buffer.from(access_token.split('.')[1] ?? '', 'base64url').toString())
  assert.deepEqual([scope, sub, aud, client_id], ['wiki:read', 'userid:101', wiki.resource, client.client_id])
  const query = `/consent?${formText({ ticket: 'x', decision: 'approve' })}`
  assertPage(await alice.send(query, { method: 'POST', headers: ours(started) }), 403)
})

test('nothing is approved that the page did not show: a policy that gives more meanwhile gives it to the next page', async (t) => {
  const started = await start(t, { policy: wikiGrant({ scopes: ['wiki:read'], consent: 'once' }) })
  const { alice } = started
  const client = await alice.register()
  const shown = async (scope?: string) => {
    const page = await alice.authorize(client, { resource: wiki.resource, scope })
    assertPage(page, 200, /It may Read every page that you may read wiki:read How long/)
    return page
  }
  const pages = [await shown(), await shown('wiki:read wiki:write')]
  assert.ok(started.setPolicy(wikiGrant({ consent: 'once' })).ok)
  for (const page of pages) assertCode(started, await alice.answer(page, 'approve'), client)
  const rows = await started.daemon.deps.store.engine.all<{ scopes: string }>('SELECT scopes FROM authorizations LIMIT 10', {})
  assert.deepEqual(rows, [{ scopes: 'wiki:read' }, { scopes: 'wiki:read' }])
  assertPage(await alice.authorize(client, { resource: wiki.resource }), 200, /wiki:write/)
})

test("an approval is judged on today's policy: what is no longer given is left out, and a refusal has its words and the way back", async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const both = { ...wiki, scope: 'wiki:read wiki:write' }
  const narrowed = await alice.authorize(client, both)
  const refused = await alice.authorize(client, both)
  const gone = await alice.authorize(client, both)
  const sure = await alice.authorize(grafana, { scope: 'openid', prompt: 'consent' })
  assert.ok(started.setPolicy(wikiGrant({ scopes: ['wiki:write'] })).ok)
  assertCode(started, await alice.answer(narrowed, 'approve'), client)
  const [row] = await started.daemon.deps.store.engine.all<{ scopes: string }>('SELECT scopes FROM authorizations LIMIT 10', {})
  assert.equal(row?.scopes, 'wiki:write')

  assert.ok(started.setPolicy(changedPolicy(({ groups }) => Object.assign(groups, { 'group:eng': ['bob@example.com'] }))).ok)
  const page = await alice.answer(refused, 'approve')
  assertLinkBack(started, page, 'access_denied', client, 403)
  assert.match(textOf(page), /alice@example\.com may not use resource:wiki/)
  assert.ok(decisionOf(textOf(page)))
  assertPage(await alice.answer(narrowed, 'approve'), 400, /answered already/)
  const withoutGrafana = changedPolicy((policy) => {
    policy.grants = policy.grants.filter(({ dst }) => !dst?.includes('client:grafana'))
  })
  assert.ok(started.setPolicy(withoutGrafana).ok)
  assert.ok(decisionOf(assertSentBack(started, await alice.answer(sure, 'approve'), 'access_denied', grafana)))

  assert.ok(
    started.setPolicy(
      changedPolicy((policy) => {
        delete policy.resources['resource:wiki']
        policy.grants = policy.grants.filter(({ dst }) => !dst?.includes('resource:wiki'))
      }),
    ).ok,
  )
  assertLinkBack(started, await alice.answer(gone, 'approve'), 'invalid_target', client)
  assert.equal((await counts(started)).authorizations, 1)
  // A refusal spent nothing: a mistake undone heals.
  assert.ok(started.setPolicy(wikiGrant({})).ok)
  assertCode(started, await alice.answer(refused, 'approve'), client)
})

test('MCP, confused deputy: "always" asks each time, "once" until more is wanted, "never" only where an admin named the software [threats 64]', async (t) => {
  const started = await start(t, { policy: wikiGrant({ consent: 'always' }) })
  const { alice, alicePhone, bob } = started
  const client = await alice.register()
  const asked = async (person: Person, params: Record<string, string>, of: TestClient = client) => {
    const page = await person.authorize(of, { ...wiki, ...params })
    if (page.status === 303) assertCode(started, page, of)
    else assertPage(page, 200, /^(Allow|Confirm who) /)
    return page.status === 200
  }
  const agree = async (params: Record<string, string>) =>
    assertCode(started, await alice.answer(await alice.authorize(client, { ...wiki, ...params }), 'approve'), client)
  await agree({})
  assert.ok(await asked(alice, {}))

  assert.ok(started.setPolicy(wikiGrant({ consent: 'once' })).ok)
  assert.ok(await asked(alice, {}), 'what was agreed under "always" is not kept')
  await agree({})
  assert.ok(!(await asked(alice, {})))
  assert.ok(!(await asked(alicePhone, {})), 'the same person, at another machine')
  assert.ok(await asked(bob, {}), 'another person')
  assert.ok(await asked(alice, {}, await alice.register()), 'the same metadata, but another client')
  assert.ok(await asked(alice, { prompt: 'consent' }))
  assert.ok(await asked(alice, { prompt: 'login' }))
  assert.ok(await asked(alice, { scope: 'wiki:write' }))
  assert.ok(await asked(alice, { scope: 'wiki:read openid' }))
  assert.ok(await asked(alice, { resource: 'http://localhost:8491/mcp', scope: 'notes:read' }))
  await agree({ scope: 'wiki:write' })
  assert.ok(!(await asked(alice, { scope: 'wiki:read wiki:write' })), 'what was agreed to adds up')
  assertSentBack(
    started,
    await alice.answer(await alice.authorize(client, { ...wiki, prompt: 'consent' }), 'deny'),
    'access_denied',
    client,
  )
  assert.ok(!(await asked(alice, {})), 'a no to one request takes nothing back')

  assert.ok(!(await asked(alice, { resource: '', scope: 'openid' }, grafana)))
  assert.ok(started.setPolicy(wikiGrant({ consent: 'always' })).ok)
  assert.ok(await asked(alice, {}), 'what was agreed under "once" counts no more')
  const never = started.setPolicy(wikiGrant({ consent: 'never' }))
  assert.ok(
    !never.ok && /Consent may be skipped only for software that this file names/.test(never.problem),
    '"never" for software that nobody named does not compile',
  )
})

test('software whose way back changed since somebody agreed is asked about again, and a page that is open then is void [threats 200]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register({ redirect_uris: ['https://tool.example.com/cb'] })
  await alice.signIn(client, wiki)
  assertCode(started, await alice.authorize(client, wiki), client)
  const open = await alice.authorize(client, { ...wiki, prompt: 'consent' })
  await update(alice, client, { redirect_uris: [client.redirect_uri, 'https://evil.tld/cb'] })
  await withoutTrace(started, async () => {
    for (const decision of ['approve', 'deny'] as const) assertPage(await alice.answer(open, decision), 400, /application has changed/)
  })
  const page = await alice.authorize(client, wiki)
  assertPage(page, 200)
  assertCode(started, await alice.answer(page, 'approve'), client)
  assertCode(started, await alice.authorize(client, wiki), client)
})

test('software that is gone when its page is answered gets nothing, and is sent nothing', async (t) => {
  const started = await start(t)
  const { alice, daemon } = started
  const client = await alice.register()
  const page = await alice.authorize(client, wiki)
  await runAction(daemon.deps, 'clients.revoke', { client_id: client.client_id })
  await withoutTrace(started, async () => {
    for (const decision of ['approve', 'deny'] as const) assertPage(await alice.answer(page, decision), 400)
  })
})

test('CIMD §6.3: a metadata document whose redirect URIs or keys change is asked about again; the old page cannot be answered [threats 199, 200]', async (t) => {
  const redirect_uris = ['https://tool.example.com/cb']
  let jwks: unknown
  const site = await startHttpsSite(t, (request, response) => {
    const client_id = `${site.origin}${request.url}`
    response.setHeader('content-type', 'application/json').setHeader('cache-control', 'max-age=60')
    response.end(JSON.stringify({ client_id, client_name: 'Document', redirect_uris, ...(jwks !== undefined && { jwks }) }))
  })
  const started = await start(t, { fetch: { lookup: async () => ['127.0.0.1'], ca: site.cert, allow: () => true } })
  const { alice, clock } = started
  const client = { client_id: `${site.origin}/client.json`, redirect_uri: redirect_uris[0] ?? '' }
  const page = await alice.authorize(client, wiki)
  assertPage(page, 200, new RegExp(`Application Document unverified described by ${site.origin}/client\\.json`))
  assertCode(started, await alice.answer(page, 'approve'), client)
  assertCode(started, await alice.authorize(client, wiki), client)
  const open = await alice.authorize(client, { ...wiki, prompt: 'consent' })

  redirect_uris[0] = 'https://evil.tld/cb'
  clock.advance({ seconds: 61 })
  assertPage(await alice.authorize(client, wiki), 400, /has not registered this redirect_uri/)
  assertPage(await alice.answer(open, 'approve'), 400, /application has changed/)
  const moved = { ...client, redirect_uri: 'https://evil.tld/cb' }
  const again = await alice.authorize(moved, wiki)
  assertPage(again, 200, /The answer goes to evil\.tld/)
  assertCode(started, await alice.answer(again, 'approve'), moved)
  assertCode(started, await alice.authorize(moved, wiki), moved)

  jwks = {
    keys: [{ kty: 'EC', crv: 'P-256', x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU', y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0' }],
  }
  clock.advance({ seconds: 61 })
  assertPage(await alice.authorize(moved, wiki), 200)
})

test('CIMD: a stranger makes nobody fetch; a document that is not for its own address is a page [threats 64, 196]', async (t) => {
  const site = await startHttpsSite(t, (_request, response) =>
    response.setHeader('content-type', 'application/json').end('{"client_id":"https://else.example/"}'),
  )
  const started = await start(t, { fetch: { lookup: async () => ['127.0.0.1'], ca: site.cert, allow: () => true } })
  const client = { client_id: `${site.origin}/client.json`, redirect_uri: 'https://tool.example.com/cb' }
  const refused = await started.mallory.authorize(client, wiki)
  assertPage(refused, 403, /mallory@other\.com may not register software here/)
  assert.ok(decisionOf(textOf(refused)))
  assertPage(await started.ci.authorize(client, wiki), 403, /belongs to no person/)
  assert.equal(site.connections(), 0)
  assertPage(await started.alice.authorize(client, wiki), 400, /metadata document of this client could not be fetched, or is not one/)
  assert.equal(site.connections(), 1)
  assert.equal((await counts(started)).clients, 0)
})

test('while the mesh is dark a page cannot be answered: 503 with Retry-After, its ticket unspent, and it can be answered afterwards', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const page = await alice.authorize(client, wiki)
  await changeMesh(started, { state: 'Stopped' })
  await withoutTrace(started, async () => {
    for (const decision of ['approve', 'deny'] as const) {
      const answer = await alice.answer(page, decision)
      assertPage(answer, 503, /tailscaled says "Stopped".*Wait \d+ seconds?, then load this page again\./)
      assert.match(String(answer.headers['retry-after']), /^[1-9]\d*$/)
    }
  })
  await changeMesh(started, { state: 'Running' })
  assertCode(started, await alice.answer(page, 'approve'), client)
})

test('a page outlives a restart of the daemon', async (t) => {
  const first = await start(t)
  const client = await first.alice.register()
  const page = await first.alice.authorize(client, wiki)
  const second = await first.restart()
  assertCode(second, await second.alice.answer(page, 'approve'), client)
})

test('RFC 9110 §15.5.6: /consent takes posted forms only', async (t) => {
  const started = await start(t)
  const { alice } = started
  const page = await alice.authorize(await alice.register(), wiki)
  const form = { ticket: ticketOf(page), decision: 'approve' }
  await withoutTrace(started, async () => {
    const got: Answer = await alice.send(`/consent?${formText(form)}`, { headers: ours(started) })
    assertPage(got, 405)
    assert.equal(got.headers.allow, 'POST')
    assertPage(await alice.send('/consent', { json: form, headers: ours(started) }), 415)
    assertPage(
      await alice.send('/consent', { raw: formText(form), method: 'POST', headers: { ...ours(started), 'content-type': 'text/plain' } }),
      415,
    )
  })
})
