/** Where the application listens: only where the mesh (or this very machine) can reach it, never on the wildcard address. */
import type { Server as HttpServer, RequestListener, ServerResponse } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { ListenOptions, Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import type { FastifyInstance } from 'fastify'
import { type Config, ConfigError, type LiveConfig } from '../config.ts'
import type { Log } from '../deps.ts'
import type { Identity, MeshStatus } from '../identity/identity.ts'
import { http, https } from '../node_http.ts'
import type { Certificates } from '../tls/held.ts'
import { cannotListen } from './cannot_listen.ts'
import { canonicalAddress } from './canonical_address.ts'
import type { Gate } from './gate.ts'
import { createRateLimit, type Rate } from './rate_limit.ts'
import { serveCommand } from './serve_command.ts'
import { handshakeTimeout, secureOptions } from './tls.ts'
import { endListening, isRemoved, onSocket } from './unix_socket.ts'

export type Listeners = {
  /** What is listened on now, for people. */
  addresses: () => string[]
  /** A sentence, where this node can be reached and nobody listens: sockets that were given are not those that it has now, or its addresses are not here; else null. */
  unheard: () => string | null
  /** Stops accepting, and answers what comes on open connections; who is silent for `linger` milliseconds (default 0) is not waited for. */
  close: (linger?: number) => Promise<void>
}

const retryEvery = 2000

/** Of an address that this machine does not have, now or (where IPv6 is switched off) at all. */
const notHere = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT'])

const timeouts = {
  requestTimeout: 15_000,
  headersTimeout: 10_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 16 * 1024,
}

/** Who sends nothing, or reads nothing of an answer, for so many milliseconds is gone. */
const mostIdle = 30_000

/** Requests of one connection that wait for their answers, at most: who sends on without reading would fill our memory with what they do not read. */
const mostUnanswered = 32
const unanswered = new WeakMap<Socket, number>()

/** Counts a request of this connection until it is answered; ends the connection where there are too many. */
function isTooMuch(socket: Socket, response: ServerResponse): boolean {
  const waiting = (unanswered.get(socket) ?? 0) + 1
  if (waiting > mostUnanswered) {
    socket.destroy()
    return true
  }
  unanswered.set(socket, waiting)
  response.once('close', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1))
  return false
}

/** Connections of one address, at most: one stranger who opens many and says nothing must not take those of all others. */
const mostConnections = 128

/**
 * Refuses what is too much, or too often (`connecting`), before there is a socket or any TLS, for a flood may be made of nothing but connections. Only where a
 * connection's address is its caller's own.
 */
function limitConnections(server: HttpServer, connecting: Rate): void {
  const open = new Map<string, number>()
  const opening = createRateLimit(connecting, () => performance.now())
  const blocked = {
    check(text: string): boolean {
      const address = canonicalAddress(text)
      return (open.get(address) ?? 0) >= mostConnections || opening.take(address) > 0
    },
  }
  Object.assign(server, { blockList: blocked }) // net.Server's own option, which http.Server does not pass on
  server.on('connection', (socket: Socket) => {
    const address = canonicalAddress(socket.remoteAddress ?? '')
    open.set(address, (open.get(address) ?? 0) + 1)
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1
      if (left > 0) open.set(address, left)
      else open.delete(address)
    })
  })
}

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)

/** `group`: who else may open a unix socket. */
type Place = ListenOptions & { group?: string | undefined }

/** The places that this configuration asks for. `tun`: one for each mesh address that the node has now. */
function places({ listen, development }: Config, { strategy, addresses }: { strategy: string; addresses: readonly string[] }): Place[] {
  if (strategy === 'serve') return [{ path: listen.socket, group: listen.socket_group }]
  if (development || strategy === 'userspace') return [{ host: listen.host ?? '127.0.0.1', port: listen.port }]
  return addresses.map((host) => ({ host, port: listen.port }))
}

type Around = {
  identity: Identity
  gate: Gate
  log: Log
  /** Null: plain http is spoken. */
  certificates: Certificates | null
  /** Descriptors of sockets that somebody else opened, and keeps open between two daemons. */
  sockets?: readonly number[]
}

