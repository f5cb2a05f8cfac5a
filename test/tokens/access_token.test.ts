import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wiki } from '../support/example_policy.ts'
import { start } from '../support/start.ts'

const partOf = (token: string, index: number) => JSON.parse(Buffer.from(token.split('.')[index] ?? '', 'base64url').toString())

test('RFC 9068 §2: an access token says what it is, from whom, for whom alone, and which one [threats 244]', async (t) => {
  const { alice, issuer } = await start(t)
  const client = await alice.register()
  const first = await alice.signIn(client, wiki)
  const tokens = [
    first.access_token,
    (await alice.refresh(client, first)).access_token,
    (await alice.signIn(client, { scope: 'openid' })).access_token,
  ]
  for (const token of tokens) {
    assert.equal(partOf(token, 0).typ, 'at+jwt')
    const { iss, aud, sub, client_id, exp, iat, jti } = partOf(token, 1)
    assert.deepEqual([iss, sub, client_id], [issuer, 'userid:101', client.client_id])
    assert.equal(aud, token === tokens.at(-1) ? issuer : wiki.resource)
    assert.ok(exp > iat && typeof jti === 'string' && jti.length >= 16)
  }
  assert.equal(new Set(tokens.map((token) => partOf(token, 1).jti)).size, tokens.length)
})
