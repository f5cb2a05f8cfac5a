import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as oauth from 'oauth4webapi'
import { authorize } from '../../../examples/demo/person.ts'
import { changedPolicy, wiki } from '../../support/example_policy.ts'
import { start } from '../../support/start.ts'
import { browserOf } from '../servers.ts'

/** The library's own switch for an issuer on http, which here is on this computer. */
const onThisComputer = { [oauth.allowInsecureRequests]: true }

test('oauth4webapi 3: private_key_jwt (RFC 7523 §2.2): registers its key (RFC 7591), signs in, refreshes; and gets tokens of its own where the policy names it', async (t) => {
  const redirect_uri = 'http://127.0.0.1:9/callback'
  const { privateKey, publicKey } = await oauth.generateKeyPair('ES256', { extractable: true })
  const jwk = { ...(await crypto.subtle.exportKey('jwk', publicKey)), kid: 'mine' }
  const policy = changedPolicy(({ clients, grants }) => {
    for (const { app } of grants) if (app.register) app.register = [{ confidential: true }]
    clients['client:signer'] = { jwks: { keys: [jwk] } }
    grants.push({ src: ['client:signer'], dst: ['resource:wiki'], app: { client_credentials: [{ scopes: ['wiki:read'] }] } })
  })
  const { issuer } = await start(t, { policy })
  const discovery = await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2', ...onThisComputer })
  const as = await oauth.processDiscoveryResponse(new URL(issuer), discovery)
  const authentication = oauth.PrivateKeyJwt({ key: privateKey, kid: 'mine' })

  const metadata = {
    client_name: 'A tool with a key',
    redirect_uris: [redirect_uri],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [jwk] },
  }
  const browser = browserOf(t)
  const registration = await oauth.dynamicClientRegistrationRequest(as, metadata as never, {
    ...onThisComputer,
    [oauth.customFetch]: (url, init) => browser.fetch(url, init as RequestInit),
  })
  const client = await oauth.processDynamicClientRegistrationResponse(registration)
  assert.equal(client.token_endpoint_auth_method, 'private_key_jwt')

  const code_verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const url = new URL(String(as.authorization_endpoint))
  const code_challenge = await oauth.calculatePKCECodeChallenge(code_verifier)
  const { client_id } = client
  url.search = String(
    new URLSearchParams({ response_type: 'code', client_id, redirect_uri, state, code_challenge, code_challenge_method: 'S256', ...wiki }),
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
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response)
  const refresh = await oauth.refreshTokenGrantRequest(as, client, authentication, String(tokens.refresh_token), onThisComputer)
  assert.equal((await oauth.processRefreshTokenResponse(as, client, refresh)).scope, 'wiki:read')

  const workload = { client_id: 'client:signer' }
  const own = await oauth.clientCredentialsGrantRequest(as, workload, authentication, new URLSearchParams(wiki), onThisComputer)
  const { access_token } = await oauth.processClientCredentialsResponse(as, workload, own)
  const called = new Request(wiki.resource, { headers: { authorization: `Bearer ${access_token}` } })
  assert.equal((await oauth.validateJwtAccessToken(as, called, wiki.resource, onThisComputer)).sub, 'client:signer')
})
