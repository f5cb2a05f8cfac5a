/** What a thief of the database, or a reader of the log, gets: nothing that opens anything. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import Database from 'better-sqlite3'
import { asserted, assertionClaims, jwkOf, jwtBearer, jwtBy, jwtSpiffe, newPair } from './support/assertion.ts'
import { grafanaCallback, policyClient, wiki, withRegistration } from './support/example_policy.ts'
import { ticketOf } from './support/person.ts'
import { type Started, start, unhurried } from './support/start.ts'
import { startTrustDomain } from './support/trust_domain.ts'

/** Everything that a database holds, as texts; members of JSON one by one. */
function textsOf(file: string): Set<string> {
  const database = new Database(file, { readonly: true })
  const texts = new Set<string>()
  const take = (value: unknown): void => {
    if (typeof value === 'object' && value !== null) {
      for (const member of Object.values(value)) take(member)
      return
    }
    if (value === null || typeof value === 'boolean') return
    const text = String(value)
    if (texts.has(text)) return
    texts.add(text)
    for (const word of text.split(' ')) texts.add(word)
    if (/^[[{]/.test(text))
      try {
        take(JSON.parse(text))
      } catch {}
  }
  for (const { name } of database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all() as { name: string }[])
    for (const row of database.prepare(`SELECT * FROM "${name}"`).all()) take(row)
  database.close()
  return texts
}

/** A whole flow with every kind of credential; each, by what it is. */
async function everything(
  t: TestContext,
): Promise<{ started: Started; secrets: Map<string, string>; client: { client_id: string; client_secret: string; redirect_uri: string } }> {
  const td = await startTrustDomain(t, 'example.org')
  const config = { limits: unhurried, spiffe: { trust_domains: { 'example.org': td.source } } }
  const started = await start(t, { policy: withRegistration({ confidential: true }), config })
  const { alice, issuer, clock } = started
  const made = await alice.register({ token_endpoint_auth_method: 'client_secret_basic' })
  const client = { ...made, client_secret: String(made.client_secret) }
  const first = await alice.signIn(client, { ...wiki, scope: 'wiki:read openid offline_access' })
  const second = await alice.refresh(client, first)
  const identity = await alice.signIn(client, { scope: 'openid email' })
  const opaque = await alice.signIn(client, { resource: 'http://localhost:8491/mcp', scope: 'notes:read' })
  const spare = await alice.code(client, wiki)
  const page = await alice.authorize(client, { ...wiki, prompt: 'consent' })
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const key = newPair()
  const { client_id: signer } = await alice.register({ token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [jwkOf(key)] } })
  const assertion = jwtBy(key, assertionClaims(signer, issuer, clock.now()))
  const svid = td.svid('/builder', { aud: issuer, exp: clock.now() + 3600 })
  for (const proof of [asserted(assertion), asserted(svid, jwtSpiffe)])
    for (const status of [200, proof.client_assertion === svid ? 200 : 401])
      assert.equal((await alice.send('/introspect', { form: { token: 'x', ...proof } })).status, status)
  const secrets = new Map([
    ['client assertion', assertion],
    ['JWT-SVID', svid],
    ['client_secret', client.client_secret],
    ['registration_access_token', String(made.registration_access_token)],
    ['access token', first.access_token],
    ['another access token', second.access_token],
    ['identity access token', identity.access_token],
    ['opaque access token', opaque.access_token],
    ['ID token', String(first.id_token)],
    ['spent refresh token', String(first.refresh_token)],
    ['refresh token', String(second.refresh_token)],
    ['unused code', spare.code],
    ['code_verifier', spare.code_verifier],
    ['ticket', ticketOf(page)],
    ['secret of a client of the policy', grafana.client_secret],
  ])

  // Each in wrong places too, for errors are where secrets are told.
  for (const secret of secrets.values()) {
    const authorization = `Bearer ${secret}`
    await alice.send('/userinfo', { headers: { authorization } })
    await alice.send(`/register/${secret}`, { headers: { authorization } })
    await alice.send('/register', { json: { client_name: secret.slice(0, 100), redirect_uris: [], client_secret: secret } })
    await alice.send(`/authorize?client_id=${client.client_id}&redirect_uri=${secret}`, { headers: { accept: 'text/html' } })
    await alice.send(`/nothing/${secret}?token=${secret}`)
    await alice.send('/consent', {
      form: { ticket: `${secret}x`, decision: 'approve' },
      headers: { origin: new URL(started.issuer).origin },
    })
    for (const path of ['/introspect', '/revoke', '/token'])
      await alice.send(path, {
        form: {
          grant_type: 'refresh_token',
          refresh_token: `${secret}x`,
          token: `${secret}x`,
          code: secret,
          client_id: client.client_id,
          client_secret: `${secret}x`,
        },
      })
    for (const type of [jwtBearer, jwtSpiffe])
      await alice.send('/token', { form: { grant_type: 'client_credentials', ...asserted(`${secret}x`, type) } })
  }
  return { started, secrets, client }
}

test('RFC 9700 §4.3: nothing secret is in a log line, in the database or in a file that others can read, also after errors of every kind [threats 448]', async (t) => {
  const { started, secrets } = await everything(t)
  assert.ok(started.logged.length > 50)
  const lines = started.logged.map(({ fields, message }) => `${message} ${inspect(fields, { depth: 20, maxStringLength: null })}`)
  const { state_directory } = started.config
  const files = readdirSync(state_directory).filter((name) => name.startsWith('meshidp.db'))
  assert.ok(files.length > 0)
  const stored = files.map((name) => readFileSync(join(state_directory, name), 'latin1')).join('\n')
  assert.ok(stored.includes('alice@example.com'), 'the database was read')
  for (const [name, secret] of secrets) {
    // A JWT's last third is what makes it worth something; of all others, what follows the prefix.
    const core = secret.split('.').at(-1)?.slice(-22) ?? secret
    assert.deepEqual(
      lines.filter((line) => line.includes(core)),
      [],
      `${name} is in the log`,
    )
    assert.equal(stored.includes(core), false, `${name} is in the database`)
  }
})

test('RFC 6749 §10.3: no value of a stolen database is a credential, wherever it is tried [threats 469]', async (t) => {
  const { started, secrets, client } = await everything(t)
  const { alice, bob, issuer } = started
  const texts = [...textsOf(join(started.config.state_directory, 'meshidp.db'))].filter(
    (text) => text.length >= 16 && text.length < 1000 && /^[\x21-\x7e]+$/.test(text),
  )
  assert.ok(texts.length > 40, `${texts.length} values`)
  const { client_id, redirect_uri } = client
  const server = policyClient(started, 'wiki-server')
  const basic = (id: string, secret: string) => ({ authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` })
  const asClient = basic(client_id, client.client_secret)

  for (const text of texts) {
    const bearer = { authorization: `Bearer ${text}` }
    const isRefused = (status: number) => status === (/^[\w\-.~+/]+=*$/.test(text) ? 401 : 400) // RFC 6750 §3.1: what can be no token is a malformed request
    const tried: [string, Promise<{ status: number; text: string }>, (status: number, answer: string) => boolean][] = [
      ['userinfo', alice.send('/userinfo', { headers: bearer }), isRefused],
      ['management', alice.send(`/register/${client_id}`, { headers: bearer }), isRefused],
      [
        'refresh',
        alice.send('/token', { form: { grant_type: 'refresh_token', refresh_token: text }, headers: asClient }),
        (status) => status === 400,
      ],
      [
        'code',
        alice.send('/token', {
          form: { grant_type: 'authorization_code', code: text, redirect_uri, code_verifier: text },
          headers: asClient,
        }),
        (status) => status === 400,
      ],
      [
        'introspection',
        alice.send('/introspect', { form: { token: text }, headers: basic(server.client_id, server.client_secret) }),
        (_, answer) => answer === '{"active":false}',
      ],
      ['client secret', alice.send('/introspect', { form: { token: 'x' }, headers: basic(client_id, text) }), (status) => status === 401],
      [
        'policy client',
        alice.send('/introspect', { form: { token: 'x', client_id: 'client:grafana', client_secret: text } }),
        (status) => status === 401,
      ],
      [
        'ticket',
        alice.send('/consent', {
          form: { ticket: text, decision: 'approve' },
          headers: { origin: new URL(issuer).origin, accept: 'text/html' },
        }),
        (status) => status === 400,
      ],
    ]
    for (const [where, asked, refused] of tried) {
      const { status, text: answer } = await asked
      assert.ok(refused(status, answer), `${text} at ${where}: ${status} ${answer.slice(0, 300)}`)
    }
  }
  const refresh_token = String(secrets.get('refresh token'))
  assert.ok((await alice.refresh(client, { refresh_token })).access_token, 'and none of that spent what is good')
  assert.equal((await bob.send('/userinfo', { headers: { authorization: `Bearer ${secrets.get('identity access token')}` } })).status, 200)
})
