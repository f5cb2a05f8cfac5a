/** A web application that the policy names, on this computer, for a client that the tests run as it comes from npm. */
import type { RequestListener } from 'node:http'
import { createServer } from 'node:http'
import type { TestContext } from 'node:test'
import { changedPolicy, policyClient } from '../../support/example_policy.ts'
import { freePort, type Started, type StartOptions, start } from '../../support/start.ts'

const identityScopes = ['openid', 'profile', 'email', 'groups', 'offline_access']

export type Application = {
  started: Started
  /** Its origin, such as http://localhost:3000. */
  origin: string
  client_id: string
  client_secret: string
  /** Answers at its origin until the test ends. */
  serve: (listener: RequestListener) => Promise<void>
}

/**
 * A daemon whose policy has the entry `client:rota` and lets everybody of example.com sign in there. `entry` adds to it, `paths` below the origin are its
 * redirect URIs.
 */
export async function startWithApplication(
  t: TestContext,
  entry: { paths: string[]; [key: string]: unknown },
  config: StartOptions['config'] = {},
): Promise<Application> {
  const { paths, ...more } = entry
  const port = await freePort()
  const origin = `http://localhost:${port}`
  const policy = changedPolicy(({ clients, grants }) => {
    clients['client:rota'] = {
      name: 'Rota',
      redirect_uris: paths.map((path) => origin + path),
      post_logout_redirect_uris: [`${origin}/`],
      client_secret_file: 'rota',
      ...more,
    }
    grants.push({ src: ['*@example.com'], dst: ['client:rota'], app: { authorize: [{ scopes: identityScopes, consent: 'never' }] } })
    grants.push({ src: ['*@example.com'], dst: ['client:rota'], app: { claims: [{ groups: ['group:eng', 'group:oncall'] }] } })
  })
  const started = await start(t, { policy, config })
  const { client_id, client_secret } = policyClient(started, 'rota')
  return {
    started,
    origin,
    client_id,
    client_secret,
    serve(listener) {
      const server = createServer(listener)
      t.after(() => void server.close().closeAllConnections())
      return new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
    },
  }
}
