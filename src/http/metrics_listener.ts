/** `/metrics` for whoever can connect to a place of its own, on this machine only: another server than that of the mesh, and nothing else on it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Deps } from '../deps.ts'
import { http } from '../node_http.ts'
import { onPlace } from './listeners.ts'
import { metricsHeaders } from './metrics_text.ts'
import { endListening, onSocket } from './unix_socket.ts'

/** No name of a stranger may lead a browser here (DNS rebinding). */
const isOwnName = ({ headers: { host = '' } }: IncomingMessage) => /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/.test(host)

/** `place`: `127.0.0.1:9464`, `[::1]:9464` or the path of a unix socket. Throws ConfigError where it cannot be listened on. */
export async function listenForMetrics(
  place: string,
  { metrics, log }: Pick<Deps, 'metrics' | 'log'>,
): Promise<{ close: () => Promise<void> }> {
  const isPath = place.startsWith('/')
  const server = http.createServer({ requestTimeout: 5000, headersTimeout: 5000, maxHeaderSize: 8192 }, (request, response) => {
    answer(request, response).catch((error) => {
      log.error({ err: error }, 'the metrics could not be told')
      response.destroy()
    })
  })
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refused = request.method !== 'GET' ? 405 : request.url !== '/metrics' ? 404 : isPath || isOwnName(request) ? null : 421
    if (refused !== null) {
      response.writeHead(refused, { 'content-type': 'text/plain', connection: 'close' }).end()
      return
    }
    response.writeHead(200, metricsHeaders).end(await metrics.registry.text())
  }
  const listening = (listen: () => void) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.once('listening', () => {
        server.off('error', reject)
        resolve()
      })
      listen()
    })
  if (isPath) await onSocket(server, { path: place, key: 'metrics.listen' }, () => listening(() => server.listen({ path: place })))
  else await onPlace(place, (host, port) => listening(() => server.listen({ host, port })))
  log.info({ address: place }, `metrics at ${place}`)
  return {
    close: () =>
      new Promise((resolve) => {
        endListening(server, resolve)
        server.closeAllConnections()
      }),
  }
}
