/**
 * What a request passes before anything of it is read: one address may not ask too often, and a process that is overloaded says so at once. Refusals
 * here cost microseconds, for a flood is made of them.
 */
import { randomInt } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { performance } from 'node:perf_hooks'
import type { Config } from '../config.ts'
import type { Identity } from '../identity/identity.ts'
import { canonicalAddress } from './canonical_address.ts'
import type { Endpoint } from './endpoint.ts'
import { createLoadMeter } from './load.ts'
import { createRateLimit } from './rate_limit.ts'

/** Answers the request and returns true, or lets it through. */
export type Gate = { refuses: (request: IncomingMessage, response: ServerResponse) => boolean; stop: () => void }

/** `free`: from memory, always answered. `read`: counted by nobody's rate. `first`: clients that have tokens already come before those that want some. */
type Kind = 'free' | 'read' | 'first' | 'other'

/** More of a body than this is not waited for after it was refused. */
const mostUnread = 64 * 1024

export function createGate(config: Config, identity: Identity, endpoints: readonly Endpoint[]): Gate {
  const { per_address, in_progress } = config.limits
  const perAddress = createRateLimit(per_address, () => performance.now())
  const load = createLoadMeter(in_progress)
  // By the exact path: what is spelled in another way is an endpoint all the same, or none, and is counted.
  const kinds = new Map(endpoints.map(({ path, cost }): [string, Kind] => [path, cost ?? 'other']))

  function refuse(request: IncomingMessage, response: ServerResponse, status: 429 | 503, seconds: number): true {
    const words =
      status === 429
        ? { error: 'too_many_requests', error_description: 'This address asks too often. Wait as long as Retry-After says.' }
        : { error: 'temporarily_unavailable', error_description: 'The server is busy. Try again as Retry-After says.' }
    const { 'content-length': length = '0', 'transfer-encoding': chunked, origin } = request.headers
    response.writeHead(status, {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'retry-after': String(seconds),
      'x-content-type-options': 'nosniff',
      ...(origin !== undefined && { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'Retry-After' }),
      ...((chunked !== undefined || Number(length) > mostUnread) && { connection: 'close' }),
    })
    response.end(JSON.stringify(words))
    return true
  }

  return {
    refuses(request, response) {
      const { url = '' } = request
      const query = url.indexOf('?')
      const kind = kinds.get(query < 0 ? url : url.slice(0, query)) ?? 'other'
      if (kind === 'free') return false
      if (kind !== 'read') {
        const address = addressOf(request, identity)
        const seconds = address === undefined ? 0 : perAddress.take(address)
        if (seconds > 0) return refuse(request, response, 429, seconds)
      }
      const now = load.now()
      // Jittered, so that they do not all come back at the same moment.
      if (now === 'overloaded' || (now === 'busy' && kind === 'other')) return refuse(request, response, 503, 1 + randomInt(5))
      load.begin()
      response.once('close', load.end)
      return false
    },
    stop: load.stop,
  }
}

/**
 * Whose address counts: the peer's; behind "tailscale serve" the one that it forwards for. In userspace mode every connection comes from this very machine, so
 * there is none: callers are told apart after whois only.
 */
function addressOf({ socket, headers }: IncomingMessage, identity: Identity): string | undefined {
  const { strategy } = identity.status()
  if (strategy === 'userspace') return undefined
  const text = strategy === 'serve' ? headers['x-forwarded-for'] : socket.remoteAddress
  return canonicalAddress(String(text ?? ''))
}
