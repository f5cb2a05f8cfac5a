import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rulesOf } from '../../src/janitor.ts'
import { pruneExpired } from '../../src/store/prune.ts'
import { policyClient, wiki } from '../support/example_policy.ts'
import { until } from '../support/local_api.ts'
import type { Answer, Person, Refusal, TestClient } from '../support/person.ts'
import { start } from '../support/start.ts'

const revoke = (person: Person, { client_id }: TestClient, token: unknown, more: Record<string, string> = {}) =>
  person.send('/revoke', { form: { client_id, token: String(token), ...more } })

function done(answer: Answer, label = ''): void {
  assert.deepEqual([answer.status, answer.text, answer.headers['cache-control']], [200, '', 'no-store'], label)
}

const dead = (error: Refusal) => error.error === 'invalid_grant'

test('RFC 7009 §2.1: a revoked refresh token ends all that came from its sign-in; a revoked access token ends only itself [threats 302]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const server = policyClient(started, 'wiki-server')
  const client = await alice.register()
  const first = await alice.signIn(client, wiki)
  done(await revoke(alice, client, first.access_token))
  assert.equal((await alice.introspect(server, first.access_token)).active, false)
  const second = await alice.refresh(client, first)
  assert.equal((await alice.introspect(server, second.access_token)).active, true)

  const other = await alice.signIn(client, wiki)
  done(await revoke(alice, client, second.refresh_token))
  assert.equal((await alice.introspect(server, second.access_token)).active, false)
  await assert.rejects(alice.refresh(client, second), dead)
  await assert.rejects(alice.refresh(client, first), dead)
  assert.equal((await alice.introspect(server, other.access_token)).active, true, 'another sign-in lives on')

  const again = await started.restart()
  await assert.rejects(again.alice.refresh(client, second), dead)
  assert.equal((await again.alice.introspect(server, first.access_token)).active, false)
  await again.alice.refresh(client, other)
})

test('RFC 7009 §2.1: a spent refresh token speaks for its sign-in as well, also when its own row is long gone', async (t) => {
  const { alice, clock, daemon } = await start(t)
  const client = await alice.register()
  const first = await alice.signIn(client, wiki)
  const second = await alice.refresh(client, first)
  clock.advance({ days: 2 })
  await pruneExpired(daemon.deps.store.engine, rulesOf(daemon.deps), clock.now())
  done(await revoke(alice, client, first.refresh_token))
  await assert.rejects(alice.refresh(client, second), dead)
})

test('RFC 7009 §2.2: an unknown, malformed or already revoked token is 200; a hint is only a hint [threats 295, 301]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  const spoiled = String(tokens.refresh_token)
  for (const token of [
    'x',
    'mir_',
    'mir_x',
    `${spoiled}x`,
    spoiled.slice(0, -1),
    spoiled.toLowerCase(),
    tokens.access_token.slice(0, -2),
    'a.b.c',
    'x'.repeat(20_000),
    tokens.id_token,
  ])
    done(await revoke(alice, client, token), String(token).slice(0, 60))
  assert.equal((await alice.introspect(policyClient(started, 'wiki-server'), tokens.access_token)).active, true)
  for (const token_type_hint of ['access_token', 'refresh_token', 'unknown', 'constructor'])
    for (const token of [tokens.access_token, tokens.refresh_token]) done(await revoke(alice, client, token, { token_type_hint }))
  await assert.rejects(alice.refresh(client, tokens), dead)
})

test('RFC 7009 §2.1: a client revokes what was issued to it, and leaves the tokens of others alone', async (t) => {
  const started = await start(t)
  const { alice, bob } = started
  const [mine, theirs] = [await alice.register(), await bob.register()]
  const tokens = await alice.signIn(mine, wiki)
  for (const client of [theirs, policyClient(started, 'wiki-server')])
    for (const token of [tokens.access_token, tokens.refresh_token]) {
      const { client_secret } = client as TestClient
      done(await revoke(bob, client, token, client_secret === undefined ? {} : { client_secret }))
    }
  assert.equal((await alice.introspect(policyClient(started, 'wiki-server'), tokens.access_token)).active, true)
  await alice.refresh(mine, tokens)
})

test('RFC 7009 §2: the client must be known and prove itself; only POST of a form is read', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  const token = String(tokens.refresh_token)
  for (const form of [
    { token },
    { token, client_id: 'dcr_nobody' },
    { token, client_id: 'client:wiki-server' },
    { token, client_id: 'client:wiki-server', client_secret: 'x' },
    { token, client_id: client.client_id, client_secret: 'x' },
  ]) {
    const answer = await alice.send('/revoke', { form })
    assert.deepEqual(
      [answer.status, answer.json().error, answer.headers['cache-control']],
      [401, 'invalid_client', 'no-store'],
      JSON.stringify(form),
    )
  }
  const missing = await alice.send('/revoke', { form: { client_id: client.client_id } })
  assert.deepEqual([missing.status, missing.json().error], [400, 'invalid_request'])
  for (const method of ['GET', 'PUT', 'DELETE']) {
    const answer = await alice.send(`/revoke?client_id=${client.client_id}&token=${token}`, { method })
    assert.deepEqual([answer.status, answer.headers.allow], [405, 'POST, OPTIONS'], method)
  }
  assert.equal((await alice.send('/revoke', { json: { client_id: client.client_id, token } })).status, 415)
  assert.equal((await alice.send(`/revoke?token=${token}`, { form: { client_id: client.client_id } })).status, 400)
  await alice.refresh(client, tokens)
  const page = await alice.send('/revoke', {
    form: { client_id: client.client_id, token: 'x' },
    headers: { origin: 'https://app.example.com' },
  })
  assert.deepEqual([page.headers['access-control-allow-origin'], page.headers['access-control-allow-credentials']], ['*', undefined])
})

test('a token can be revoked while the mesh is dark', async (t) => {
  const started = await start(t)
  const { alice, mesh } = started
  const client = await alice.register()
  const [first, second] = [await alice.signIn(client, wiki), await alice.signIn(client, wiki)]
  mesh.change({ state: 'Stopped' })
  await until(async () => (await alice.send('/readyz')).status === 503)
  done(await revoke(alice, client, first.refresh_token))
  done(await revoke(alice, client, second.access_token))
  mesh.change({ state: 'Running' })
  await until(async () => (await alice.send('/readyz')).status === 200)
  await assert.rejects(alice.refresh(client, first), dead)
  assert.equal((await alice.introspect(policyClient(started, 'wiki-server'), second.access_token)).active, false)
})

test('RFC 7009 §2.2.1: while the store is down 503 with Retry-After: the token must be taken to live [threats 304]', async (t) => {
  const started = await start(t)
  const { alice, daemon } = started
  const server = policyClient(started, 'grafana', 'http://localhost:3000/login/generic_oauth')
  const tokens = await alice.signIn(server, { scope: 'openid offline_access' })
  await daemon.deps.store.engine.close()
  for (const token of [tokens.access_token, tokens.refresh_token]) {
    const answer = await revoke(alice, server, token, { client_secret: server.client_secret })
    assert.deepEqual([answer.status, answer.json().error], [503, 'temporarily_unavailable'])
    assert.match(String(answer.headers['retry-after']), /^\d+$/)
  }
  const again = await started.restart()
  await again.alice.refresh(server, tokens)
})
