import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changedPolicy, policyClient, wiki } from '../support/example_policy.ts'
import { start } from '../support/start.ts'
import { changeMesh } from '../support/token_request.ts'

const client_id = 'client:wiki-node'

/** The wiki's server runs on a machine with tag:ci, and that is its credential; a second client is on the same machine. */
const policy = changedPolicy(({ clients, grants }) => {
  clients[client_id] = { node: ['tag:ci', 'tag:wiki'] }
  clients['client:other-node'] = { node: ['tag:ci'] }
  clients['client:both'] = { node: ['tag:ci'], client_secret_file: 'wiki-server' }
  grants.push({ src: [client_id, 'client:both'], dst: ['resource:wiki'], app: { introspect: [{}] } })
})

test('a client that is proven by its tagged machine introspects without a secret: whois says that it is, nothing on the wire does (RFC 7662 §2.1)', async (t) => {
  const started = await start(t, { policy })
  const { alice, bob, ci, mallory } = started
  const { access_token } = await alice.signIn(await alice.register(), wiki)
  const asked = (more: Record<string, string> = {}) => ({ form: { client_id, token: access_token, ...more } })

  const answer = await ci.send('/introspect', asked())
  assert.deepEqual([answer.status, answer.json().active, answer.json().username], [200, true, 'alice@example.com'])

  await t.test('not from a machine of a person, nor from one of another tailnet, who are told which tag it takes', async () => {
    for (const person of [alice, bob, mallory]) {
      const refused = await person.send('/introspect', asked())
      assert.deepEqual([refused.status, refused.json().error], [401, 'invalid_client'])
      assert.match(String(refused.json().error_description), /proven by its machine, which has tag:ci or tag:wiki\. \S+ is \S+'s\./)
    }
  })

  await t.test('not for a page that a browser of that machine shows (Fetch Metadata)', async () => {
    for (const headers of [{ origin: started.issuer }, { 'sec-fetch-site': 'same-origin' }, { 'sec-fetch-site': 'none' }] as Record<
      string,
      string
    >[]) {
      const refused = await ci.send('/introspect', { ...asked(), headers })
      assert.deepEqual([refused.status, refused.json().error], [403, 'forbidden'])
    }
  })

  await t.test('clients on one machine are told apart by client_id: what one may the other may not', async () => {
    const other = await ci.send('/introspect', asked({ client_id: 'client:other-node' }))
    assert.deepEqual([other.status, other.json()], [200, { active: false }])
  })

  await t.test(
    'by that or nothing: a guessed secret is refused; a client with both credentials may use either (RFC 6749 §2.3)',
    async () => {
      const guessed = await ci.send('/introspect', asked({ client_secret: 'a guess that is long enough' }))
      assert.equal(guessed.json().error, 'invalid_client')
      const { client_secret } = policyClient(started, 'wiki-server')
      const both = asked({ client_id: 'client:both' })
      assert.equal((await ci.send('/introspect', both)).json().active, true)
      assert.equal((await alice.send('/introspect', asked({ client_id: 'client:both', client_secret }))).json().active, true)
      assert.equal((await alice.send('/introspect', both)).json().error, 'invalid_client')
    },
  )

  await t.test('while the mesh is dark it is 503, never invalid_client', async () => {
    await changeMesh(started, { state: 'Stopped' })
    const dark = await ci.send('/introspect', asked())
    assert.deepEqual([dark.status, dark.json().error], [503, 'temporarily_unavailable'])
    assert.match(String(dark.headers['retry-after']), /^\d+$/)
    await changeMesh(started, { state: 'Running' })
  })

  await t.test('it is not announced: software cannot register for it (RFC 7591 §2)', async () => {
    const refused = await alice.send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'], token_endpoint_auth_method: 'node' } })
    assert.deepEqual([refused.status, refused.json().error], [400, 'invalid_client_metadata'])
    const metadata = (await alice.send('/.well-known/oauth-authorization-server')).json()
    assert.ok(!JSON.stringify(metadata).includes('"node"'))
  })
})

test('a machine that loses its tag is no client any more, at the next request (RFC 6749 §2.3)', async (t) => {
  const started = await start(t, { policy })
  const { alice, ci } = started
  const { access_token } = await alice.signIn(await alice.register(), wiki)
  const ask = () => ci.send('/introspect', { form: { client_id, token: access_token } })
  assert.equal((await ask()).status, 200)
  await changeMesh(started, { machines: { 'ci-runner': { tags: ['tag:somewhere-else'] } } })
  assert.equal((await ask()).json().error, 'invalid_client')
})
