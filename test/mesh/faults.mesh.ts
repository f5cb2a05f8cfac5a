/**
 * A tailscaled that dies, hangs, starts again, or whose LocalAPI is somebody hostile: no identity is given, nothing ends, nothing leaks, and meshidp recovers
 * by itself.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { pipeline } from 'node:stream'
import { test } from 'node:test'
import { Agent } from 'undici'
import { eventually } from '../support/eventually.ts'
import { type Answer, startLocalApi } from '../support/local_api.ts'
import { type Person, personBy, type Refusal } from '../support/person.ts'
import { mesh } from './mesh.ts'
import { document, provider } from './provider.ts'

/** As tailscaled behind `socket` answers. */
const forwarded =
  (socketPath: string): Answer =>
  ({ url = '', headers }, response) => {
    const theirs = httpRequest({ socketPath, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500)
      pipeline(answer, response, () => response.destroy())
    })
    theirs.on('error', () => response.destroy())
    response.on('close', () => theirs.destroy())
    theirs.end()
  }

/** Alice's own answer, changed as a liar would. */
const lie = (change: (node: Record<string, unknown>, profile: Record<string, unknown>) => void): Answer => {
  const node = { StableID: 'nROOT', User: 101, Addresses: ['100.64.0.2/32'], Name: 'alice-laptop.mesh.test.' }
  const profile = { ID: 101, LoginName: 'alice@example.com' }
  change(node, profile)
  return (_request, response) => void response.end(JSON.stringify({ Node: node, UserProfile: profile }))
}

/** Writes as fast as it is read, up to a gigabyte. */
const gigabyte: Answer = (_request, response) => {
  let sent = 0
  const more = () => {
    while (sent < 1 << 30 && !response.destroyed) {
      sent += 1 << 16
      if (!response.write(Buffer.alloc(1 << 16, 0x20))) return void response.once('drain', more)
    }
  }
  more()
}

const drip: Answer = (_request, response) => {
  const timer = setInterval(() => response.write(' '), 1000)
  response.on('close', () => clearInterval(timer))
}

const raw =
  (text: string): Answer =>
  (_request, response) =>
    void response.socket?.end(text)

