import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as oauth from 'oauth4webapi'
import { authorize } from '../../../examples/demo/person.ts'
import { jwkOf, newPair } from '../../support/assertion.ts'
import { policyClient, wiki } from '../../support/example_policy.ts'
import { claimsIn, gatewayResource, tokenExchange, tokenType, withGateway } from '../../support/exchange.ts'
import { type Started, start } from '../../support/start.ts'
import { browserOf } from '../servers.ts'
import { startWithApplication } from './application.ts'

/** The library's own switch for an issuer on http, which here is on this computer. */
const onThisComputer = { [oauth.allowInsecureRequests]: true }

const discovered = async (issuer: string, algorithm: 'oidc' | 'oauth2') =>
  oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), { algorithm, ...onThisComputer }))

type Asking = { as: oauth.AuthorizationServer; client: oauth.Client; authentication: oauth.ClientAuth; redirect_uri: string }

/** The code flow as its documentation has it: PKCE, state, nonce and iss (RFC 9207) are checked by the library. */
async function signedIn(
  browser: Parameters<typeof authorize>[0],
  { as, client, authentication, redirect_uri }: Asking,
  parameters: Record<string, string>,
) {
  const code_verifier = oauth.generateRandomCodeVerifier()
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()]
  const url = new URL(String(as.authorization_endpoint))
  url.search = String(
    new URLSearchParams({
      response_type: 'code',
      client_id: client.client_id,
      redirect_uri,
      code_challenge: await oauth.calculatePKCECodeChallenge(code_verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
      ...parameters,
    }),
  )
  const { location } = await authorize(browser, url)
  const answer = oauth.validateAuthResponse(as, client, location, state)
  const response = await oauth.authorizationCodeGrantRequest(
    as,
    client,
    authentication,
    answer,
    redirect_uri,
    code_verifier,
    onThisComputer,
  )
  const withIdToken = parameters.scope?.split(' ').includes('openid')
  const tokens = await oauth.processAuthorizationCodeResponse(
    as,
    client,
    response,
    withIdToken ? { expectedNonce: nonce, requireIdToken: true } : {},
  )
  if (withIdToken) await oauth.validateApplicationLevelSignature(as, response, onThisComputer)
  return tokens
}

test('oauth4webapi 3: OpenID Connect Core §3.1: code flow with either way to show a secret, ID token and its signature, userinfo, refresh, revocation', async (t) => {
  const { started, origin, client_id, client_secret } = await startWithApplication(t, { paths: ['/cb'] })
  const browser = browserOf(t)
  const as = await discovered(started.issuer, 'oidc')
  const client = { client_id }
  for (const method of [oauth.ClientSecretBasic, oauth.ClientSecretPost]) {
    const authentication = method(client_secret)
    const asking = { as, client, authentication, redirect_uri: `${origin}/cb` }
    const tokens = await signedIn(browser, asking, { scope: 'openid email offline_access', max_age: '3600' })
    assert.equal(oauth.getValidatedIdTokenClaims(tokens)?.sub, 'userid:101')
    const userinfo = await oauth.userInfoRequest(as, client, tokens.access_token, onThisComputer)
    assert.equal((await oauth.processUserInfoResponse(as, client, 'userid:101', userinfo)).email, 'alice@example.com')

    const refresh = (token: string | undefined) => oauth.refreshTokenGrantRequest(as, client, authentication, String(token), onThisComputer)
    const refreshed = await oauth.processRefreshTokenResponse(as, client, await refresh(tokens.refresh_token))
    assert.equal(oauth.getValidatedIdTokenClaims(refreshed)?.sub, 'userid:101')
    const revoked = await oauth.revocationRequest(as, client, authentication, String(refreshed.refresh_token), onThisComputer)
    await oauth.processRevocationResponse(revoked)
    await assert.rejects(
      refresh(refreshed.refresh_token).then((response) => oauth.processRefreshTokenResponse(as, client, response)),
      {
        code: oauth.RESPONSE_BODY_ERROR,
        error: 'invalid_grant',
      },
    )
  }
})

