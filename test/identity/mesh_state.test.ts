import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startDevMesh } from '../../src/identity/dev_mesh.ts'
import { Unavailable } from '../../src/oauth/error.ts'
import { from, identityOn, onDevMesh, startLocalApi, temporarySocket, until } from '../support/local_api.ts'

const alice = from('127.0.0.2')
const remembered = { user_id: '101', node_id: 'alice-laptop', address: '127.0.0.2', bind: 'user' } as const
const dark = (error: unknown) =>
  error instanceof Unavailable && error.status === 503 && error.details.headers?.['retry-after'] !== undefined

test('the status says who this node is, and which strategy fits', async (t) => {
  const { identity } = await onDevMesh(t)
  assert.deepEqual(identity.status(), {
    state: 'Running',
    running: true,
    addresses: ['127.0.0.1'],
    name: 'idp.dev-mesh.internal',
    tailnet: 'example.com',
    health: [],
    strategy: 'tun',
  })
})

test('whois answers while the mesh is down, and counts for nothing (S1)', async (t) => {
  const { mesh, identity } = await onDevMesh(t)
  assert.equal((await identity.identify(alice)).principal?.kind, 'user')
  for (const state of ['Stopped', 'NeedsLogin', 'NeedsMachineAuth', 'Starting', 'NoState', 'InUseOtherUser', 'running']) {
    mesh.change({ state })
    assert.equal((await identity.refresh()).running, false)
    await assert.rejects(identity.identify(alice), dark, state)
    await assert.rejects(identity.stillThere(remembered), dark, state)
  }
  mesh.change({ state: 'Running' })
  await identity.refresh()
  assert.equal((await identity.identify(alice)).principal?.kind, 'user')
})

test('a line of the bus is enough to notice it, and what was remembered is forgotten (S1)', async (t) => {
  const { mesh, identity } = await onDevMesh(t, { cacheMs: 1000, poll: { heard: 60_000, dark: 60_000 } })
  await until(() => mesh.asked('status peers=false') > 1) // the bus is heard
  await identity.identify(alice)
  mesh.change({ state: 'Stopped' })
  await until(() => identity.status().running === false)
  await assert.rejects(identity.identify(alice), dark)
})

test('no match for anybody while tailscaled starts is 503, not "nobody" (S7)', async (t) => {
  const { mesh, identity } = await onDevMesh(t)
  const unknown = await identity.identify(from('127.0.0.99'))
  assert.equal(unknown.principal === null && unknown.reason, 'unknown')
  mesh.change({ state: 'NoState' })
  await assert.rejects(identity.identify(alice), dark) // also before the line of the bus is read: a miss has the state asked anew
})

test('S7 without a bus: a miss has the state asked anew', async (t) => {
  const status = (state: string) => JSON.stringify({ BackendState: state, Self: { ID: '1', TailscaleIPs: ['127.0.0.1'] } })
  let state = 'Running'
  const server = await startLocalApi(t, ({ url }, response) => {
    if (url?.includes('status')) response.end(status(state))
    else response.writeHead(404).end()
  })
  const identity = await identityOn(t, server.socket, { poll: { heard: 60_000, dark: 60_000 } })
  assert.equal((await identity.identify(alice)).principal, null)
  state = 'NoState'
  await assert.rejects(identity.identify(alice), dark)
})

test('started while the mesh is away: the status says so, requests get 503, and it recovers by itself [threats 319]', async (t) => {
  const socket = await temporarySocket(t)
  const identity = await identityOn(t, socket)
  assert.equal(identity.status().running, false)
  assert.match(identity.status().state, /is not there/)
  await assert.rejects(identity.refresh(), dark)
  await assert.rejects(identity.identify(alice), dark)

  const mesh = await startDevMesh({ socket })
  t.after(() => mesh.close())
  await until(() => identity.status().running)
  assert.equal((await identity.identify(alice)).principal?.kind, 'user')
})