/** What a hostile one answers to everything: whois, status and the bus. */
const hostiles: [string, Answer][] = [
  ['garbage', (_request, response) => void response.end(Buffer.from('fffe0001deadbeef', 'hex'))],
  ['no HTTP at all', raw('\0\0\0\0')],
  ['headers without end', (_request, response) => void setInterval(() => response.socket?.write('x-more: 1\r\n'), 50).unref()],
  ['a gigabyte', gigabyte],
  ['a slow drip', drip],
  ['silence', () => {}],
  ['a redirect', (_request, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
  ['403', (_request, response) => void response.writeHead(403).end('{}')],
  ['an empty list', (_request, response) => void response.end('[]')],
  ['wrong types', lie((node, profile) => Object.assign(node, { User: {}, StableID: 7 }) && Object.assign(profile, { LoginName: [] }))],
  ['a status in which all is wrong', (_request, response) => void response.end('{"BackendState":["Running"],"Self":7,"Peer":[]}')],
  ['two answers to one question', raw('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}')],
  ['a lie to every question', lie(() => {})],
]

const openFiles = () => readdirSync('/proc/self/fd').length

test('a tailscaled that fails, and one that is not tailscaled', async (t) => {
  const lab = await mesh(t, document)
  const [idp, alice] = [lab.machine('idp'), lab.machine('alice-laptop')]
  // Between the daemon and tailscaled, so that another one can take its place, with which all connections to the real one end.
  const front = await startLocalApi(t, forwarded(idp.socket))
  const lead = (answer: Answer) => {
    front.use(answer)
    for (const connection of front.connections) connection.destroy()
  }
  const { at, issuer, daemon } = await provider(t, idp, { config: { mesh: { socket: front.socket } } })
  const person = at(alice)
  const client = await person.register()
  const { port } = new URL(issuer)
  const near = new Agent({ connect: { rejectUnauthorized: false } })
  t.after(() => near.destroy())
  /** From the machine itself, where no tailscaled is needed to reach it. */
  const here: Person = personBy(near, issuer, '127.0.0.1', ({ pathname, search }) => `https://127.0.0.1:${port}${pathname}${search}`)
  let tokens = await person.signIn(client, { scope: 'openid offline_access' })

  /** 503 for what needs an identity, and nothing is spent; the rest goes on. */
  async function assertDark(): Promise<void> {
    const refused = await here.refresh(client, tokens).then(
      () => assert.fail('a token while nobody can say who is there'),
      (error: Refusal) => error,
    )
    assert.deepEqual([refused.status, refused.error], [503, 'temporarily_unavailable'])
    const page = await here.send('/', { headers: { accept: 'text/html' } })
    assert.equal(page.status, 503, page.text)
    assert.equal((await here.send('/jwks')).status, 200)
    await assert.rejects(
      daemon.deps.identity.identify({ remoteAddress: '127.0.0.1', remotePort: 1, localAddress: '127.0.0.1', headers: {} }),
      /The mesh/,
    )
  }

  async function assertWell(): Promise<void> {
    tokens = await eventually('well again', () =>
      here.refresh(client, tokens).catch((error: Refusal) => void assert.equal(error.status, 503, String(error))),
    )
  }

  const failures: [string, () => Promise<void> | void, () => Promise<void> | void][] = [
    ['killed', () => idp.kill(), () => idp.start()],
    ['hung', () => idp.signal('SIGSTOP'), () => idp.signal('SIGCONT')],
    ['switched off', async () => void (await idp.tailscale('down')), async () => void (await idp.tailscale('up'))],
  ]
  for (const [what, begin, end] of failures)
    await t.test(`tailscaled ${what}: 503 for that time, then well; nobody is signed out [threats 319]`, async () => {
      await begin()
      await eventually('it is dark', async () => (await here.send('/readyz')).status === 503)
      await assertDark()
      await end()
      await assertWell()
    })

  await t.test('ten restarts while alice goes on refreshing: 503 or a token, never invalid_grant [threats 319]', async () => {
    const answers: Record<string, number> = {}
    const stop = new AbortController()
    const refreshing = (async () => {
      while (!stop.signal.aborted) {
        const status = await here.refresh(client, tokens).then(
          (next) => {
            tokens = next
            return 200
          },
          (error: Refusal) => error.status,
        )
        answers[status] = (answers[status] ?? 0) + 1
        await new Promise((done) => setTimeout(done, 5))
      }
    })()
    for (let times = 0; times < 10; times++) {
      await idp.kill()
      await idp.start()
      await eventually('ready', async () => (await here.send('/readyz')).status === 200)
    }
    stop.abort()
    await refreshing
    t.diagnostic(JSON.stringify(answers))
    assert.deepEqual(
      Object.keys(answers).filter((status) => status !== '200' && status !== '503'),
      [],
    )
    assert.ok(answers[200])
    await eventually('alice reaches it through her own tailscaled', () =>
      person.refresh(client, tokens).then(
        (next) => (tokens = next),
        () => null,
      ),
    )
  })

  for (const [what, answer] of hostiles)
    await t.test(
      `in its place one that answers ${what}: no identity, no crash, and well again when the real one is back [threats 319]`,
      async () => {
        const [files, memory] = [openFiles(), process.memoryUsage().rss]
        lead(answer)
        await eventually('it is dark', async () => (await here.send('/readyz')).status === 503)
        await assertDark()
        lead(forwarded(idp.socket))
        await assertWell()
        await eventually('no socket is left open', () => openFiles() <= files + 8)
        assert.ok(process.memoryUsage().rss - memory < 150 << 20, 'what it sent is not kept')
      },
    )
})
