/**
 * What providers on a tailnet do today: they ask whois and no more, or believe a header. The attacks are tried on these first, so that each is known to
 * work where nothing is done about it.
 */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo, ListenOptions } from 'node:net'
import type { TestContext } from 'node:test'
import { openLocalApi } from '../../src/identity/local_api.ts'
import type { Machine } from './mesh.ts'

/** Who sends this request; '' is nobody. */
export type Believes = (request: IncomingMessage) => string | Promise<string>

/** A provider that answers each request with whom it takes the caller for. Resolves with its port (0: a unix socket). */
export async function naive(t: TestContext, place: ListenOptions, believes: Believes): Promise<number> {
  const server = createServer(async (request, response) => {
    response.end(await believes(request))
  })
  await new Promise<void>((done, failed) => server.once('error', failed).listen(place, done))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address() as AddressInfo | string
  return typeof address === 'string' ? 0 : address.port
}

/** Believes whatever whois of `machine` says: of the address alone, or with the port. */
export function whoisOf(t: TestContext, machine: Machine, { port }: { port: boolean }): Believes {
  const api = openLocalApi({ socket: machine.socket, deadlineMs: 20_000 })
  t.after(() => api.close())
  return async ({ socket }) => {
    const { remoteAddress = '', remotePort = 0 } = socket
    const address = remoteAddress.replace('::ffff:', '')
    const answer = await (port ? api.whois(`${address}:${remotePort}`, { proto: 'tcp' }) : api.whois(address))
    return answer === null || answer === 'malformed' ? '' : answer.UserProfile.LoginName
  }
}

/** Believes a header. */
export const header =
  (name: string): Believes =>
  ({ headers }) =>
    String(headers[name] ?? '')
