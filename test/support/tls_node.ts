/** A node of a mesh whose tailscaled hands out real certificates: a LocalAPI on a unix socket, and a daemon on it that speaks https on loopback. */
import { writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { runAction } from '../../src/admin/actions.ts'
import { type ConfigInput, toConfig } from '../../src/config.ts'
import { type Daemon, startDaemon } from '../../src/daemon.ts'
import { type Pair, validBetween } from './certificate.ts'
import { startLocalApi, until } from './local_api.ts'
import { freePort, temporaryDirectory, testClock, testLog } from './start.ts'

export const nodeName = 'idp.tail1234.ts.net'

const aDay = 86_400

/** A certificate for `name` that is good from a minute ago for so many days and an hour, so that a slow test counts the same days. */
export const pairAt = (now: number, days = 90, name = nodeName): Pair =>
  validBetween(new Date((now - 60) * 1000), new Date((now + days * aDay + 3600) * 1000), name)

/** What tailscaled answers who asks for a certificate; `least`: the seconds that it must be good for, where that was said. */
export type Gives = (least: number | null, response: ServerResponse) => Pair | { status: number; text: string } | 'nothing'

/** Go's duration, as far as it is used here → seconds. */
const secondsOf = (duration: string | null) => (duration === null ? null : Number(/^(\d+)s$/.exec(duration)?.[1]))

export type NodeOptions = { gives: Gives; status?: object; whois?: (address: string) => object | null }

/** A LocalAPI that says of its node that it is running, and gives certificates; both can be changed. */
export async function startTailscaled(t: TestContext, options: NodeOptions) {
  const node = { ...options }
  const asked: string[] = []
  const Self = { ID: 'nIDP', UserID: 7, DNSName: `${nodeName}.`, TailscaleIPs: ['127.0.0.1'] }
  const server = await startLocalApi(t, ({ url = '' }, response) => {
    const { pathname, searchParams } = new URL(url, 'http://x')
    if (pathname.endsWith('/watch-ipn-bus')) return void response.write('{}\n')
    if (pathname.startsWith('/localapi/v0/cert/')) {
      asked.push(url)
      const given = node.gives(secondsOf(searchParams.get('min_validity')), response)
      if (given === 'nothing') return
      if ('status' in given) response.writeHead(given.status).end(given.text)
      else response.end(given.key + given.cert)
    } else if (pathname.endsWith('/status'))
      response.end(
        JSON.stringify({
          BackendState: 'Running',
          TUN: true,
          Self,
          CurrentTailnet: { Name: 'example.com' },
          CertDomains: [nodeName],
          ...node.status,
        }),
      )
    else {
      const whois = node.whois?.(searchParams.get('addr') ?? '') ?? null
      response.writeHead(whois ? 200 : 404).end(JSON.stringify(whois))
    }
  })
  return { socket: server.socket, asked, node }
}

export type TlsNode = Awaited<ReturnType<typeof startTlsNode>>

/** A daemon there. `more` changes its configuration; where that is a function, it is told of a folder for files. */
export async function startTlsNode(
  t: TestContext,
  options: NodeOptions,
  more: Partial<ConfigInput> | ((directory: string) => Partial<ConfigInput>) = {},
) {
  const tailscaled = await startTailscaled(t, options)
  const directory = temporaryDirectory(t)
  const policy_file = join(directory, 'policy.hujson')
  writeFileSync(policy_file, '{}')
  const port = await freePort()
  const clock = testClock()
  const { log, lines } = testLog()
  const { listen, ...rest } = typeof more === 'function' ? more(directory) : more
  const config = toConfig({
    issuer: `https://${nodeName}:${port}`,
    state_directory: join(directory, 'state'),
    policy_file,
    listen: { port, ...listen },
    mesh: { socket: tailscaled.socket },
    ...rest,
  })
  const starting = startDaemon({ config, log, now: clock.now })
  let daemon: Daemon | undefined
  t.after(() =>
    starting.then(
      (started) => started.close(),
      () => undefined,
    ),
  )
  return {
    ...tailscaled,
    directory,
    port,
    clock,
    lines,
    config,
    starting,
    /** The daemon as soon as it listens: where this process is busy, the first answer of tailscaled may have come too late for it, and the next one counts. */
    async serving(): Promise<Daemon> {
      const started = await starting
      await until(() => started.addresses().length > 0)
      return started
    },
    /** A TLS connection; resolves when the handshake is done. */
    connected: (more: ConnectionOptions = {}): Promise<TLSSocket> => connectedTo(port, more),
    /** What the control socket says. */
    async status() {
      daemon ??= await starting
      const live = { ...daemon.deps, policyInForce: {} as never, addresses: daemon.addresses, stopping: () => false }
      return (await runAction({ ...daemon.deps, live }, 'status', {})) as Record<string, unknown> & {
        ready: boolean
        certificate: { days_left: number | null; problem: { message: string; remedy: string } | null } | null
      }
    },
  }
}

/** A TLS connection to this port for the node's name; whose certificate it is is for the test to see. Rejects where there is none. */
export function connectedTo(port: number, more: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername: nodeName, rejectUnauthorized: false, ...more })
    socket.once('error', reject)
    socket.once('secureConnect', () => resolve(socket))
  })
}

/** SHA-256 of the certificate that a new connection is shown. */
export async function shownAt(port: number, more: ConnectionOptions = {}): Promise<string> {
  const socket = await connectedTo(port, more)
  const { fingerprint256 } = socket.getPeerX509Certificate() ?? { fingerprint256: '' }
  socket.destroy()
  return fingerprint256
}
