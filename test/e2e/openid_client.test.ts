import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import * as oidc from 'openid-client'
import { authorize } from '../../examples/demo/person.ts'
import { jwkOf, newPair } from '../support/assertion.ts'
import { grafanaCallback, policyClient, wiki } from '../support/example_policy.ts'
import { atWiki, claimsIn, gatewayResource, tokenExchange, tokenType, withGateway } from '../support/exchange.ts'
import { type Started, start } from '../support/start.ts'
import { browserOf } from './servers.ts'

/** The library's own switch for an issuer on http, which here is on this computer. */
const onThisComputer = { execute: [oidc.allowInsecureRequests] }

/** The code flow as its documentation has it: PKCE, state and nonce are checked by the library. */
async function signedIn(t: TestContext, config: oidc.Configuration, parameters: Record<string, string>) {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier()
  const expectedState = oidc.randomState()
  const expectedNonce = oidc.randomNonce()
  const url = oidc.buildAuthorizationUrl(config, {
    ...parameters,
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: expectedState,
    nonce: expectedNonce,
  })
  const { page, location } = await authorize(browserOf(t), url)
  const withIdToken = parameters.scope?.split(' ').includes('openid')
  const tokens = await oidc.authorizationCodeGrant(config, location, {
    pkceCodeVerifier,
    expectedState,
    ...(withIdToken && { expectedNonce, idTokenExpected: true }),
  })
  return { page, tokens }
}

function grafanaOf(started: Started, authentication: typeof oidc.ClientSecretBasic) {
  const { client_id, client_secret } = policyClient(started, 'grafana')
  return oidc.discovery(new URL(started.issuer), client_id, undefined, authentication(client_secret), onThisComputer)
}

test('openid-client 6: discovery, code flow, userinfo, refresh, introspection and revocation, with either way to show a secret', async (t) => {
  const started = await start(t)
  for (const authentication of [oidc.ClientSecretBasic, oidc.ClientSecretPost]) {
    const config = await grafanaOf(started, authentication)
    const { page, tokens } = await signedIn(t, config, {
      redirect_uri: grafanaCallback,
      scope: 'openid profile email groups offline_access',
    })
    assert.equal(page, null, 'the policy trusts this client, so nobody is asked')
    assert.equal(tokens.claims()?.sub, 'userid:101')
    const { sub, email, groups } = await oidc.fetchUserInfo(config, tokens.access_token, 'userid:101')
    assert.deepEqual({ sub, email, groups }, { sub: 'userid:101', email: 'alice@example.com', groups: ['group:eng', 'group:oncall'] })

    const refreshed = await oidc.refreshTokenGrant(config, String(tokens.refresh_token))
    assert.equal(refreshed.claims()?.sub, 'userid:101')
    const { active, username } = await oidc.tokenIntrospection(config, refreshed.access_token)
    assert.deepEqual({ active, username }, { active: true, username: 'alice@example.com' })
    await oidc.tokenRevocation(config, String(refreshed.refresh_token))
    assert.equal((await oidc.tokenIntrospection(config, refreshed.access_token)).active, false)
    await assert.rejects(oidc.refreshTokenGrant(config, String(refreshed.refresh_token)), { error: 'invalid_grant' })
  }
})

test('openid-client 6: registers itself (RFC 7591), signs in to a resource, refreshes, and that token is none for userinfo [threats 263]', async (t) => {
  const { issuer } = await start(t)
  const redirect_uri = 'http://127.0.0.1:9/callback'
  const config = await oidc.dynamicClientRegistration(
    new URL(issuer),
    {
      client_name: 'A web application',
      redirect_uris: [redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    },
    oidc.None(),
    onThisComputer,
  )
  const { page, tokens } = await signedIn(t, config, { redirect_uri, ...wiki })
  assert.match(page?.get('Application') ?? '', /^A web application unverified; self-registered by alice@example\.com$/)
  assert.equal(tokens.scope, 'wiki:read')
  const refreshed = await oidc.refreshTokenGrant(config, String(tokens.refresh_token))
  assert.equal(refreshed.scope, 'wiki:read')
  assert.notEqual(refreshed.refresh_token, tokens.refresh_token)
  await assert.rejects(oidc.fetchUserInfo(config, refreshed.access_token, oidc.skipSubjectCheck), {
    code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE',
  })
})

test('openid-client 6: RFC 8693 §2.1: a gateway exchanges, proven by a secret and by a key; RFC 6749 §4.4: a workload has a token of its own by a secret', async (t) => {
  const pair = newPair('ES256')
  const started = await start(t, {
    policy: withGateway(({ clients }) => Object.assign(clients['client:gateway'] ?? {}, { jwks: { keys: [jwkOf(pair)] } })),
  })
  const { alice, issuer } = started
  const key = pair.privateKey.toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  const bySecret = (name: string) => oidc.ClientSecretBasic(policyClient(started, name).client_secret)
  const { access_token: subject_token } = await alice.signIn(await alice.register(), gatewayResource)
  const form = { subject_token, subject_token_type: tokenType('access_token'), resource: wiki.resource }
  for (const authentication of [bySecret('gateway'), oidc.PrivateKeyJwt({ key, kid: pair.kid })]) {
    const gateway = await oidc.discovery(new URL(issuer), 'client:gateway', undefined, authentication, onThisComputer)
    const exchanged = await oidc.genericGrantRequest(gateway, tokenExchange, form)
    assert.deepEqual([exchanged.issued_token_type, exchanged.scope], [tokenType('access_token'), 'wiki:read'])
    const { active, sub, act } = await atWiki(started, exchanged.access_token)
    assert.deepEqual([active, sub, act], [true, 'userid:101', { sub: 'client:gateway' }])
    await assert.rejects(oidc.genericGrantRequest(gateway, tokenExchange, { ...form, scope: 'wiki:write' }), { error: 'invalid_scope' })
  }
  const agent = await oidc.discovery(new URL(issuer), 'client:agent', undefined, bySecret('agent'), onThisComputer)
  const own = await oidc.clientCredentialsGrant(agent, gatewayResource)
  assert.deepEqual([own.scope, own.refresh_token, claimsIn(own.access_token).sub], ['tools:call', undefined, 'client:agent'])
})