test('tailscaled stopped and started again: 503 for its dark moment, then well [threats 319]', async (t) => {
  const { mesh, identity } = await onDevMesh(t, { cacheMs: 1000 })
  await identity.identify(alice)
  await mesh.stop()
  await until(() => !identity.status().running)
  await assert.rejects(identity.identify(alice), dark)
  await assert.rejects(identity.stillThere(remembered), dark)
  assert.deepEqual(identity.status().addresses, ['127.0.0.1'], 'what we listen on is still known')
  await mesh.start()
  await until(() => identity.status().running)
  assert.equal((await identity.identify(alice)).principal?.kind, 'user')
})

test('tailscaled that hangs: 503 at the deadline, at once when that is known, then well [threats 319]', async (t) => {
  const { mesh, identity } = await onDevMesh(t, { deadlineMs: 500, poll: { heard: 60_000, dark: 60_000 } })
  await until(() => mesh.asked('status peers=false') > 1) // the bus is heard
  mesh.hang()
  await assert.rejects(identity.identify(alice), dark)
  await until(() => !identity.status().running)
  const asked = mesh.asked('whois 127.0.0.2')
  await assert.rejects(identity.identify(alice), dark)
  mesh.resume()
  assert.ok(mesh.asked('whois 127.0.0.2') <= asked + 1, 'while dark nothing is asked for callers')
  mesh.change({}) // a line of the bus, as there is when tailscaled goes on
  await until(() => identity.status().running)
  assert.equal((await identity.identify(alice)).principal?.kind, 'user')
})

test('an outage is never remembered as an identity [threats 319]', async (t) => {
  const { mesh, identity } = await onDevMesh(t, { cacheMs: 1000, deadlineMs: 500 })
  mesh.hang()
  await assert.rejects(identity.identify(alice), dark)
  mesh.resume()
  await until(() => identity.status().running)
  assert.equal((await identity.identify(alice)).principal?.kind, 'user')
})

/** A status, as text. */
const statusText = (members: object, self: object = {}) =>
  JSON.stringify({ BackendState: 'Running', Self: { ID: '1', TailscaleIPs: ['127.0.0.1'], ...self }, ...members })

test('without a bus polling notices a change, and what was remembered is forgotten', async (t) => {
  let name = 'idp.one.'
  let questions = 0
  const server = await startLocalApi(t, ({ url = '' }, response) => {
    if (url.includes('status')) return void response.end(statusText({}, { DNSName: name }))
    if (url.includes('whois')) questions++
    response.writeHead(404).end()
  })
  const identity = await identityOn(t, server.socket, { cacheMs: 1000 })
  await identity.identify(alice)
  await identity.identify(alice)
  assert.equal(questions, 1)
  name = 'idp.two.'
  await until(() => identity.status().name === 'idp.two')
  await identity.identify(alice)
  assert.equal(questions, 2)
})

test('a status that was overtaken by a later one does not count', async (t) => {
  const held: ((body: string) => void)[] = []
  let hold = false
  const server = await startLocalApi(t, ({ url = '' }, response) => {
    if (!url.includes('status')) return void response.writeHead(404).end()
    if (hold) held.push((body) => response.end(body))
    else response.end(statusText({}))
  })
  const identity = await identityOn(t, server.socket, { poll: { heard: 60_000, dark: 60_000 } })
  hold = true
  const first = identity.refresh()
  await until(() => held.length === 1)
  const second = identity.refresh()
  await until(() => held.length === 2)
  held[1]?.(statusText({ BackendState: 'Stopped' }))
  await second
  held[0]?.(statusText({}))
  await first
  assert.equal(identity.status().running, false)
})

test('the list of peers counts only while the mesh is Running (S7)', async (t) => {
  const server = await startLocalApi(t, ({ url = '' }, response) => {
    if (url.includes('peers=true')) return void response.end(statusText({ BackendState: 'Starting' }))
    if (url.includes('status')) return void response.end(statusText({}))
    response.end(JSON.stringify({ Node: { StableID: '3', User: 102 }, UserProfile: { ID: 102, LoginName: 'bob@example.com' } }))
  })
  const identity = await identityOn(t, server.socket)
  await assert.rejects(identity.stillThere(remembered), dark)
})

