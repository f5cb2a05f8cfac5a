/** The page of a person: who they are, and what they allowed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertPage, textOf, withoutTrace } from '../support/answers.ts'
import { wiki } from '../support/example_policy.ts'
import type { Person } from '../support/person.ts'
import { type Started, start } from '../support/start.ts'
import { changeMesh } from '../support/token_request.ts'

const ours = (issuer: string) => ({ accept: 'text/html', origin: new URL(issuer).origin, 'sec-fetch-site': 'same-origin' })
const idsOn = ({ text }: { text: string }) => [...text.matchAll(/name="authorization" value="([^"]+)"/g)].map(([, id = '']) => id)

const home = (person: Person, query = '') => person.send(`/${query}`)

/** The button of the page, pressed. */
const end = ({ issuer }: Started, person: Person, authorization: string) =>
  person.send('/authorizations/end', { form: { authorization }, headers: ours(issuer) })

test('The home page lists a person’s own live sign-ins, twenty at a time, escaped; of others nothing [threats 73, 400, 401]', async (t) => {
  const started = await start(t)
  const { alice, bob, ci, mallory } = started
  const client = await alice.register({ client_name: '<img src=x onerror=alert(1)>' })
  for (let n = 0; n < 22; n++) await alice.signIn(client, wiki)
  const page = await alice.send('/', { headers: { accept: 'text/html' } })
  assertPage(page, 200, /You are alice@example\.com/)
  assert.match(page.text, /&lt;img src=x onerror=alert\(1\)&gt;/)
  assert.equal(idsOn(page).length, 20)
  const [, older = ''] = /href="([^"]*before=[^"]*)"/.exec(page.text) ?? []
  assert.equal(idsOn(await alice.send(older)).length, 2)
  for (const who of [bob, ci, mallory]) assert.deepEqual(idsOn(await who.send('/')), [])
  assert.equal((await alice.send('/?before=x')).status, 400)
})

test('A person ends what they allowed, and nobody else does; a page of another site neither [threats 68, 391, 397]', async (t) => {
  const started = await start(t)
  const { alice, bob, issuer } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  const [id = ''] = idsOn(await alice.send('/'))
  const end = (who: Person, headers: Record<string, string> = ours(issuer)) =>
    who.send('/authorizations/end', { form: { authorization: id }, headers })
  await withoutTrace(started, async () => {
    assertPage(await end(bob), 404, /none of your sign-ins/)
    for (const headers of [
      {},
      { origin: 'https://evil.example' },
      { ...ours(issuer), 'sec-fetch-site': 'cross-site' },
      { ...ours(issuer), 'sec-fetch-site': 'same-site' },
    ])
      assert.equal((await end(alice, headers)).status, 403)
    assert.equal((await alice.send(`/authorizations/end?authorization=${id}`, { headers: ours(issuer) })).status, 405)
  })
  assert.ok((await alice.refresh(client, tokens)).access_token)
  const done = await end(alice)
  assert.deepEqual([done.status, done.headers.location], [303, '/'])
  await assert.rejects(alice.refresh(client, tokens), { error: 'invalid_grant' })
  assert.deepEqual(idsOn(await alice.send('/')), [])
  assert.match(textOf(await alice.authorize(client, wiki)), /^Allow /, 'and they are asked anew')
})

test('home: a person sees their own sign-ins: what software, where, which scopes, since when; nobody else does', async (t) => {
  const started = await start(t)
  const { alice, alicePhone, bob, ci } = started
  assert.match(textOf(await home(alice)), /You are alice@example\.com .* No application may do anything in your name now\./)
  await alice.signIn(await alice.register({ client_name: 'Agent' }), wiki)
  const at = new Date(started.clock.now() * 1000).toISOString()
  for (const person of [alice, alicePhone]) {
    const page = await home(person)
    assertPage(page, 200, /Your sign-ins .* Agent unverified Wiki: wiki:read Since \d+ \w+ \d{4} at \d\d:\d\d UTC End/)
    assert.ok(page.text.includes(`datetime="${at}"`))
  }
  assert.deepEqual(idsOn(await home(bob)), [])
  assert.doesNotMatch(textOf(await home(ci)), /Your sign-ins|Agent/)
})

