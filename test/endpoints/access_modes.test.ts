/** The access modes of policy/modes, from the front door: who can bring software, and who is refused. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { runAction } from '../../src/admin/actions.ts'
import { wiki as exampleWiki, policyClient } from '../support/example_policy.ts'
import { startHttpsSite } from '../support/https_site.ts'
import type { Person } from '../support/person.ts'
import { type StartOptions, start } from '../support/start.ts'

const wiki = { resource: 'https://wiki.example.com/mcp', scope: 'wiki:read' }
const modeText = (name: string) => readFileSync(new URL(`../../policy/modes/${name}.hujson`, import.meta.url), 'utf8')
const startMode = (t: TestContext, name: string, change = (text: string) => text, options: StartOptions = {}) =>
  start(t, { ...options, policy: change(modeText(name)) })

async function registers(
  person: Person,
  redirect_uri = 'http://127.0.0.1:9/callback',
  headers: Record<string, string> = {},
): Promise<number> {
  const { status, text } = await person.send('/register', { json: { redirect_uris: [redirect_uri] }, headers })
  if (status === 403) assert.match(text, /may register software here, but not software like this|may not register software here/)
  return status
}

test('access mode nobody: nobody registers, and software that registered before goes on', async (t) => {
  const started = await start(t)
  const before = await started.alice.register()
  assert.ok(await started.alice.signIn(before, exampleWiki))
  assert.equal(started.setPolicy(modeText('nobody')).ok, true)
  for (const person of [started.alice, started.mallory, started.ci]) assert.equal(await registers(person), 403)
  assert.equal((await started.alice.signIn(before, wiki)).scope, 'wiki:read')
})

test('access mode admin_made: software of the file signs people in, what registered before gets nothing, and nobody registers', async (t) => {
  const { alice, mallory, ci, ...started } = await startMode(t, 'admin_made')
  const editor = policyClient(started, 'editor', 'https://editor.example.com/callback')
  assert.equal((await alice.signIn(editor, wiki)).scope, 'wiki:read')
  const cli = { client_id: 'client:cli', redirect_uri: 'http://127.0.0.1:7777/callback' }
  assert.equal((await alice.signIn(cli, wiki)).scope, 'wiki:read')
  assert.equal((await mallory.authorize(editor, wiki)).location().get('error'), 'access_denied')
  for (const person of [alice, mallory, ci]) assert.equal(await registers(person), 403)

  assert.equal(started.setPolicy(modeText('anyone_contained')).ok, true)
  const registered = await mallory.register()
  assert.ok(await alice.signIn(registered, wiki))
  assert.equal(started.setPolicy(modeText('admin_made')).ok, true)
  assert.match((await alice.authorize(registered, wiki)).text, /resource:wiki is for software that the policy names/)
})

test('access mode anyone_contained: a stranger and a tagged node register; what comes of it is public, asked each time, and gets the one scope', async (t) => {
  const { alice, mallory, ci } = await startMode(t, 'anyone_contained')
  assert.equal(await registers(ci), 201)
  const client = await mallory.register({ token_endpoint_auth_method: 'client_secret_basic' })
  assert.equal(client.client_secret, undefined)
  assert.equal((await alice.signIn(client, { ...wiki, scope: 'wiki:read wiki:write' })).scope, 'wiki:read')
  const again = await alice.authorize(client, wiki)
  assert.match(again.text, /You will be asked each time\./)
  assert.equal((await mallory.authorize(client, wiki)).status, 403, 'to bring software gives nothing')
})

test('access mode only_a_group: carol registers, alice and a tagged node do not; alice may use what carol brought', async (t) => {
  const { alice, carol, ci } = await startMode(t, 'only_a_group')
  assert.deepEqual([await registers(alice), await registers(ci)], [403, 403])
  assert.equal((await alice.signIn(await carol.register(), wiki)).scope, 'wiki:read')
})

test('access mode initial_access_token: no token, no registration; a token in the wrong hands neither', async (t) => {
  const { alice, mallory, daemon } = await startMode(t, 'initial_access_token')
  const { token } = (await runAction(daemon.deps, 'tokens.initial.create', { issued_for: '*', uses: 2 })) as { token: string }
  const headers = { authorization: `Bearer ${token}` }
  assert.deepEqual([await registers(alice), await registers(mallory), await registers(mallory, undefined, headers)], [403, 403, 403])
  assert.equal(await registers(alice, undefined, headers), 201)
})

test('access mode given_hosts: from the given network, and from no other', async (t) => {
  const { alice, alicePhone, ci } = await startMode(t, 'given_hosts', (text) =>
    text.replace('100.64.7.0/24', '127.0.0.8/32').replaceAll('100.64.7.20', '127.0.0.8'),
  )
  assert.deepEqual([await registers(alicePhone), await registers(alice), await registers(ci)], [201, 403, 403])
})

test('access mode given_redirect_hosts: answers go to this computer or under apps.example.com, and nowhere else', async (t) => {
  const { alice, mallory } = await startMode(t, 'given_redirect_hosts')
  const statuses: number[] = []
  for (const uri of [
    'http://127.0.0.1/cb',
    'https://editor.apps.example.com/cb',
    'https://apps.example.com/cb',
    'https://apps.example.com.evil.example/cb',
    'com.example.editor:/cb',
  ])
    statuses.push(await registers(alice, uri))
  assert.deepEqual(statuses, [201, 201, 403, 403, 403])
  assert.equal(await registers(mallory), 403)
})

test('access mode metadata_documents: a document of the given domain is fetched and used; of another it is not even fetched, and nobody registers', async (t) => {
  const asked: string[] = []
  const site = await startHttpsSite(t, (request, response) => {
    asked.push(request.headers.host ?? '')
    const body = { client_id: `${site.origin}/app.json`, client_name: 'App', redirect_uris: ['http://127.0.0.1:9/callback'] }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  const { hostname } = new URL(site.origin)
  const fetch = { ca: site.cert, lookup: async () => ['127.0.0.1'], allow: () => true }
  const { alice, mallory } = await startMode(t, 'metadata_documents', (text) => text.replaceAll('apps.example.com', hostname), { fetch })
  const document = { client_id: `${site.origin}/app.json`, redirect_uri: 'http://127.0.0.1:9/callback' }
  const other = { ...document, client_id: document.client_id.replace(hostname, 'apps.example.net') }
  assert.equal((await alice.authorize(other, wiki)).status, 403)
  assert.equal((await mallory.authorize(document, wiki)).status, 403)
  assert.deepEqual(asked, [])
  assert.equal((await alice.signIn(document, wiki)).scope, 'wiki:read')
  assert.equal(await registers(alice), 403)
})
