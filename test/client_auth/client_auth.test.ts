import assert from 'node:assert/strict'
import { test } from 'node:test'
import { grafanaCallback, policyClient, wiki } from '../support/example_policy.ts'
import type { TestClient } from '../support/person.ts'
import { type Started, start } from '../support/start.ts'
import { assertRefused, basicOf, confidentialToo, post, spendable } from '../support/token_request.ts'

const assertion = {
  client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
  client_assertion: 'eyJhbGciOiJub25lIn0.e30.',
}

/** A public, a Basic and a post client, each with a code of alice's that is good. */
async function threeClients({ alice }: Started) {
  const register = (token_endpoint_auth_method: string) => alice.register({ token_endpoint_auth_method })
  const clients = { none: await register('none'), basic: await register('client_secret_basic'), post: await register('client_secret_post') }
  const codeOf = async (client: TestClient) => ({ grant_type: 'authorization_code', ...(await alice.code(client, wiki)) })
  return { clients, codes: { none: await codeOf(clients.none), basic: await codeOf(clients.basic), post: await codeOf(clients.post) } }
}

test('RFC 7591 §2: a client authenticates by the one method that it registered, by no other and not by nothing [threats 103, 104]', async (t) => {
  const started = await start(t, { policy: confidentialToo })
  const { alice } = started
  const { clients, codes } = await threeClients(started)
  const before = await spendable(started)
  const header = ({ client_id, client_secret = 'mis_guess' }: TestClient) => basicOf(`${client_id}:${client_secret}`)
  const body = ({ client_id, client_secret = 'mis_guess' }: TestClient) => ({ client_id, client_secret })

  const refused: [string, Record<string, string>, Record<string, string>?][] = [
    ['a public client with a secret in the header', codes.none, header(clients.none)],
    ['a public client with a secret in the body', { ...codes.none, ...body(clients.none) }],
    ['a public client with an empty secret in the header', codes.none, basicOf(`${clients.none.client_id}:`)],
    ['a public client with an assertion', { ...codes.none, client_id: clients.none.client_id, ...assertion }],
    ['a Basic client without secret, with PKCE', { ...codes.basic, client_id: clients.basic.client_id }],
    ['a Basic client with an empty secret', { ...codes.basic, client_id: clients.basic.client_id, client_secret: '' }],
    ['a Basic client with its secret in the body', { ...codes.basic, ...body(clients.basic) }],
    ['a Basic client with a wrong secret', codes.basic, header({ ...clients.basic, client_secret: `${clients.basic.client_secret}x` })],
    ['a Basic client with the secret of another', codes.basic, basicOf(`${clients.basic.client_id}:${clients.post.client_secret}`)],
    ['a Basic client with an assertion', { ...codes.basic, client_id: clients.basic.client_id, ...assertion }],
    ['a post client without secret, with PKCE', { ...codes.post, client_id: clients.post.client_id }],
    ['a post client with its secret in the header', codes.post, header(clients.post)],
    ['a post client with a wrong secret', { ...codes.post, client_id: clients.post.client_id, client_secret: 'mis_wrong' }],
    ['nobody at all', codes.none],
    ['only an assertion', { ...codes.none, ...assertion }],
    ['only a client_assertion_type', { ...codes.none, client_assertion_type: assertion.client_assertion_type }],
    ['somebody unknown', { ...codes.none, client_id: 'dcr_unknown' }],
    ['somebody with a prototype', { ...codes.none, client_id: '__proto__' }],
  ]
  for (const [who, form, headers = {}] of refused) {
    const answer = await post(alice, form, headers)
    assert.equal(answer.status, 401, who)
    assertRefused(answer, 'invalid_client', 401)
    assert.equal(answer.headers['www-authenticate'] !== undefined, headers.authorization !== undefined, who)
    if (form.client_assertion_type) assert.match(answer.text, /assertion|private_key_jwt/, who)
  }
  assert.deepEqual(await spendable(started), before)

  assert.equal((await post(alice, { ...codes.none, client_id: clients.none.client_id, client_secret: '' })).status, 200) // RFC 6749 §3.1: empty is left out
  assert.equal((await post(alice, { ...codes.basic, client_id: clients.basic.client_id }, header(clients.basic))).status, 200)
  assert.equal((await post(alice, { ...codes.post, ...body(clients.post) })).status, 200)
})

test('RFC 6749 §2.3: a client of the policy with a secret proves itself either way, and never goes without [threats 104]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const { client_id, client_secret = '' } = grafana
  const refresh = { grant_type: 'refresh_token', refresh_token: 'mir_x' }
  assertRefused(await post(alice, { ...refresh, client_id, client_secret }), 'invalid_grant')
  assertRefused(await post(alice, refresh, basicOf(`${client_id}:${client_secret}`)), 'invalid_grant')
  for (const form of [{ client_id }, { client_id, client_secret: '' }, { client_id, client_secret: client_secret.slice(0, -1) }])
    assertRefused(await post(alice, { ...refresh, ...form }), 'invalid_client', 401)
})

test('RFC 6749 §2.3: two methods at once are refused, whatever they prove [threats 101]', async (t) => {
  const started = await start(t, { policy: confidentialToo })
  const { alice } = started
  const { clients, codes } = await threeClients(started)
  const before = await spendable(started)
  const { client_id, client_secret = '' } = clients.basic
  const header = basicOf(`${client_id}:${client_secret}`)
  const twice: [Record<string, string>, Record<string, string>?][] = [
    [{ ...codes.basic, client_id, client_secret }, header],
    [{ ...codes.basic, client_secret }, header],
    [{ ...codes.basic, ...assertion }, header],
    [{ ...codes.basic, client_assertion: 'x' }, header],
    [{ ...codes.basic, client_id, client_secret, ...assertion }],
    [{ ...codes.basic, client_id: clients.post.client_id }, header],
    [{ ...codes.basic, client_id: clients.none.client_id }, header],
  ]
  for (const [form, headers = {}] of twice) assertRefused(await post(alice, form, headers), 'invalid_request')
  assert.deepEqual(await spendable(started), before)
})

test('RFC 7591 §3.2.1: a secret lives as long as its client: it never expires by itself, and ends with a registration that nobody uses [threats 106]', async (t) => {
  const started = await start(t, { policy: confidentialToo })
  const { alice, clock } = started
  const registration = await alice.send('/register', {
    json: {
      client_name: 'Confidential',
      redirect_uris: ['http://127.0.0.1:9/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
    },
  })
  const { client_id, client_secret, client_secret_expires_at } = registration.json() as {
    client_id: string
    client_secret: string
    client_secret_expires_at: number
  }
  assert.equal(client_secret_expires_at, 0)
  const client = { client_id, client_secret, redirect_uri: 'http://127.0.0.1:9/callback' }
  let tokens = await alice.signIn(client, wiki)
  for (let used = 0; used < 3; used++) {
    clock.advance({ days: 29 })
    tokens = await alice.refresh(client, tokens)
  }
  clock.advance({ days: 30 })
  await assert.rejects(alice.refresh(client, tokens), { error: 'invalid_client', status: 401 })
})