/** Registers (RFC 7591) and signs alice in to the wiki (RFC 8707). */
async function atTheWiki(started: Started, browser: Parameters<typeof authorize>[0]) {
  const as = await discovered(started.issuer, 'oauth2')
  const redirect_uri = 'http://127.0.0.1:9/callback'
  const registration = await oauth.dynamicClientRegistrationRequest(
    as,
    {
      client_name: 'A tool',
      redirect_uris: [redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    },
    onThisComputer,
  )
  const client = await oauth.processDynamicClientRegistrationResponse(registration)
  return { as, client, tokens: await signedIn(browser, { as, client, authentication: oauth.None(), redirect_uri }, wiki) }
}

test('oauth4webapi 3: RFC 7591, RFC 8707, RFC 9068 §4: registers, and its token is a JWT for the resource that was named, and for no other', async (t) => {
  const started = await start(t)
  const { as, client, tokens } = await atTheWiki(started, browserOf(t))
  const called = () => new Request(wiki.resource, { headers: { authorization: `Bearer ${tokens.access_token}` } })
  const claims = await oauth.validateJwtAccessToken(as, called(), wiki.resource, onThisComputer)
  const { sub, client_id, scope } = claims
  assert.deepEqual({ sub, client_id, scope }, { sub: 'userid:101', client_id: client.client_id, scope: 'wiki:read' })
  await assert.rejects(oauth.validateJwtAccessToken(as, called(), 'http://localhost:8491/mcp', onThisComputer), {
    code: oauth.JWT_CLAIM_COMPARISON,
  })
})

test('oauth4webapi 3: RFC 7662 §2: the server behind the resource asks about the token, and hears of its end', async (t) => {
  const started = await start(t)
  const { as, client, tokens } = await atTheWiki(started, browserOf(t))
  const { client_id, client_secret } = policyClient(started, 'wiki-server')
  const server = { client_id }
  const activeNow = async () => {
    const asked = await oauth.introspectionRequest(as, server, oauth.ClientSecretBasic(client_secret), tokens.access_token, onThisComputer)
    return (await oauth.processIntrospectionResponse(as, server, asked)).active
  }
  assert.equal(await activeNow(), true)
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(as, client, oauth.None(), String(tokens.refresh_token), onThisComputer),
  )
  assert.equal(await activeNow(), false)
})

test('oauth4webapi 3: RFC 8693 §2.1: a gateway exchanges, proven by a secret and by a key; RFC 6749 §4.4: a workload has a token of its own by a secret', async (t) => {
  const pair = newPair('ES256')
  const started = await start(t, {
    policy: withGateway(({ clients }) => Object.assign(clients['client:gateway'] ?? {}, { jwks: { keys: [jwkOf(pair)] } })),
  })
  const { alice, issuer } = started
  const as = await discovered(issuer, 'oauth2')
  const key = pair.privateKey.toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  const { access_token: subject_token } = await alice.signIn(await alice.register(), gatewayResource)
  const [gateway, agent] = [policyClient(started, 'gateway'), policyClient(started, 'agent')]
  const form = { subject_token, subject_token_type: tokenType('access_token'), resource: wiki.resource }
  for (const authentication of [oauth.ClientSecretPost(gateway.client_secret), oauth.PrivateKeyJwt({ key, kid: pair.kid })]) {
    const exchange = async (more: Record<string, string> = {}) => {
      const sent = { ...form, ...more }
      const response = await oauth.genericTokenEndpointRequest(as, gateway, authentication, tokenExchange, sent, onThisComputer)
      return oauth.processGenericTokenEndpointResponse(as, gateway, response)
    }
    const { access_token, issued_token_type, scope } = await exchange()
    assert.deepEqual([issued_token_type, scope], [tokenType('access_token'), 'wiki:read'])
    const request = new Request(wiki.resource, { headers: { authorization: `Bearer ${access_token}` } })
    const { sub, client_id, act } = await oauth.validateJwtAccessToken(as, request, wiki.resource, onThisComputer)
    assert.deepEqual({ sub, client_id, act }, { sub: 'userid:101', client_id: 'client:gateway', act: { sub: 'client:gateway' } })
    await assert.rejects(exchange({ scope: 'wiki:write' }), { code: oauth.RESPONSE_BODY_ERROR, error: 'invalid_scope' })
  }
  const bySecret = oauth.ClientSecretBasic(agent.client_secret)
  const response = await oauth.clientCredentialsGrantRequest(as, agent, bySecret, gatewayResource, onThisComputer)
  const own = await oauth.processClientCredentialsResponse(as, agent, response)
  assert.deepEqual([own.scope, own.refresh_token, claimsIn(own.access_token).sub], ['tools:call', undefined, 'client:agent'])
})
