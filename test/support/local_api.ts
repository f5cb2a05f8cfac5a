/** A LocalAPI for tests: the development mesh with an identity on it, or a server that answers whatever a test wants. */
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { createIdentity, type IdentityOptions } from '../../src/identity/create_identity.ts'
import { devMeshRanges, startDevMesh } from '../../src/identity/dev_mesh.ts'
import type { Connection } from '../../src/identity/identity.ts'

/** A path for a unix socket, gone after the test. */
export async function temporarySocket(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'meshidp-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 'tailscaled.sock')
}

/** A connection over the development mesh, from `source` to this node. */
export const from = (source: string, headers: Connection['headers'] = {}): Connection => ({
  remoteAddress: source,
  remotePort: 40_000,
  localAddress: '127.0.0.1',
  headers,
})

/** What the tests believe is now: 2027-01-15T08:00:00Z, seconds. */
export const noon = 1_800_000_000

export type OnDevMesh = Partial<IdentityOptions>

/** The development mesh, and an identity that asks it; nothing is remembered unless the test says so. */
export async function onDevMesh(t: TestContext, options: OnDevMesh = {}) {
  const mesh = await startDevMesh({ socket: await temporarySocket(t) })
  t.after(() => mesh.close())
  const identity = await identityOn(t, mesh.socket, options)
  return { mesh, identity }
}

/** An identity that asks the LocalAPI at `socket`; quick to look again. */
export async function identityOn(t: TestContext, socket: string, options: OnDevMesh = {}) {
  const poll = { heard: 5000, dark: 20 }
  const identity = await createIdentity({ socket, strategy: 'auto', ranges: devMeshRanges, cacheMs: 0, now: () => noon, poll, ...options })
  t.after(() => identity.close())
  return identity
}

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** A LocalAPI that answers as `answer` says; `use` changes that. `at`: where its socket is. */
export async function startLocalApi(t: TestContext, answer: Answer, at?: string) {
  const socket = at ?? (await temporarySocket(t))
  const requests: IncomingMessage[] = []
  const connections = new Set<Socket>()
  let opened = 0
  let now = answer
  const server = createServer((request, response) => {
    requests.push(request)
    response.on('error', () => {})
    now(request, response)
  })
  server.on('connection', (connection) => {
    opened++
    connections.add(connection)
    connection.on('close', () => connections.delete(connection))
  })
  await new Promise<void>((done) => server.listen(socket, done))
  const close = () =>
    new Promise<void>((done) => {
      server.close(() => done())
      server.closeAllConnections()
    })
  t.after(close)
  return {
    close,
    socket,
    requests,
    connections,
    /** How many connections there ever were. */
    opened: () => opened,
    use(answer: Answer) {
      now = answer
    },
  }
}

/** Waits until something is so, by looking every few milliseconds; the test's own time limit is the end of it. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((done) => setTimeout(done, 5))
}
