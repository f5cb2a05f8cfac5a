/** Somebody's web site on loopback, under a name that only the test's lookup knows. */
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { createGuardedFetch, type GuardedFetchOptions } from '../../src/clients/guarded_fetch.ts'
import { selfSigned } from './certificate.ts'

/**
 * Serves `https://client.test:PORT`. `origin` is that; `fetch` gets there (loopback allowed, certificate trusted) unless `options` say otherwise;
 * `connections()` counts the TCP connections made.
 */
export async function startHttpsSite(t: TestContext, listener: RequestListener, options: GuardedFetchOptions = {}) {
  const { key, cert } = selfSigned('client.test')
  const server = createServer({ key, cert }, listener)
  let connections = 0
  server.on('connection', () => {
    connections += 1
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const defaults: GuardedFetchOptions = { ca: cert, allow: () => true, lookup: async () => ['127.0.0.1'] }
  return {
    port,
    cert,
    origin: `https://client.test:${port}`,
    connections: () => connections,
    fetch: createGuardedFetch({ ...defaults, ...options }),
  }
}
