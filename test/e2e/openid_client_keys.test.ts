import assert from 'node:assert/strict'
import type { webcrypto } from 'node:crypto'
import { test } from 'node:test'
import * as oidc from 'openid-client'
import { authorize } from '../../examples/demo/person.ts'
import { changedPolicy, wiki } from '../support/example_policy.ts'
import { start } from '../support/start.ts'
import { browserOf } from './servers.ts'

const client_id = 'client:signer'
const redirect_uri = 'http://127.0.0.1:9/callback'

/** A key pair as a browser's or Node's Web Cryptography makes it, and its public half for the policy. */
async function newKey(algorithm: webcrypto.RsaHashedKeyGenParams | webcrypto.EcKeyGenParams | webcrypto.Algorithm, kid: string) {
  const pair = (await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair
  const jwk = await crypto.subtle.exportKey('jwk', pair.publicKey)
  return { key: pair.privateKey, kid, jwk: { ...jwk, kid } }
}

test('openid-client 6: private_key_jwt (RFC 7523 §2.2), by each kind of key: code flow, refresh, introspection, revocation, client credentials', async (t) => {
  const keys = [
    await newKey({ name: 'ECDSA', namedCurve: 'P-256' }, 'ec'),
    await newKey({ name: 'RSA-PSS', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' }, 'pss'),
    await newKey({ name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-512' }, 'rsa'),
    await newKey({ name: 'Ed25519' }, 'ed'),
  ]
  const policy = changedPolicy(({ clients, grants }) => {
    clients[client_id] = { redirect_uris: [redirect_uri], jwks: { keys: keys.map(({ jwk }) => jwk) } }
    const scopes = ['wiki:read']
    grants.push({ src: ['*'], dst: ['resource:wiki'], app: { authorize: [{ scopes, clients: [client_id], consent: 'never' }] } })
    grants.push({ src: [client_id], dst: ['resource:wiki'], app: { client_credentials: [{ scopes }] } })
  })
  const { issuer } = await start(t, { policy })
  for (const { key, kid } of keys) {
    // The library's own switch for an issuer on http, which here is on this computer.
    const config = await oidc.discovery(new URL(issuer), client_id, undefined, oidc.PrivateKeyJwt({ key, kid }), {
      execute: [oidc.allowInsecureRequests],
    })
    const pkceCodeVerifier = oidc.randomPKCECodeVerifier()
    const expectedState = oidc.randomState()
    const url = oidc.buildAuthorizationUrl(config, {
      ...wiki,
      redirect_uri,
      state: expectedState,
      code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    })
    const { location } = await authorize(browserOf(t), url)
    const tokens = await oidc.authorizationCodeGrant(config, location, { pkceCodeVerifier, expectedState })
    const refreshed = await oidc.refreshTokenGrant(config, String(tokens.refresh_token))
    assert.equal((await oidc.tokenIntrospection(config, refreshed.access_token)).active, true, kid)
    await oidc.tokenRevocation(config, String(refreshed.refresh_token))
    assert.equal((await oidc.tokenIntrospection(config, refreshed.access_token)).active, false, kid)

    const own = await oidc.clientCredentialsGrant(config, wiki)
    const { sub, active, scope } = await oidc.tokenIntrospection(config, own.access_token)
    assert.deepEqual({ sub, active, scope }, { sub: client_id, active: true, scope: 'wiki:read' }, kid)
  }
  const stranger = await newKey({ name: 'ECDSA', namedCurve: 'P-256' }, 'ec')
  const config = await oidc.discovery(new URL(issuer), client_id, undefined, oidc.PrivateKeyJwt(stranger), {
    execute: [oidc.allowInsecureRequests],
  })
  await assert.rejects(oidc.clientCredentialsGrant(config, wiki), { error: 'invalid_client' })
})
