/** Where the browser brings the answer: a listener on this computer (RFC 8252 §7.3). */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type LoopbackRedirect = {
  redirect_uri: string
  /** Resolves with the parameters of the next answer, be it yes or no. Ask before the browser is opened. */
  answer: () => Promise<URLSearchParams>
  close: () => void
}

/** Listens on a free port of 127.0.0.1. `takes` looks at `state`: an answer that nobody waits for is not taken. */
export async function listenForRedirect(takes: (state: string | null) => boolean): Promise<LoopbackRedirect> {
  let next = Promise.withResolvers<URLSearchParams>()
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://127.0.0.1')
    const taken = pathname === '/callback' && takes(searchParams.get('state'))
    response.writeHead(taken ? 200 : 404, { 'content-type': 'text/plain', connection: 'close' })
    response.end(taken ? 'Done. You can close this page.\n' : 'Nobody waits for this.\n')
    if (!taken) return
    next.resolve(searchParams)
    next = Promise.withResolvers()
  })
  await new Promise<void>((listening, failed) => server.once('error', failed).listen(0, '127.0.0.1', () => listening()))
  const { port } = server.address() as AddressInfo
  return { redirect_uri: `http://127.0.0.1:${port}/callback`, answer: () => next.promise, close: () => server.close() }
}
