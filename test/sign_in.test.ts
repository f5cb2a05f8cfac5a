import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Started, start } from './support/start.ts'

const wiki = { resource: 'http://localhost:8490/mcp', scope: 'wiki:read' }

/** A client of the example policy, with the secret that the development mode made for it. */
const policyClient = ({ config }: Started, name: string, redirect_uri = '') => ({
  client_id: `client:${name}`,
  client_secret: readFileSync(join(config.secrets_directory, name), 'utf8').trim(),
  redirect_uri,
})

test('OAuth 2.1 §4.1: a registered client signs its user in, refreshes, is introspected, and goes on after a restart', async (t) => {
  const first = await start(t)
  const client = await first.alice.register()
  const tokens = await first.alice.signIn(client, wiki)
  assert.equal(tokens.scope, 'wiki:read')
  assert.equal(tokens.token_type, 'Bearer')
  assert.equal(tokens.expires_in, 300)
  const server = policyClient(first, 'wiki-server')
  const seen = await first.alice.introspect(server, tokens.access_token)
  assert.deepEqual(
    { active: seen.active, username: seen.username, aud: seen.aud, sub: seen.sub },
    { active: true, username: 'alice@example.com', aud: wiki.resource, sub: 'userid:101' },
  )

  const second = await first.restart()
  const refreshed = await second.alice.refresh(client, tokens)
  assert.notEqual(refreshed.refresh_token, tokens.refresh_token)
  assert.equal((await second.alice.introspect(server, tokens.access_token)).active, true)
  assert.equal((await second.alice.introspect(server, refreshed.access_token)).active, true)
})

test('OpenID Connect Core §3.1: a client that an admin named signs in without a page, and userinfo tells what the scopes let out', async (t) => {
  const { alice, ...started } = await start(t)
  const grafana = policyClient({ alice, ...started }, 'grafana', 'http://localhost:3000/login/generic_oauth')
  const tokens = await alice.signIn(grafana, { scope: 'openid profile email groups', nonce: 'n-1' })
  const claims = JSON.parse(Buffer.from(tokens.id_token?.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
  assert.equal(claims.nonce, 'n-1')
  assert.equal(claims.aud, 'client:grafana')
  const answer = await alice.send('/userinfo', { headers: { authorization: `Bearer ${tokens.access_token}` } })
  assert.deepEqual(answer.json(), {
    sub: 'userid:101',
    name: 'Alice Example',
    preferred_username: 'alice@example.com',
    email: 'alice@example.com',
    email_verified: true,
    groups: ['group:eng', 'group:oncall'],
  })
})
