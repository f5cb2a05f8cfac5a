import assert from 'node:assert/strict'
import { test } from 'node:test'
import express, { type ErrorRequestHandler } from 'express'
import openidConnect, { type ConfigParams } from 'express-openid-connect'
import { textOf } from '../../support/answers.ts'
import { browserSession } from '../../support/browser_session.ts'
import { type Application, startWithApplication } from './application.ts'

const { auth, requiresAuth } = openidConnect

/** As its README has it, with the code flow. */
async function serveRota(
  { started, origin, client_id, client_secret, serve }: Application,
  authorizationParams: ConfigParams['authorizationParams'] = {},
) {
  const app = express()
  app.use(
    auth({
      issuerBaseURL: started.issuer,
      baseURL: origin,
      clientID: client_id,
      clientSecret: client_secret,
      secret: 'keeps the session cookie of this application',
      authRequired: false,
      idpLogout: true,
      routes: { postLogoutRedirect: `${origin}/` },
      authorizationParams: { response_type: 'code', scope: 'openid profile email groups offline_access', ...authorizationParams },
    }),
  )
  app.get('/', (request, response) => void response.json({ signed_in: request.oidc.isAuthenticated() }))
  app.get('/me', requiresAuth(), async (request, response) => void response.json(await request.oidc.fetchUserInfo()))
  app.get('/tokens', requiresAuth(), (request, response) => void response.json({ refresh_token: request.oidc.refreshToken }))
  app.get('/refresh', requiresAuth(), async (request, response) => {
    await request.oidc.accessToken?.refresh()
    response.json(await request.oidc.fetchUserInfo())
  })
  const sayWhy: ErrorRequestHandler = (error, _request, response, _next) =>
    void response.status(error.status ?? 500).send(error.error_description ?? error.message)
  app.use(sayWhy)
  await serve(app)
}

const alice = {
  sub: 'userid:101',
  name: 'Alice Example',
  preferred_username: 'alice@example.com',
  email: 'alice@example.com',
  email_verified: true,
  groups: ['group:eng', 'group:oncall'],
}

test('express-openid-connect 3: OpenID Connect Core §3.1, §5.3, §12: a page that needs a person leads to the sign-in and back, asks userinfo, refreshes', async (t) => {
  const application = await startWithApplication(t, { paths: ['/callback'] })
  const { started, origin } = application
  await serveRota(application)
  const browser = browserSession(started.alice)

  const me = await browser.open(`${origin}/me`)
  assert.deepEqual(me.json(), alice)
  assert.deepEqual(
    me.way.map(({ pathname }) => pathname),
    ['/me', '/authorize', '/callback', '/me'],
  )
  started.clock.advance({ minutes: 6 })
  assert.equal((await browser.open(`${origin}/me`)).status, 401, 'its access token has ended')
  assert.deepEqual((await browser.open(`${origin}/refresh`)).json(), alice)
  assert.deepEqual((await browser.open(`${origin}/me`)).json(), alice)
})

test('express-openid-connect 3: RP-Initiated Logout §2: logging out there ends what was given out here, and leads back', async (t) => {
  const application = await startWithApplication(t, { paths: ['/callback'] })
  const { started, origin } = application
  await serveRota(application)
  const browser = browserSession(started.alice)
  const { refresh_token = '' } = (await browser.open(`${origin}/tokens`)).json()

  const out = await browser.open(`${origin}/logout`)
  assert.deepEqual(
    out.way.map(({ pathname }) => pathname),
    ['/logout', '/end_session', '/'],
  )
  assert.deepEqual(out.json(), { signed_in: false })
  const again = await browser.open(`${origin}/logout`)
  assert.match(textOf(again), /^Sign out .* Then you go back to Rota/, 'its session is over, so it has no ID token to show')
  assert.deepEqual((await browser.submit(again)).json(), { signed_in: false })

  const { client_id, client_secret } = application
  const client = { client_id, client_secret, redirect_uri: '' }
  await assert.rejects(started.alice.refresh(client, { refresh_token: String(refresh_token) }), { error: 'invalid_grant' })
})

test('express-openid-connect 3: OAuth 2.0 Form Post Response Mode §2: the answer may come as a form', async (t) => {
  const application = await startWithApplication(t, { paths: ['/callback'] })
  const { started, origin } = application
  await serveRota(application, { response_mode: 'form_post' })
  const browser = browserSession(started.alice)
  assert.deepEqual((await browser.submit(await browser.open(`${origin}/me`))).json(), alice)
})

test('express-openid-connect 3: OAuth 2.1 §10.1: its default, an ID token from /authorize, is refused with unsupported_response_type', async (t) => {
  const application = await startWithApplication(t, { paths: ['/callback'] })
  const { started, origin } = application
  await serveRota(application, { response_type: 'id_token' })
  const browser = browserSession(started.alice)
  const page = await browser.submit(await browser.open(`${origin}/me`))
  assert.equal(page.status, 400)
  assert.match(page.text, /^Only response_type=code is supported\. /)
})