/**
 * Starts listening, and resolves when every place that is there is open. An address that is not there yet (the mesh is down) is tried again until it is, and
 * so is everything while there is no certificate; what cannot work at all rejects: a taken port, a wrong configuration, plain http where others could listen in.
 */
export async function listen(
  app: FastifyInstance,
  config: LiveConfig,
  { identity, gate, log, certificates, sockets = [] }: Around,
): Promise<Listeners> {
  await app.ready()
  const open = new Map<string, HttpServer>()
  const given = [...sockets]
  const awaited = new Set<string>() // addresses that are not there yet, as the log knows by now
  const leaving = new Set<Promise<void>>()
  let closed = false
  const answer: RequestListener = (request, response) => {
    if (isTooMuch(request.socket, response)) return
    // RFC 9112 §9.6: who has more to ask while the daemon stops, asks on a new connection, of the next one.
    if (closed) response.shouldKeepAlive = false
    gate.pass(request, response, () => app.routing(request, response))
  }
  const make = (): HttpServer => {
    const certificate = certificates?.current()
    const server = certificate
      ? https().createServer({ ...timeouts, handshakeTimeout, ...secureOptions(certificate) }, answer)
      : http.createServer(timeouts, answer)
    if (identity.status().strategy === 'tun') limitConnections(server, config.limits.connecting)
    return server.setTimeout(mostIdle)
  }
  let timer: NodeJS.Timeout | undefined

  async function openAll(): Promise<void> {
    const mesh = identity.status()
    if (mesh.strategy === 'tun' && !config.development && !certificates) throw new ConfigError(httpsOnly)
    if (certificates && !certificates.current()) return
    for (const fd of given.splice(0)) await openGiven(fd)
    if (sockets.length > 0) return
    const wanted = new Map(places(config, mesh).map((place) => [place.path ?? `${place.host}:${place.port}`, place]))
    for (const [name, place] of wanted) {
      if (closed) return // a socket is missing then because it was closed
      const before = open.get(name)
      if (before && !isRemoved(before)) continue
      if (before) leave(name, `${name} was removed, so it is made anew`)
      const server = make()
      try {
        await opened(server, place)
        open.set(name, server)
        awaited.delete(name)
        const more = place.path === undefined ? '' : `, to which tailscaled forwards after: ${serveCommand(config)}`
        log.info({ address: name }, `listening on ${name}${more}`)
      } catch (cause) {
        if (!notHere.has((cause as NodeJS.ErrnoException).code ?? '')) throw cannotListen(cause as NodeJS.ErrnoException, name)
        if (!awaited.has(name)) log.warn({ address: name }, `${name} is not an address of this machine yet; trying until it is`)
        awaited.add(name)
      }
    }
    // While the mesh is down its addresses are away for a while only; a listener on one goes on when it is back.
    if (mesh.running)
      for (const name of open.keys())
        if (!wanted.has(name)) leave(name, `no longer listening on ${name}: this node has another address now`)
  }

  /** One that somebody else opened, who may have bound it to more than this node's addresses. */
  async function openGiven(fd: number): Promise<void> {
    const server = make()
    server.on('connection', (socket: Socket) => {
      if (!isOurs(socket, config, identity)) socket.destroy()
    })
    await opened(server, { fd }).catch((cause) => {
      throw new ConfigError(`The socket that systemd opened (descriptor ${fd}) cannot be listened on: ${cause.message}`, { cause })
    })
    open.set(nameOf(server), server)
    log.info({ address: nameOf(server) }, `listening on ${nameOf(server)}, which systemd opened`)
  }

  function leave(name: string, why: string): void {
    const going = closeGracefully(open.get(name) as HttpServer).finally(() => leaving.delete(going))
    leaving.add(going)
    open.delete(name)
    log.info({ address: name }, why)
  }

  async function again(): Promise<void> {
    await openAll().catch((error: Error) => log.error({ err: error }, error.message))
    schedule()
  }
  function schedule(): void {
    if (!closed) timer = setTimeout(() => void again(), retryEvery).unref()
  }

  // Who is connected stays connected: a handshake is made once, and this is for the next ones.
  certificates?.onChange((next) => {
    for (const server of open.values()) (server as HttpsServer).setSecureContext(secureOptions(next))
  })
  try {
    await openAll()
  } catch (error) {
    await Promise.all([...open.values()].map((server) => closeGracefully(server)))
    throw error
  }
  schedule()
  return {
    addresses: () => [...open.values()].map((server) => nameOf(server)),
    unheard() {
      if (sockets.length > 0) return unheardOf(config, identity.status(), [...open.keys()])
      return open.size > 0 || (certificates && !certificates.current()) ? null : nowhere(identity.status())
    },
    async close(linger) {
      closed = true
      clearTimeout(timer)
      gate.stop()
      await Promise.all([...leaving, ...[...open.values()].map((server) => closeGracefully(server, linger))])
    },
  }
}

