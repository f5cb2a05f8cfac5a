/** Where the application listens: only where the mesh (or this very machine) can reach it, never on the wildcard address. */
import { chmodSync, readFileSync, rmSync, statSync } from 'node:fs'
import type { Server as HttpServer } from 'node:http'
import https from 'node:https'
import type { ListenOptions, Server } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { type Config, ConfigError } from '../config.ts'
import type { Log } from '../deps.ts'
import type { Identity } from '../identity/identity.ts'
import { http } from '../node_http.ts'

export type Listeners = {
  /** What is listened on now, for people. */
  addresses: () => string[]
  close: () => Promise<void>
}

const retryEvery = 2000
const timeouts = {
  requestTimeout: 15_000,
  headersTimeout: 10_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 16 * 1024,
}

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)

/** The places that this configuration asks for. `tun`: one for each mesh address that the node has now. Throws ConfigError. */
function places(
  { listen, development }: Config,
  { strategy, addresses }: { strategy: string; addresses: readonly string[] },
): ListenOptions[] {
  if (strategy === 'serve') {
    if (!listen.socket)
      throw new ConfigError('With "identity": "serve", "listen.socket" must name the unix socket that tailscaled forwards to.')
    return [{ path: listen.socket }]
  }
  if (development || strategy === 'userspace') {
    const host = listen.host ?? '127.0.0.1'
    if (!isLoopback(host))
      throw new ConfigError(
        `Here only a loopback address can be listened on, not ${host}: anywhere else a stranger could say who they are.`,
      )
    return [{ host, port: listen.port }]
  }
  return addresses.map((host) => ({ host, port: listen.port }))
}

/**
 * Starts listening, and resolves when at least one place is open. An address that is not there yet (the mesh is down) is tried again until it is; what
 * cannot work at all rejects: a taken port, a wrong configuration, plain http where others could listen in.
 */
export async function listen(app: FastifyInstance, config: Config, identity: Identity, log: Log): Promise<Listeners> {
  const { tls_certificate_file, tls_key_file } = config.listen
  const tls =
    tls_certificate_file && tls_key_file
      ? { cert: readFileSync(tls_certificate_file), key: readFileSync(tls_key_file), minVersion: 'TLSv1.2' as const }
      : undefined
  await app.ready()
  const make = (): Server => (tls ? https.createServer({ ...timeouts, ...tls }, app.routing) : http.createServer(timeouts, app.routing))
  const open = new Map<string, Server>()
  let closed = false
  let timer: NodeJS.Timeout | undefined

  async function openAll(): Promise<void> {
    const mesh = identity.status()
    if (mesh.strategy === 'tun' && !config.development && !tls)
      throw new ConfigError(
        'On a mesh address meshidp speaks https only. Name the certificate in "listen.tls_certificate_file" and "listen.tls_key_file", or put it behind tailscale serve ("identity": "serve").',
      )
    for (const place of places(config, mesh)) {
      const name = place.path ?? `${place.host}:${place.port}`
      if (open.has(name)) continue
      const server = make()
      try {
        await opened(server, place)
        open.set(name, server)
        log.info({ address: name }, `listening on ${name}`)
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EADDRNOTAVAIL') throw sentence(cause as NodeJS.ErrnoException, name)
        log.warn({ address: name }, `${name} is not an address of this machine yet; trying again`)
      }
    }
  }

  async function again(): Promise<void> {
    await openAll().catch((error: Error) => log.error({ err: error }, error.message))
    schedule()
  }
  function schedule(): void {
    if (!closed) timer = setTimeout(() => void again(), retryEvery).unref()
  }

  await openAll()
  schedule()
  return {
    addresses: () => [...open.values()].map((server) => nameOf(server)),
    async close() {
      closed = true
      clearTimeout(timer)
      await Promise.all([...open.values()].map(closeGracefully))
    },
  }
}

function nameOf(server: Server): string {
  const address = server.address()
  return typeof address === 'string'
    ? address
    : address
      ? `${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`
      : ''
}

function opened(server: Server, place: ListenOptions): Promise<void> {
  if (place.path !== undefined && isStaleSocket(place.path)) rmSync(place.path)
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(place, () => {
      server.off('error', reject)
      if (place.path !== undefined) chmodSync(place.path, 0o600)
      resolve()
    })
  })
}

/** A socket file that a killed daemon left behind. The state's lock is ours by now, so nobody listens on it. */
export const isStaleSocket = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isSocket() === true

/** Finishes what is being answered, waits for nobody who is silent. */
export function closeGracefully(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    if ('closeIdleConnections' in server) (server as HttpServer).closeIdleConnections()
    setTimeout(() => 'closeAllConnections' in server && (server as HttpServer).closeAllConnections(), 5000).unref()
  })
}

const sentences = new Map([
  ['EADDRINUSE', (name: string) => `${name} is in use by another program. Stop that one, or choose another port.`],
  ['EACCES', (name: string) => `This user may not listen on ${name}. Choose a port above 1023, or give the service CAP_NET_BIND_SERVICE.`],
])

const sentence = (cause: NodeJS.ErrnoException, name: string) =>
  new ConfigError(sentences.get(cause.code ?? '')?.(name) ?? `Cannot listen on ${name}: ${cause.message}`, { cause })
