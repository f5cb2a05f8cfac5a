import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { freePorts } from '../../examples/demo/free_ports.ts'
import { startMcpServer } from '../../examples/mcp-server/server.ts'
import { call } from './call.ts'
import { startWithServers } from './servers.ts'

/** Alice's tokens for the wiki and the notes. */
async function withTokens(t: TestContext) {
  const all = await startWithServers(t)
  const { alice } = all.started
  const client = await alice.register()
  const wikiTokens = await alice.signIn(client, { resource: all.wiki, scope: 'wiki:read' })
  const notesTokens = await alice.signIn(client, { resource: all.notes, scope: 'notes:read' })
  return { ...all, alice, client, wikiTokens, notesTokens }
}

test('RFC 9728 §3, §5.1: the example server says whom to ask for tokens, at both well-known addresses and in its challenge', async (t) => {
  const { started, wiki } = await startWithServers(t)
  const { origin } = new URL(wiki)
  for (const path of ['/.well-known/oauth-protected-resource/mcp', '/.well-known/oauth-protected-resource']) {
    const metadata = (await (await fetch(origin + path)).json()) as Record<string, unknown>
    assert.equal(metadata.resource, wiki)
    assert.deepEqual(metadata.authorization_servers, [started.issuer])
    assert.deepEqual(metadata.scopes_supported, ['wiki:read'])
  }
  const { status, challenge } = await call(wiki)
  assert.equal(status, 401)
  assert.equal(challenge, `Bearer scope="wiki:read", resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`)
})

test('RFC 9068 §4, RFC 8707 §2: the example server takes access tokens for itself, and nothing else that its authorization server signed', async (t) => {
  const { started, wiki, notes, alice, client, wikiTokens, notesTokens } = await withTokens(t)
  assert.equal((await call(wiki, wikiTokens.access_token)).status, 200)
  assert.equal((await call(notes, notesTokens.access_token)).status, 200)

  const { id_token = '', access_token: forUserinfo } = await alice.signIn(client, { scope: 'openid' })
  const [head, body] = wikiTokens.access_token.split('.')
  const refused: [string, string, string][] = [
    ['a token for the notes at the wiki', wiki, notesTokens.access_token],
    ['a token for the wiki at the notes', notes, wikiTokens.access_token],
    ['a token for userinfo', wiki, forUserinfo],
    ['an ID token', wiki, id_token],
    ['another signature', wiki, `${head}.${body}.${notesTokens.access_token.split('.')[2]}`],
    ['no JWT', wiki, 'nonsense'],
    ['nothing known', notes, 'nonsense'],
    ['a refresh token', notes, notesTokens.refresh_token ?? ''],
  ]
  for (const [what, url, token] of refused) {
    const { status, challenge, body } = await call(url, token)
    assert.equal(status, 401, what)
    assert.match(challenge, /^Bearer error="invalid_token", .*resource_metadata="/, what)
    assert.equal(body.error, 'invalid_token', what)
  }
  started.clock.advance({ minutes: 6 })
  for (const [url, tokens] of [
    [wiki, wikiTokens],
    [notes, notesTokens],
  ] as const)
    assert.equal((await call(url, tokens.access_token)).status, 401)
})

test('RFC 6750 §3.1: a tool whose scope the token has not is 403 insufficient_scope, and the others go on', async (t) => {
  const { wiki, alice, client } = await withTokens(t)
  const { access_token } = await alice.signIn(client, { resource: wiki, scope: 'wiki:write' })
  assert.equal((await call(wiki, access_token)).status, 200)
  const { status, challenge } = await call(wiki, access_token, 'read_page', { page: 'home' })
  assert.equal(status, 403)
  assert.match(challenge, /^Bearer error="insufficient_scope", .*scope="wiki:read"/)
})

test('RFC 7662 §4: an introspecting server keeps an answer for 15 s, and then a revoked token is dead', async (t) => {
  const { started, notes, alice, client, notesTokens } = await withTokens(t)
  assert.equal((await call(notes, notesTokens.access_token)).status, 200)
  const revoked = await alice.send('/revoke', { form: { client_id: client.client_id, token: notesTokens.refresh_token ?? '' } })
  assert.equal(revoked.status, 200)
  started.clock.advance({ seconds: 5 })
  assert.equal((await call(notes, notesTokens.access_token)).status, 200)
  started.clock.advance({ seconds: 10 })
  assert.equal((await call(notes, notesTokens.access_token)).status, 401)
})

test('an authorization server that is away is 503 with Retry-After, never 401; where its keys are known, work goes on', async (t) => {
  const { started, wiki, notes, outages, wikiTokens, notesTokens } = await withTokens(t)
  assert.equal((await call(wiki, wikiTokens.access_token)).status, 200)
  const port = await freePorts(1)
  const fresh = await startMcpServer({ issuer: started.issuer, resource: wiki, scope: 'wiki:read', port, now: started.clock.now })
  t.after(fresh.close)
  await started.close()
  for (const [url, tokens] of [
    [notes, notesTokens],
    [wiki.replace(/:\d+/, `:${port}`), wikiTokens],
  ] as const) {
    const { status, retryAfter, challenge } = await call(url, tokens.access_token)
    assert.deepEqual({ status, retryAfter, challenge }, { status: 503, retryAfter: '5', challenge: '' })
  }
  assert.equal(outages.length, 1)
  assert.equal((await call(wiki, wikiTokens.access_token)).status, 200)

  await started.restart()
  assert.equal((await call(notes, notesTokens.access_token)).status, 200)
})

test('an introspecting server whose own secret is wrong answers 503: no client can mend that by signing in again', async (t) => {
  const { started, notes, notesTokens } = await withTokens(t)
  const port = await freePorts(1)
  const introspect = { client_id: 'client:notes-server', client_secret: 'not the one that it should be' }
  const wrong = await startMcpServer({
    issuer: started.issuer,
    resource: notes,
    scope: 'notes:read',
    port,
    introspect,
    now: started.clock.now,
  })
  t.after(wrong.close)
  assert.equal((await call(notes.replace(/:\d+/, `:${port}`), notesTokens.access_token)).status, 503)
})