const httpsOnly =
  'On a mesh address meshidp speaks https only: an https "issuer", and "listen.tls" not false. Or leave https to "tailscale serve", with "mesh": { "identity": "serve" }.'

function nameOf(server: HttpServer): string {
  const address = server.address()
  return typeof address === 'string'
    ? address
    : address
      ? `${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`
      : ''
}

function opened(server: HttpServer, place: Place | { fd: number }): Promise<void> {
  const listening = () =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(place, () => {
        server.off('error', reject)
        resolve()
      })
    })
  if (!('path' in place) || place.path === undefined) return listening()
  return onSocket(server, { path: place.path, key: 'listen.socket', group: place.group }, listening)
}

/** Whether a connection came in where this node may be reached: at one of its own mesh addresses, on loopback where that is asked for, or by a unix socket. */
function isOurs({ localAddress }: Socket, { development }: Config, identity: Identity): boolean {
  const { strategy, addresses } = identity.status()
  if (localAddress === undefined) return strategy === 'serve'
  const address = canonicalAddress(localAddress)
  return development || strategy === 'userspace' ? isLoopback(address) : strategy === 'tun' && addresses.includes(address)
}

/** With sockets that somebody else opened: what this node has and nobody listens on, or the other way round. */
function unheardOf(config: Config, { strategy, addresses, running }: MeshStatus, open: readonly string[]): string | null {
  if (!running || strategy !== 'tun' || config.development) return null
  const own = addresses.map((host) => (host.includes(':') ? `[${host}]` : host))
  const missing = own.map((host) => `${host}:${config.listen.port}`).filter((name) => !open.includes(name))
  if (missing.length === 0) return null
  return `Nobody listens on ${missing.join(', ')}, where this node can be reached now. Run: meshidp service install --now`
}

/** Where nothing is listened on while the mesh runs: why. */
function nowhere({ strategy, addresses, running }: MeshStatus): string | null {
  if (!running || strategy !== 'tun') return null
  if (addresses.length === 0) return 'Nobody listens: tailscaled says no address of this node.'
  return `Nobody listens: ${addresses.join(', ')}, where this node is in the mesh, is no address of this machine. Run meshidp where tailscaled runs: in the same container or network namespace.`
}

/** Listens (`listening`) on `HOST:PORT`. Throws ConfigError. */
export async function onPlace(place: string, listening: (host: string, port: number) => Promise<unknown>): Promise<void> {
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(place) ?? []
  await listening(host, Number(port)).catch((cause: NodeJS.ErrnoException) => {
    throw cannotListen(cause, place)
  })
}

/** How long an answer may still take when the daemon stops, and how often is looked who has got theirs. Milliseconds. */
const stopping = { patience: 5000, every: 20 }

/**
 * Finishes what is being answered, waits for nobody who is silent for longer than `linger` milliseconds. Until then what comes on a connection that was kept
 * alive is answered, too: a client may be sending in this very moment.
 */
function closeGracefully(server: HttpServer, linger = 0): Promise<void> {
  return new Promise((resolve) => {
    const began = performance.now()
    const sweep = setInterval(() => {
      if (performance.now() - began >= linger) server.closeIdleConnections()
    }, stopping.every)
    const end = setTimeout(() => server.closeAllConnections(), stopping.patience)
    endListening(server, () => {
      clearInterval(sweep)
      clearTimeout(end)
      resolve()
    })
  })
}
