import assert from 'node:assert/strict'
import { test } from 'node:test'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { toNodeHandler } from 'better-auth/node'
import { genericOAuth } from 'better-auth/plugins'
import express from 'express'
import { browserSession } from '../../support/browser_session.ts'
import { type Application, startWithApplication } from './application.ts'

/** With the plugin for any OpenID provider, and its tables in memory. */
async function serveRota({ started, origin, client_id, client_secret, serve }: Application) {
  const tables: Record<'user' | 'session' | 'account' | 'verification', Record<string, unknown>[]> = {
    user: [],
    session: [],
    account: [],
    verification: [],
  }
  const auth = betterAuth({
    baseURL: origin,
    secret: 'keeps the session cookie of this application',
    database: memoryAdapter(tables),
    telemetry: { enabled: false },
    plugins: [
      genericOAuth({
        config: [
          {
            providerId: 'meshidp',
            discoveryUrl: `${started.issuer}/.well-known/openid-configuration`,
            clientId: client_id,
            clientSecret: client_secret,
            scopes: ['openid', 'profile', 'email', 'offline_access'],
            requireIdTokenVerification: true,
          },
        ],
      }),
    ],
  })
  const app = express()
  app.all('/api/auth/{*rest}', toNodeHandler(auth))
  app.get('/', (_request, response) => void response.send('Rota'))
  await serve(app)
  return tables
}

const callback = '/api/auth/callback/meshidp'

const pathsOf = (way: URL[]) => way.map(({ pathname }) => pathname)

test('better-auth 1.7: OpenID Connect Core §3.1, §3.1.3.7, §12: signs in with PKCE and a verified ID token, refreshes, asks again, and signs out', async (t) => {
  const application = await startWithApplication(t, { paths: [callback] })
  const { started, origin, client_id, client_secret } = application
  const tables = await serveRota(application)
  const browser = browserSession(started.alice)
  const at = (path: string) => `${origin}/api/auth/${path}`

  const asked = await browser.post(at('sign-in/social'), { provider: 'meshidp', callbackURL: '/' })
  const page = await browser.open(String(asked.json().url))
  assert.deepEqual(pathsOf(page.way), ['/authorize', callback, '/'])
  const { user } = (await browser.open(at('get-session'))).json() as { user: Record<string, unknown> }
  const { name, email, emailVerified } = user
  assert.deepEqual({ name, email, emailVerified }, { name: 'Alice Example', email: 'alice@example.com', emailVerified: true })
  const [{ id: accountId, accountId: subject } = {}] = tables.account
  assert.equal(subject, 'userid:101')

  const [before] = tables.account.map(({ refreshToken }) => refreshToken)
  started.clock.advance({ minutes: 6 })
  const refreshed = await browser.post(at('refresh-token'), { accountId })
  assert.equal(refreshed.status, 200, refreshed.text)
  const { refreshToken } = refreshed.json()
  assert.notEqual(refreshToken, before)
  const info = (await browser.open(at(`account-info?accountId=${accountId}`))).json() as { data: Record<string, unknown> }
  assert.equal(info.data.sub, 'userid:101')

  const { url } = (await browser.post(at('sign-out'), { callbackURL: '/' })).json()
  assert.deepEqual(pathsOf((await browser.open(String(url))).way), ['/end_session', '/'])
  assert.equal((await browser.open(at('get-session'))).text, 'null')
  const client = { client_id, client_secret, redirect_uri: '' }
  await assert.rejects(started.alice.refresh(client, { refresh_token: String(refreshToken) }), { error: 'invalid_grant' })
})

test('better-auth 1.7: OpenID Connect Core §5.1: without a claim email it signs nobody in, so email_domains has to name the domain', async (t) => {
  const application = await startWithApplication(t, { paths: [callback] }, { email_domains: [] })
  const { started, origin } = application
  const tables = await serveRota(application)
  const browser = browserSession(started.alice)
  const asked = await browser.post(`${origin}/api/auth/sign-in/social`, { provider: 'meshidp', callbackURL: '/', errorCallbackURL: '/' })
  const page = await browser.open(String(asked.json().url))
  assert.equal(page.url.href, `${origin}/?error=email_not_found`)
  assert.deepEqual(tables.user, [])
})
