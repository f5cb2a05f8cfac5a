/**
 * The development mesh: a LocalAPI server on a unix socket, so that development and tests take the code path of a real mesh. Its
 * machines have loopback addresses: `curl --interface 127.0.0.3 …` is bob. A browser, which calls from the node's own 127.0.0.1, is
 * whoever was chosen on the page. Nothing of it is ever reachable from another machine.
 */
import { chmod, lstat, mkdir, readFile, unlink } from 'node:fs/promises'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { dirname } from 'node:path'
import { http } from '../node_http.ts'
import comesWithMeshidp from './dev_mesh.json' with { type: 'json' }
import { statusBody, whoisBody } from './dev_mesh_answers.ts'
import { type Change, changed, type MeshDocument, readDocument } from './dev_mesh_document.ts'
import { serveDevMeshPage } from './dev_mesh_page.ts'

/** To give as `ranges` to `createIdentity`. */
export const devMeshRanges: readonly string[] = ['127.0.0.0/8']

export type DevMeshOptions = {
  /** Path of the unix socket to make; a stale one is replaced. At most 107 bytes, as the kernel wants. */
  socket: string
  /** JSON of people and machines. Default: those that come with meshidp. */
  file?: string
  /** Where the page is that switches between people, loopback only; absent: no page. Port 0: any. */
  page?: { port: number; host?: string }
}

export type DevMesh = {
  socket: string
  /** Where the page is; null without. */
  page: string | null
  /** The people and machines now. */
  document(): MeshDocument
  /**
   * Changes people, machines, who is at the browser, or `BackendState`; whois tells at once, and the bus has a line of it.
   * `change({ machines: { 'alice-laptop': { expired: true } } })`. Written nowhere.
   */
  change(change: Change): void
  /** How often each path was asked, such as "whois 127.0.0.2" or "status peers=false". */
  asked(what: string): number
  /** The socket disappears, as when tailscaled is stopped. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Questions get no answer until `resume`, as of a tailscaled that hangs. */
  hang(): void
  resume(): void
  /** Ends it all. */
  close(): Promise<void>
}

/** Throws where the file is not a mesh, or what it should bind is not on this machine only. */
export async function startDevMesh({ socket, file, page }: DevMeshOptions): Promise<DevMesh> {
  if (Buffer.byteLength(socket) > 107) throw new Error(`The path ${socket} is too long for a unix socket. Choose a shorter folder.`)
  let mesh = readDocument(file === undefined ? comesWithMeshidp : JSON.parse(await readFile(file, 'utf8')))
  let server: Server | null = null
  let hanging = false
  const held: (() => void)[] = []
  const watchers = new Set<ServerResponse>()
  const counts = new Map<string, number>()

  /** tailscaled's guard against browsers: RFC 9110 §7.2 says nothing of it, its own validHost does. */
  const isGuarded = ({ headers }: IncomingMessage) =>
    headers.host !== 'local-tailscaled.sock' || headers.origin !== undefined || headers.referer !== undefined

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://local-tailscaled.sock')
    const send = (status: number, body: string) => response.writeHead(status, { 'content-type': 'application/json' }).end(body)
    const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1)

    if (isGuarded(request)) return void send(403, 'invalid localapi request')
    if (pathname === '/localapi/v0/whois') {
      const addr = searchParams.get('addr') ?? ''
      count(`whois ${addr}`)
      // As tailscaled right after its start: no match for anybody (S7).
      const body = mesh.state === 'NoState' ? null : whoisBody(mesh, addr)
      return void (body === null ? send(404, 'no match for IP:port') : send(200, body))
    }
    if (pathname === '/localapi/v0/status') {
      const peers = searchParams.get('peers') !== 'false'
      count(`status peers=${peers}`)
      return void send(200, statusBody(mesh, peers))
    }
    if (pathname === '/localapi/v0/watch-ipn-bus') {
      watchers.add(response)
      response.on('close', () => watchers.delete(response))
      response.writeHead(200, { 'content-type': 'application/json' })
      return void response.write(`${JSON.stringify({ State: mesh.state === 'Running' ? 6 : 4 })}\n`)
    }
    send(404, 'not found')
  }

  function change(what: Change): void {
    mesh = changed(mesh, what)
    for (const watcher of watchers) watcher.write('{}\n')
  }

  async function start(): Promise<void> {
    if (server) return
    await mkdir(dirname(socket), { recursive: true, mode: 0o700 })
    const stale = await lstat(socket).catch(() => null)
    if (stale?.isSocket()) await unlink(socket)
    server = http.createServer((request, response) => {
      if (hanging) held.push(() => answer(request, response))
      else answer(request, response)
    })
    server.keepAliveTimeout = 60_000
    await listening(server, socket)
    await chmod(socket, 0o600)
  }

  async function stop(): Promise<void> {
    const closing = server
    server = null
    if (!closing) return
    await new Promise<void>((done) => {
      closing.close(() => done())
      closing.closeAllConnections()
    })
  }

  function resume(): void {
    hanging = false
    for (const answerNow of held.splice(0)) answerNow()
  }

  await start()
  const shown = page
    ? await serveDevMeshPage({ ...page, document: () => mesh, choose: (browser) => change({ browser }) }).catch(giveUp)
    : null

  async function giveUp(error: unknown): Promise<never> {
    await stop()
    throw error
  }

  return {
    socket,
    page: shown?.url ?? null,
    document: () => mesh,
    change,
    asked: (what) => counts.get(what) ?? 0,
    stop,
    start,
    hang() {
      hanging = true
    },
    resume,
    async close() {
      await shown?.close()
      await stop()
    },
  }
}

const listening = (server: Server, path: string) =>
  new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => resolve())
  })
