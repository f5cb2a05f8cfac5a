import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { parse } from 'jsonc-parser'
import { type BrowserSession, browserSession } from '../../support/browser_session.ts'
import { changedPolicy, policyClient } from '../../support/example_policy.ts'
import { freePort, start } from '../../support/start.ts'
import { withoutApache as skip, startApache } from './apache.ts'
import { startWithApplication } from './application.ts'

/** All but the first page wants to know who asks; `more` adds to its configuration. */
async function serveRota(t: TestContext, more: (origin: string) => string = () => '') {
  const application = await startWithApplication(t, { paths: ['/signed-in'] })
  const { started, origin, client_id, client_secret } = application
  await startApache(
    t,
    Number(new URL(origin).port),
    `OIDCProviderMetadataURL ${started.issuer}/.well-known/openid-configuration
OIDCClientID ${client_id}
OIDCClientSecret ${client_secret}
OIDCRedirectURI ${origin}/signed-in
OIDCCryptoPassphrase "keeps the sessions of this server"
OIDCPKCEMethod S256
OIDCScope "openid profile email groups"
OIDCRemoteUserClaim preferred_username
${more(origin)}
<Location />
  AuthType openid-connect
  Require valid-user
</Location>
<Location /oncall>
  Require claim groups:group:oncall
</Location>
<LocationMatch "^/$">
  AuthType None
  Require all granted
</LocationMatch>`,
  )
  return application
}

const pathsOf = ({ way }: { way: URL[] }) => way.map(({ pathname }) => pathname)

test('mod_auth_openidc 2.4: OpenID Connect Core §3.1, §5.3, RFC 7636 §4.3: whoever opens a page is signed in on the way; REMOTE_USER and the claims reach the server behind', {
  skip,
}, async (t) => {
  const { started, origin, client_id } = await serveRota(t)
  const page = await browserSession(started.alice).open(`${origin}/rota?week=3`)
  const { path, user, claims } = page.json() as { path: string; user: string; claims: Record<string, string> }
  assert.deepEqual([path, user], ['/rota?week=3', 'alice@example.com'])
  const { sub, iss, aud, email, groups } = claims
  assert.deepEqual(
    { sub, iss, aud, email, groups },
    { sub: 'userid:101', iss: started.issuer, aud: client_id, email: 'alice@example.com', groups: 'group:eng,group:oncall' },
  )
  assert.deepEqual(pathsOf(page), ['/rota', '/authorize', '/signed-in', '/rota'])
  assert.equal(page.way[1]?.searchParams.get('code_challenge_method'), 'S256')
})

test('mod_auth_openidc 2.4: "Require claim" lets in by a group that the policy lets out', { skip }, async (t) => {
  const { started, origin } = await serveRota(t)
  const asks = async (browser: BrowserSession, path: string) => (await browser.open(origin + path)).status
  const [alice, bob] = [browserSession(started.alice), browserSession(started.bob)]
  assert.deepEqual([await asks(alice, '/oncall'), await asks(bob, '/oncall'), await asks(bob, '/rota')], [200, 401, 200])
})