test('a control server out of reach: decisions go on, and the status says so [threats 362]', async (t) => {
  const server = await startLocalApi(t, ({ url }, response) => {
    if (!url?.includes('status')) return void response.writeHead(404).end()
    response.end(JSON.stringify({ BackendState: 'Running', Self: { ID: '1', TailscaleIPs: null }, Health: ['no control server'] }))
  })
  const { running, health } = (await identityOn(t, server.socket)).status()
  assert.deepEqual({ running, health }, { running: true, health: ['no control server'] })
})

test('another tailnet than the one whose people are known: nobody has an identity [threats 364]', async (t) => {
  const { mesh, identity } = await onDevMesh(t, { refuses: (name) => (name === 'example.com' ? null : `This is ${name}.`) })
  assert.equal((await identity.identify(alice)).principal?.kind, 'user')
  mesh.change({ tailnet: 'other.example' })
  const status = await identity.refresh()
  assert.deepEqual([status.running, status.state, status.tailnet], [false, 'This is other.example.', 'other.example'])
  await assert.rejects(identity.identify(alice), /This is other\.example/)
  mesh.change({ tailnet: 'example.com' })
  await identity.refresh()
  assert.equal((await identity.identify(alice)).principal?.kind, 'user')
})

test('a node that does not know itself, or has expired, gives no identity (S1, S5)', async (t) => {
  const { mesh, identity } = await onDevMesh(t)
  mesh.change({ machines: { idp: { expired: true } } })
  assert.match((await identity.refresh()).state, /has expired/)
  await assert.rejects(identity.identify(alice), dark)

  const server = await startLocalApi(t, (_request, response) => response.end(JSON.stringify({ BackendState: 'Running' })))
  await assert.rejects((await identityOn(t, server.socket)).identify(alice), dark)
})

test('a hostile LocalAPI gives nobody an identity, and the state survives it [threats 319, 320]', async (t) => {
  const server = await startLocalApi(t, (_request, response) => response.writeHead(302, { location: '/' }).end())
  const identity = await identityOn(t, server.socket, { deadlineMs: 500 })
  const tries: ((url: string, end: (body: string) => void) => void)[] = [
    (_url, end) => end('\0\0\0'),
    (_url, end) => end('[]'),
    (_url, end) => end(`{"BackendState":"Running","Self":${'['.repeat(5000)}${']'.repeat(5000)}}`),
    (_url, end) => end(' '.repeat(3 << 20)),
    () => {},
  ]
  for (const attempt of tries) {
    server.use(({ url = '' }, response) => attempt(url, (body) => response.end(body)))
    await assert.rejects(identity.identify(alice), dark)
    await assert.rejects(identity.refresh(), dark)
  }
  // It says Running, and talks nonsense of callers.
  server.use(({ url = '' }, response) => {
    response.end(url.includes('status') ? '{"BackendState":"Running","Self":{"ID":"1","TailscaleIPs":["127.0.0.1"]}}' : '{"Node":{}}')
  })
  await identity.refresh()
  const caller = await identity.identify(alice)
  assert.equal(caller.principal === null && caller.reason, 'malformed')
  await assert.rejects(identity.stillThere(remembered), dark, 'what cannot be read is no reason to end anything')
})

test('a bus that talks without end does not become as many questions', async (t) => {
  let questions = 0
  const server = await startLocalApi(t, ({ url = '' }, response) => {
    if (url.includes('watch-ipn-bus')) {
      const talk = setInterval(() => response.write('{}\n'), 1)
      response.on('close', () => clearInterval(talk))
    } else {
      questions++
      response.end('{"BackendState":"Running","Self":{"ID":"1"}}')
    }
  })
  const began = performance.now()
  const identity = await identityOn(t, server.socket)
  await until(() => questions > 5)
  const took = performance.now() - began
  assert.ok(identity.status().running)
  assert.ok(questions < 3 + took / 19, `${questions} questions in ${took} ms`) // one every 20 ms, and those at the start
})

test('close ends all: no connection, no question after it', async (t) => {
  const { mesh, identity } = await onDevMesh(t)
  await identity.close()
  const asked = mesh.asked('status peers=false')
  mesh.change({ state: 'Stopped' })
  await new Promise((done) => setTimeout(done, 60))
  assert.equal(mesh.asked('status peers=false'), asked)
})
