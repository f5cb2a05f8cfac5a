import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { grafanaCallback, policyClient } from '../support/example_policy.ts'
import { start } from '../support/start.ts'
import { assertRefused, basicOf, editedPolicy, post } from '../support/token_request.ts'

/** Answered `invalid_grant` where the client is proven: the token itself is nobody's. */
const anyRefresh = { grant_type: 'refresh_token', refresh_token: 'mir_x' }

test('RFC 7617 §2: a malformed Basic header is 401 with a challenge, never 500 [threats 107]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const { client_id, client_secret } = policyClient(started, 'grafana', grafanaCallback)
  const good = Buffer.from(`${client_id}:${client_secret}`).toString('base64')
  const malformed = [
    'Basic',
    'Basic a b',
    `Basic ${good} ${good}`,
    `Basic ${good}!`,
    `Basic !${good}`,
    `Basic ${good.replace(/=*$/, '')}A`,
    `Basic ${good.replace(/=*$/, '')}====`,
    `Basic ${Buffer.from('nocolon').toString('base64')}`,
    `Basic ${Buffer.from(':no-id').toString('base64')}`,
    `Basic ${Buffer.from('client:grafana').toString('base64')}`, // the colon of its name is none of Basic's
    `Basic ${Buffer.from('client%3Agrafana:%').toString('base64')}`,
    `Basic ${Buffer.from('client%3Agrafana:%zz').toString('base64')}`,
    `Basic ${Buffer.from('client%3Agrafana:%ff%fe').toString('base64')}`,
    `Basic ${Buffer.from([0xff, 0xfe, 0x3a, 0xff]).toString('base64')}`,
    `Basic ${Buffer.from('a\0b:c').toString('base64')}`,
    `Basic ${'A'.repeat(8000)}`,
    `Basic ${good.replaceAll('=', '')}=`.replace(/=$/, good.endsWith('=') ? '' : '='),
    `Basic\t${good}`,
    `Basi ${good}`,
    'Bearer abc',
    'Digest username="x"',
    '=',
  ]
  for (const pair of ['nocolon', ':no-id', 'client:grafana', 'client:'])
    assert.match((await post(alice, anyRefresh, basicOf(pair))).text, /not well-formed/, pair)
  for (const authorization of malformed) {
    const answer = await post(alice, anyRefresh, { authorization })
    assertRefused(answer, 'invalid_client', 401)
    assert.match(String(answer.headers['www-authenticate']), /^Basic realm=/, authorization)
    // A client_id in the body makes nothing better: the header is not overlooked.
    const named = await post(alice, { ...anyRefresh, client_id }, { authorization })
    assert.ok(['invalid_client', 'invalid_request'].includes(String(named.json().error)), named.text)
  }
  assertRefused(await post(alice, anyRefresh, { authorization: `bAsIc ${good}` }), 'invalid_grant')
})

test('RFC 4648 §3.5: one base64 text for one pair of id and secret [threats 107, 122]', async (t) => {
  const { alice } = await start(t)
  // One byte left over: four bits of the last letter mean nothing, and must be zero.
  assertRefused(await post(alice, anyRefresh, { authorization: 'Basic YTpiYw==' }), 'invalid_client', 401)
  const words = async (authorization: string) => String((await post(alice, anyRefresh, { authorization })).json().error_description)
  assert.match(await words('Basic YTpiYw=='), /not known here/)
  for (const twin of ['YTpiYx==', 'YTpiYz==', 'YTpiY/==']) assert.match(await words(`Basic ${twin}`), /not well-formed/)
})

test('RFC 6749 Appendix B: id and secret are decoded once; a colon in the name of a policy client needs no encoding [threats 109]', async (t) => {
  const started = await start(t)
  const { alice, config, setPolicy } = started
  const secret = 'p%41ss:w+rd & é/="?😀'
  writeFileSync(join(config.secrets_directory, 'odd'), secret, { mode: 0o600 })
  const loaded = setPolicy(editedPolicy(['"clients": {', '"clients": { "client:odd": { "client_secret_file": "odd" },']))
  assert.ok(loaded.ok)
  const form = (text: string) => encodeURIComponent(text).replaceAll('%20', '+')
  const once = form(secret)

  const proven = [
    `client:odd:${once}`,
    `client%3Aodd:${once}`,
    `client%3aodd:${once}`,
    `client:odd:${encodeURIComponent(secret)}`,
    `%63lient%3Aodd:${once}`,
  ]
  for (const pair of proven) assertRefused(await post(alice, anyRefresh, basicOf(pair)), 'invalid_grant')
  for (const pair of [
    `client:odd:${form(once)}`,
    `client%253Aodd:${once}`,
    `client:odd:${form(secret.replace('%41', 'A'))}`,
    `odd:${once}`,
    `client::odd:${once}`,
  ])
    assertRefused(await post(alice, anyRefresh, basicOf(pair)), 'invalid_client', 401)

  const grafana = policyClient(started, 'grafana', grafanaCallback)
  for (const pair of [`client:grafana:${grafana.client_secret}`, `client%3Agrafana:${grafana.client_secret}`])
    assertRefused(await post(alice, anyRefresh, basicOf(pair)), 'invalid_grant')
})
