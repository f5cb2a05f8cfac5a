/** The page of a person: who they are, and what they allowed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertPage, textOf, withoutTrace } from '../support/answers.ts'
import { wiki } from '../support/example_policy.ts'
import type { Person } from '../support/person.ts'
import { start } from '../support/start.ts'

const ours = (issuer: string) => ({ accept: 'text/html', origin: new URL(issuer).origin, 'sec-fetch-site': 'same-origin' })
const idsOn = ({ text }: { text: string }) => [...text.matchAll(/name="authorization" value="([^"]+)"/g)].map(([, id]) => id)

test('The home page lists a person\u2019s own live sign-ins, twenty at a time, escaped; of others nothing [threats 73, 400, 401]', async (t) => {
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
