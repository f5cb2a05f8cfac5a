import assert from 'node:assert/strict'
import { test } from 'node:test'
import express, { type ErrorRequestHandler, type Request } from 'express'
import session from 'express-session'
import passportPackage from 'passport'
import Strategy from 'passport-openidconnect'
import { browserSession } from '../../support/browser_session.ts'
import { type Application, startWithApplication } from './application.ts'

/** As its README has it; `options` adds to those of the strategy. */
async function serveRota(
  { started: { issuer }, origin, client_id, client_secret, serve }: Application,
  options: Record<string, unknown> = {},
) {
  const passport = new passportPackage.Passport()
  passport.use(
    new Strategy(
      {
        issuer,
        authorizationURL: `${issuer}/authorize`,
        tokenURL: `${issuer}/token`,
        userInfoURL: `${issuer}/userinfo`,
        clientID: client_id,
        clientSecret: client_secret,
        callbackURL: `${origin}/cb`,
        scope: 'profile email',
        skipUserProfile: false,
        ...options,
      },
      (signedInAt, { id, displayName, username, emails }, done) => done(null, { signedInAt, id, displayName, username, emails }),
    ),
  )
  passport.serializeUser((user, done) => done(null, user))
  passport.deserializeUser((user, done) => done(null, user))
  const app = express()
  app.use(session({ secret: 'keeps the session cookie of this application', resave: false, saveUninitialized: false }))
  app.use(passport.session())
  app.get('/login', passport.authenticate('openidconnect'))
  app.get('/cb', passport.authenticate('openidconnect'), (_request, response) => response.redirect('/'))
  app.get('/', (request: Request & { user?: unknown }, response) => void response.json(request.user ?? null))
  const sayWhy: ErrorRequestHandler = (error: Error, _request, response, _next) => void response.status(500).json(error.message)
  app.use(sayWhy)
  await serve(app)
}

const withoutPkce = { paths: ['/cb'], require_pkce: false }

/** Where on its way a browser was, by path, and what it was told. */
const parametersOf = (way: URL[], path: string) => way.find(({ pathname }) => pathname === path)?.searchParams

test('passport-openidconnect 0.1: OAuth 2.1 §7.5.1: signs in without PKCE, since its client is confidential, excused by the policy, and sends a nonce', async (t) => {
  const application = await startWithApplication(t, withoutPkce)
  const { started, origin } = application
  await serveRota(application, { nonce: true })
  const page = await browserSession(started.alice).open(`${origin}/login`)
  assert.deepEqual(page.json(), {
    signedInAt: started.issuer,
    id: 'userid:101',
    displayName: 'Alice Example',
    username: 'alice@example.com',
    emails: [{ value: 'alice@example.com' }],
  })
  const asked = parametersOf(page.way, '/authorize')
  assert.deepEqual([asked?.has('nonce'), asked?.has('code_challenge')], [true, false])
})

test('passport-openidconnect 0.1: OAuth 2.1 §7.5.1: excused from PKCE but without a nonce it is refused, and told so', async (t) => {
  const application = await startWithApplication(t, withoutPkce)
  const { started, origin } = application
  await serveRota(application)
  const page = await browserSession(started.alice).open(`${origin}/login`)
  assert.match(String(page.json()), /^This client is excused from PKCE, so it must send a nonce\. /)
  assert.equal(parametersOf(page.way, '/cb')?.get('error'), 'invalid_request')
})

test('passport-openidconnect 0.1: OAuth 2.1 §7.5.1: without the waiver of the policy it is refused, and told so', async (t) => {
  const application = await startWithApplication(t, { ...withoutPkce, require_pkce: true })
  const { started, origin } = application
  await serveRota(application, { nonce: true })
  const page = await browserSession(started.alice).open(`${origin}/login`)
  assert.match(String(page.json()), /^The parameter 'code_challenge' is missing: PKCE \(RFC 7636\) with S256 is required\. /)
  assert.equal(parametersOf(page.way, '/cb')?.get('error'), 'invalid_request')
})

test('passport-openidconnect 0.1: RFC 6749 §4.1.2.1: whom the policy does not let in is a failed sign-in there, not a fault', async (t) => {
  const application = await startWithApplication(t, withoutPkce)
  const { started, origin } = application
  await serveRota(application, { nonce: true })
  const page = await browserSession(started.mallory).open(`${origin}/login`)
  assert.deepEqual([page.status, page.text], [401, 'Unauthorized'])
  assert.equal(parametersOf(page.way, '/cb')?.get('error'), 'access_denied')
})