test('home: a sign-in that its person ends is dead, and so is what they agreed to; the record says who ended it', async (t) => {
  const started = await start(t)
  const { alice, daemon } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  const other = await alice.signIn(client, wiki)
  const [newest = '', oldest = ''] = idsOn(await home(alice))
  const answer = await end(started, alice, oldest)
  assert.deepEqual([answer.status, answer.headers.location], [303, '/'])
  assert.deepEqual(idsOn(await home(alice)), [newest])
  await assert.rejects(alice.refresh(client, tokens), { error: 'invalid_grant' })
  await alice.refresh(client, other)
  assert.equal((await daemon.deps.store.authorizations.find(oldest))?.end_reason, 'ended by its person')
  assertPage(await alice.authorize(client, wiki), 200, /Do you allow this\?/)
  const again = await end(started, alice, oldest)
  assert.equal(again.status, 303, 'a second click does no harm')
})

test('home: who ends the sign-in of another is told what they are told of one that never was [threats 410]', async (t) => {
  const started = await start(t)
  const { alice, bob, ci } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  const [id = ''] = idsOn(await home(alice))
  const withoutId = ({ text }: { text: string }) => text.replaceAll(/Request <code>[^<]*/g, '')
  const [others, none] = [await end(started, bob, id), await end(started, bob, '0'.repeat(26))]
  assertPage(others, 404, /none of your sign-ins, so nothing was ended/)
  assert.equal(withoutId(others), withoutId(none))
  assertPage(await end(started, ci, id), 403, /belongs to no person/)
  await alice.refresh(client, tokens)
})

test('CWE-79: names of people, machines and software come out as text at home, and no picture is shown [threats 76, 77, 400, 401]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client_name = '"><img src=x onerror=alert(1)>'
  await alice.signIn(await alice.register({ client_name }), wiki)
  await changeMesh(started, {
    people: { 'alice@example.com': { id: '101', name: '<script>alert(1)</script>', picture: 'https://evil.tld/p.svg' } },
  })
  const page = await home(alice)
  assertPage(page, 200)
  assert.ok(textOf(page).includes('(<script>alert(1)</script>)'))
  assert.ok(textOf(page).includes(client_name))
  assert.doesNotMatch(page.text, /evil\.tld|<img/)
})

test('Fetch, HTML: no page can be read, framed, kept or held on to by another origin, and none says where one came from [threats 71, 80, 409, 410]', async (t) => {
  const started = await start(t)
  const { alice, carol } = started
  const client = await alice.register()
  const pages = {
    home: await home(alice),
    consent: await alice.authorize(client, wiki),
    confirmation: await alice.authorize(
      { client_id: 'client:grafana', redirect_uri: 'http://localhost:3000/login/generic_oauth' },
      { scope: 'openid', prompt: 'login' },
    ),
    denial: await carol.authorize(client, wiki),
    error: await alice.send('/authorize'),
    'sign out': await alice.send('/end_session'),
  }
  for (const [name, { headers }] of Object.entries(pages)) {
    const { 'cross-origin-opener-policy': opener, 'cross-origin-resource-policy': resource } = headers
    assert.deepEqual([opener, resource], ['same-origin', 'same-origin'], name)
    assert.deepEqual([headers['x-content-type-options'], headers['cache-control']], ['nosniff', 'no-store'], name)
    assert.deepEqual([headers['referrer-policy'], headers['x-frame-options']], ['no-referrer', 'DENY'], name)
    assert.match(String(headers['content-security-policy']), /default-src 'none'.*frame-ancestors 'none'/, name)
    assert.equal(headers['access-control-allow-origin'], undefined, name)
  }
})

test('no page takes who somebody is, or what they may, from its address: there is no session to fix [threats 407]', async (t) => {
  const started = await start(t)
  const { alice } = started
  await alice.signIn(await alice.register(), wiki)
  const [plain, odd] = [await home(alice), await home(alice, '?session=x&sid=x&user_id=102&login=bob@example.com&lang=xx')]
  assert.equal(odd.text, plain.text)
  for (const { headers } of [plain, odd]) assert.equal(headers['set-cookie'], undefined)
})