test('mod_auth_openidc 2.4: RP-Initiated Logout §2: logging out there ends what was given out here, and leads back', {
  skip,
}, async (t) => {
  const { started, origin } = await serveRota(t)
  const browser = browserSession(started.alice)
  const signIns = async () => (await browser.open(started.issuer)).text.match(/aria-label="End: Rota/g)?.length ?? 0
  await browser.open(`${origin}/rota`)
  assert.equal(await signIns(), 1)
  const out = await browser.open(`${origin}/signed-in?logout=${encodeURIComponent(`${origin}/`)}`)
  assert.deepEqual(pathsOf(out), ['/signed-in', '/end_session', '/'])
  assert.equal(out.json().user, '')
  assert.equal(await signIns(), 0)
})

test('mod_auth_openidc 2.4: RFC 9207 §2: whom the policy does not let in stays outside; its page has no reason, since it takes "iss" for the begin of a sign-in', {
  skip,
}, async (t) => {
  const { started, origin } = await serveRota(t)
  const page = await browserSession(started.mallory).open(`${origin}/rota`)
  assert.deepEqual(pathsOf(page), ['/rota', '/authorize', '/signed-in'])
  assert.equal(page.url.searchParams.get('error'), 'access_denied')
  assert.match(page.text, /SSO to this module without specifying a &quot;target_link_uri&quot;/)
})

test('mod_auth_openidc 2.4: RFC 9207 §2: with OIDCDefaultURL it begins a sign-in at each refusal, without end', { skip }, async (t) => {
  const { started, origin } = await serveRota(t, (at) => `OIDCDefaultURL ${at}/rota`)
  await assert.rejects(browserSession(started.mallory).open(`${origin}/rota`), /led on and on/)
})

test('mod_auth_openidc 2.4: OAuth 2.0 Form Post Response Mode §2: with OIDCResponseMode form_post, its page says why somebody is not let in', {
  skip,
}, async (t) => {
  const { started, origin } = await serveRota(t, () => 'OIDCResponseMode form_post')
  const opened = async (browser: BrowserSession) => browser.submit(await browser.open(`${origin}/rota`))
  assert.match((await opened(browserSession(started.mallory))).text, /access_denied.*mallory@other\.com may not sign in to client:rota/)
  assert.equal((await opened(browserSession(started.alice))).json().user, 'alice@example.com')
})

test('mod_auth_openidc 2.4 as a resource server: RFC 7662 §2.2: asks about each token; one for another resource, and one that was revoked, are none', {
  skip,
}, async (t) => {
  const port = await freePort()
  const uri = `http://localhost:${port}/notes`
  const started = await start(t, {
    policy: changedPolicy(({ resources }) => Object.assign(resources['resource:notes'] ?? assert.fail(), { uri })),
  })
  const { client_id, client_secret } = policyClient(started, 'notes-server')
  await startApache(
    t,
    port,
    `OIDCOAuthServerMetadataURL ${started.issuer}/.well-known/oauth-authorization-server
OIDCOAuthClientID ${client_id}
OIDCOAuthClientSecret ${client_secret}
OIDCOAuthRemoteUserClaim username
OIDCOAuthTokenIntrospectionInterval -1
OIDCCryptoPassphrase "keeps what this server was told"
<Location />
  AuthType oauth20
  Require claim scope:notes:read
</Location>`,
  )
  const { alice } = started
  const client = await alice.register()
  const asks = (token: string) => fetch(uri, { headers: { authorization: `Bearer ${token}` } })
  const { access_token, refresh_token = '' } = await alice.signIn(client, { resource: uri, scope: 'notes:read' })
  const { user, claims } = (await (await asks(access_token)).json()) as { user: string; claims: Record<string, string> }
  assert.deepEqual([user, claims.sub, claims.client_id], ['alice@example.com', 'userid:101', client.client_id])

  const other = await alice.signIn(client, { resource: 'http://localhost:8490/mcp', scope: 'wiki:read' })
  await alice.send('/revoke', { form: { client_id: client.client_id, token: refresh_token } })
  for (const token of [other.access_token, access_token, 'nonsense']) {
    const refused = await asks(token)
    assert.equal(refused.status, 401)
    assert.match(refused.headers.get('www-authenticate') ?? '', /^Bearer error="invalid_token"/)
  }
})

test('docs/clients.md: the example for mod_auth_openidc signs alice in, with the policy beside it', { skip }, async (t) => {
  const document = readFileSync(new URL('../../../docs/clients.md', import.meta.url), 'utf8')
  const [, grants = ''] = /^### The policy for the examples$[\s\S]*?^```jsonc\n([\s\S]*?)^```$/m.exec(document) ?? []
  const [, entry = '', lines = ''] = /^### mod_auth_openidc\n+```jsonc\n([\s\S]*?)^```\n+```apache\n([\s\S]*?)^```$/m.exec(document) ?? []
  const port = await freePort()
  const at = (text: string) => text.replaceAll('localhost:3000', `localhost:${port}`)
  const started = await start(t, { policy: JSON.stringify({ ...parse(grants), ...parse(at(entry)) }) })
  const { client_secret } = policyClient(started, 'rota')
  await startApache(t, port, at(lines).replaceAll('http://localhost:8484', started.issuer), { CLIENT_SECRET: client_secret })
  const { user } = (await browserSession(started.alice).open(`http://localhost:${port}/`)).json()
  assert.equal(user, 'alice@example.com')
})
