/**
 * What a request passes before anything of it is read: one address may not ask too often, nor much at a time, and a process that is overloaded
 * says so at once. Refusals here cost microseconds, for a flood is made of them.
 */
import { randomInt } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import type { Config } from '../config.ts'
import type { Identity } from '../identity/identity.ts'
import { canonicalAddress } from './canonical_address.ts'
import type { Endpoint } from './endpoint.ts'
import { createLoadMeter } from './load.ts'
import { createRateLimit } from './rate_limit.ts'
import { createTurns } from './turns.ts'

export type Gate = {
  /** Calls `go` where the request may pass: at once, or when it is the turn of its address. Otherwise answers it. */
  pass: (request: IncomingMessage, response: ServerResponse, go: () => void) => void
  /** By how much the event loop was late at worst since this was asked, seconds. */
  lag: () => number
  /** Requests that are being answered. */
  inProgress: () => number
  stop: () => void
}

/** `free`: from memory, always answered. `read`: counted by nobody's rate. `first`: clients that have tokens already come before those that want some. */
type Kind = 'free' | 'read' | 'first' | 'other'

/** More of a body than this is not waited for after it was refused. */
const mostUnread = 64 * 1024

/**
 * Milliseconds after which somebody is told that they ask too often. Until then their connection is not read, and ended where more comes all the same. So what
 * a flood costs depends on its connections, which are limited, and not on its requests. Less than any Retry-After.
 */
const toldAfter = 1000

/** So many requests of one address wait for their turn at most. */
const mostInLine = 256

/** So many wait for that at most, with a connection each; others are told at once. */
const mostHeld = 1024

/** `onRefused` hears of each request that is refused here, by its status. */
export function createGate(
  config: Config,
  identity: Identity,
  endpoints: readonly Endpoint[],
  onRefused: (status: 429 | 503) => void = () => undefined,
): Gate {
  const { per_address, at_once, in_progress } = config.limits
  const perAddress = createRateLimit(per_address, () => performance.now())
  const ofAddress = createTurns<string>(at_once, mostInLine)
  // What is pipelined waits for the answer before it anyway (RFC 9112 §9.3.2): begun at once, it would count as work in progress for as long as that takes.
  const ofConnection = createTurns<Socket>(1, mostInLine)
  const load = createLoadMeter(in_progress)
  const held = new Set<Socket>()
  // By the exact path: what is spelled in another way is an endpoint all the same, or none, and is counted.
  const kinds = new Map(endpoints.map(({ path, cost }): [string, Kind] => [path, cost ?? 'other']))

  function refuse(request: IncomingMessage, response: ServerResponse, status: 429 | 503, seconds: number): void {
    onRefused(status)
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
  }

  function refuseLater(request: IncomingMessage, response: ServerResponse, seconds: number): void {
    const { socket } = request
    if (held.has(socket)) {
      socket.destroy()
      return
    }
    if (held.size >= mostHeld) {
      refuse(request, response, 429, seconds)
      return
    }
    held.add(socket)
    socket.pause()
    setTimeout(() => {
      held.delete(socket)
      socket.resume()
      refuse(request, response, 429, seconds)
    }, toldAfter).unref()
  }

  /** Counts a request as work from when it is here whole: one that is sent slowly costs its sender a connection, and nobody else anything. */
  function countWork(request: IncomingMessage, response: ServerResponse): void {
    const begin = () => {
      if (response.closed) return
      load.begin()
      response.once('close', load.end)
    }
    const { 'content-length': length = '0', 'transfer-encoding': chunked } = request.headers
    if (length === '0' && chunked === undefined) begin()
    else request.once('end', begin)
  }

  // Jittered, so that they do not all come back at the same moment.
  const refuseBusy = (request: IncomingMessage, response: ServerResponse) => refuse(request, response, 503, 1 + randomInt(5))

  return {
    pass(request, response, go) {
      const { url = '' } = request
      const query = url.indexOf('?')
      const kind = kinds.get(query < 0 ? url : url.slice(0, query)) ?? 'other'
      if (kind === 'free') return go()
      const address = kind === 'read' ? undefined : addressOf(request, identity)
      const seconds = address === undefined ? 0 : perAddress.take(address)
      if (seconds > 0) return refuseLater(request, response, seconds)
      const now = load.now()
      if (now === 'overloaded' || (now === 'busy' && kind === 'other')) return refuseBusy(request, response)
      const { socket } = request
      const begin = () => {
        if (socket.destroyed) return false
        countWork(request, response)
        if (address !== undefined) response.once('close', () => ofAddress.done(address))
        go()
        return true
      }
      const enter = () => {
        if (socket.destroyed) return false
        response.once('close', () => ofConnection.done(socket))
        if (address === undefined) begin()
        else if (!ofAddress.take(address, begin)) refuseBusy(request, response)
        return true
      }
      if (!ofConnection.take(socket, enter)) refuseBusy(request, response)
    },
    lag: load.lag,
    inProgress: load.inProgress,
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
