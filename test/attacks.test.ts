/** Attacks that found something once, between two pieces that were each right. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { deleteUnused } from '../src/janitor.ts'
import { changedPolicy, grafanaCallback, policyClient, wiki } from './support/example_policy.ts'
import { challengeOf, formText, newVerifier } from './support/person.ts'
import { start } from './support/start.ts'

test('CWE-770: a connection that asks on and on and reads nothing is ended, and others are answered [threats 418]', async (t) => {
  const { alice, issuer } = await start(t)
  const { host, port } = new URL(issuer)
  const socket = connect(Number(port), '127.0.0.1')
  const ended = new Promise((resolve) => socket.once('close', resolve).once('error', resolve))
  socket.pause()
  socket.write(`GET /.well-known/openid-configuration HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(5000))
  const answer = await alice.send('/healthz')
  assert.equal(answer.status, 200)
  socket.resume()
  await ended
})

test('A client that registered itself and is named in the policy since is not signed out by its old registration', async (t) => {
  const started = await start(t)
  const { alice, clock, daemon } = started
  const client = await alice.register()
  const named = changedPolicy((policy) => {
    policy.clients['client:tool'] = { client_id: client.client_id, redirect_uris: [client.redirect_uri] }
  })
  assert.equal(started.setPolicy(named).ok, true)
  let tokens = await alice.signIn(client, wiki)
  for (let days = 0; days < 32; days += 8) {
    clock.advance({ days: 8 })
    tokens = await alice.refresh(client, tokens)
    await deleteUnused(daemon.deps)
  }
  const registration = { headers: { authorization: `Bearer ${client.registration_access_token}` } }
  assert.equal((await alice.send(`/register/${client.client_id}`, { method: 'DELETE', ...registration })).status, 401)
  assert.ok(await alice.refresh(client, tokens))
})

test('A policy client with a secret keeps it, also where its client_id is an https URL', async (t) => {
  const url = 'https://wiki.example.com/mcp'
  const started = await start(t, {
    policy: changedPolicy((policy) => {
      policy.clients['client:wiki-server'] = { client_id: url, client_secret_file: 'wiki-server' }
    }),
  })
  const { alice } = started
  const { access_token } = await alice.signIn(await alice.register(), wiki)
  const server = { ...policyClient(started, 'wiki-server'), client_id: encodeURIComponent(url) }
  assert.equal((await alice.introspect(server, access_token)).active, true)
  const refused = await alice.send('/introspect', { form: { token: access_token, client_id: url } })
  assert.equal(refused.status, 401)
})

test('One person who is refused fills no disk, whatever scopes they make up [threats 53]', async (t) => {
  const { mallory, daemon } = await start(t)
  const grafana = { client_id: 'client:grafana', redirect_uri: grafanaCallback }
  for (let number = 0; number < 50; number++) {
    await mallory.authorize(grafana, { scope: `openid made-up-${number}` })
    await mallory.authorize(grafana, { scope: number % 2 ? 'openid email' : 'openid profile groups' })
  }
  const rows = await daemon.deps.store.engine.all("SELECT id FROM decisions WHERE outcome = 'denied' LIMIT 100", {})
  assert.ok(rows.length <= 2, `${rows.length} rows`)
})

test('RFC 6749 §5.2: a program that would also take HTML gets its refusal as JSON', async (t) => {
  const { alice } = await start(t)
  const headers = { accept: 'text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2' }
  for (const path of ['/token', '/introspect', '/revoke', '/userinfo']) {
    const answer = await alice.send(path, { method: 'POST', form: { a: 'b' }, headers })
    assert.match(String(answer.headers['content-type']), /^application\/json/, path)
    assert.ok(answer.json().error)
  }
})

test('A request that ends in the middle of its body is no fault of ours', async (t) => {
  const { alice, issuer, logged } = await start(t)
  const { host, port } = new URL(issuer)
  const gone = connect(Number(port), '127.0.0.1')
  gone.write(`POST /token HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 50\r\n\r\nabc`)
  await new Promise((resolve) => setTimeout(resolve, 50))
  gone.destroy()
  await alice.send('/healthz')
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.deepEqual(
    logged.filter(({ level }) => level === 'error'),
    [],
  )
})

test('RFC 9110 §5.3: Authorization and Content-Type are there once, or the request is refused', async (t) => {
  const { alice } = await start(t)
  for (const name of ['authorization', 'content-type']) {
    const answer = await alice.send('/token', {
      method: 'POST',
      raw: 'a=b',
      headers: { [name]: ['application/x-www-form-urlencoded', 'text/plain'] },
    })
    assert.deepEqual([answer.status, answer.json().error], [400, 'invalid_request'], name)
  }
})

test('A sign-in whose code nobody redeemed is no authorization that lives', async (t) => {
  const { alice, clock, daemon } = await start(t)
  const client = await alice.register()
  const code_verifier = newVerifier()
  const page = await alice.send(
    `/authorize?${formText({ response_type: 'code', client_id: client.client_id, redirect_uri: client.redirect_uri, ...wiki, code_challenge: challengeOf(code_verifier), code_challenge_method: 'S256' })}`,
  )
  assert.equal((await alice.answer(page, 'approve')).status, 303)
  const { store, now } = daemon.deps
  assert.equal((await store.authorizations.list(now())).length, 1)
  clock.advance({ seconds: 61 })
  assert.equal((await store.authorizations.list(now())).length, 0)
})
