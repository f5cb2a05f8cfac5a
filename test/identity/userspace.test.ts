import assert from 'node:assert/strict'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { endianness } from 'node:os'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from '../../src/identity/identity.ts'
import { nobody } from '../../src/identity/nobody.ts'
import { owners, ownersIn } from '../../src/identity/socket_owner.ts'
import type { Surroundings } from '../../src/identity/strategy.ts'
import { type UserspaceOptions, userspace } from '../../src/identity/userspace.ts'
import { Unavailable } from '../../src/oauth/error.ts'
import type { Caller } from '../../src/oauth/principal.ts'
import { from, identityOn, startLocalApi, until } from '../support/local_api.ts'

const header = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
const row = (local: string, remote: string, { state = '01', uid = 0, inode = 4711 } = {}) =>
  `   1: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000  ${uid}        0 ${inode} 1 0000000000000000 20 4 30 10 -1`
const table = (...rows: string[]) => [header, ...rows, ''].join('\n')

const ends = { address: '127.0.0.1', port: 0x9c40, peerAddress: '127.0.0.1', peerPort: 8484 }
const [near, far, elsewhere] = ['0100007F:9C40', '0100007F:2124', '0100007F:2125']
const nobodys = { here: [], elsewhere: [] }
const little = { skip: endianness() === 'BE' && 'the fixtures are from a little-endian machine' }

test('S3: the owner of a connection is read from the kernel’s table, by both of its ends', little, () => {
  assert.deepEqual(ownersIn(table(row(near, far, { uid: 1000 })), ends), { here: [1000], elsewhere: [] })
  assert.deepEqual(ownersIn(table(row(far, near, { uid: 0 })), ends), nobodys, 'our own end is not theirs')
  const both = table(row(near, elsewhere, { uid: 0 }), row(near, far, { uid: 1000 }))
  assert.deepEqual(ownersIn(both, ends), { here: [1000], elsewhere: [0] }, 'a port that tailscaled uses elsewhere')
  assert.deepEqual(ownersIn(both, { ...ends, peerPort: undefined }), { here: [0, 1000], elsewhere: [] })
  assert.deepEqual(ownersIn(table(), ends), nobodys)
  assert.deepEqual(ownersIn('', ends), nobodys)
})

test('S3: a socket that its process closed is shown as root’s, and does not count', little, () => {
  for (const state of ['04', '05', '06', '08', '0A']) assert.deepEqual(ownersIn(table(row(near, far, { state })), ends), nobodys, state)
  for (const to of [far, elsewhere]) assert.deepEqual(ownersIn(table(row(near, to, { inode: 0 })), ends), nobodys)
})

test('S3: a connection that is about to end, or to begin, holds its port all the same; who only listens has none', little, () => {
  for (const state of ['01', '02', '04', '05', '08'])
    assert.deepEqual(ownersIn(table(row(near, elsewhere, { state, uid: 7 })), ends), { here: [], elsewhere: [7] }, state)
  assert.deepEqual(ownersIn(table(row(near, '00000000:0000', { state: '0A' })), ends), nobodys)
})

test('S3: IPv4-mapped and IPv6 ends are found in the table of IPv6', little, () => {
  const mapped = '0000000000000000FFFF00000100007F'
  assert.deepEqual(ownersIn(table(row(`${mapped}:9C40`, `${mapped}:2124`, { uid: 7 })), ends).here, [7])
  const loopback6 = '00000000000000000000000001000000'
  const over6 = { ...ends, address: '::1', peerAddress: '::1' }
  assert.deepEqual(ownersIn(table(row(`${loopback6}:9C40`, `${loopback6}:2124`, { uid: 8 })), over6).here, [8])
})

async function realConnection(t: TestContext, host: string) {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, host, done))
  const accepted = new Promise<Socket>((done) => server.once('connection', done))
  const client = connect((server.address() as AddressInfo).port, host)
  const peer = await accepted
  t.after(() => {
    client.destroy()
    peer.destroy()
    server.close()
  })
  const { remoteAddress = '', remotePort = 0, localAddress = '', localPort = 0 } = peer
  return { remoteAddress, remotePort, localAddress, localPort, headers: {} }
}

test('S3: the owner of a real loopback connection is found', { skip: process.platform !== 'linux' && 'needs /proc' }, async (t) => {
  const { remoteAddress, remotePort, localAddress, localPort } = await realConnection(t, '127.0.0.1')
  const real = { address: remoteAddress, port: remotePort, peerAddress: localAddress, peerPort: localPort }
  assert.deepEqual((await owners(real)).here, [process.getuid?.()])
  assert.deepEqual((await owners({ ...real, peerPort: undefined })).here, [process.getuid?.()])
  assert.deepEqual(await owners({ ...real, port: 1 }), nobodys)
})

const alice: Caller = {
  principal: {
    kind: 'node',
    tags: ['tag:ci'],
    capabilities: new Map(),
    node: { id: '2', name: '', addresses: [], key_expiry: null, os: null, os_version: null },
    address: '127.0.0.1',
  },
}

/** Who owns the other end, and who has the same port for another connection. */
const by =
  (...here: number[]) =>
  async () => ({ here, elsewhere: [] as number[] })

function strategyWith(options: UserspaceOptions, whoisPort: Surroundings['whoisPort'] = async () => alice) {
  const callers = { known: () => undefined, ask: () => assert.fail('asked by bare address'), forget() {} }
  const surroundings = { callers, whoisPort, isMesh: () => true, allowSelf: false, socket: '/nowhere', log: undefined }
  const seams = { ownersOf: by(0), ownerOfFile: async () => 0, overflow: async () => 65534, ...options }
  const strategy = userspace(surroundings, seams)
  const mesh = {
    running: true,
    reachable: true,
    state: 'Running',
    self_id: '1',
    addresses: new Set<string>(),
    name: '',
    tailnet: '',
    tun: false,
  }
  return async (connection: Connection) => {
    const caller = await strategy(connection, { ...mesh, health: [], dark: null })
    return caller.principal === null ? caller.reason : 'somebody'
  }
}

test('S3: only what the owner of tailscaled’s socket opened has an identity', async () => {
  const tries: [UserspaceOptions, string][] = [
    [{}, 'somebody'],
    [{ ownersOf: by(1000) }, 'local_process'],
    [{ ownersOf: by() }, 'local_process'],
    [{ ownersOf: by(0, 1000) }, 'local_process'],
    [{ ownersOf: by(1000), ownerOfFile: async () => 1000 }, 'somebody'],
    [{ ownersOf: by(65534), ownerOfFile: async () => 65534 }, 'local_process'],
    [{ ownersOf: by(0), overflow: async () => 0 }, 'local_process'],
  ]
  for (const [options, expected] of tries) {
    assert.equal(await strategyWith(options)(from('127.0.0.1')), expected)
  }
})

test('S3: a process of another user is refused before whois is asked (S2)', async () => {
  const who = strategyWith({ ownersOf: by(1000) }, async () => assert.fail('whois was asked'))
  assert.equal(await who(from('127.0.0.1')), 'local_process')
})

test('S3: a port that tailscaled has for another connection, too, is nobody’s: 503, and the connection ends', async () => {
  const isShared = (error: unknown) => error instanceof Unavailable && error.details.headers?.connection === 'close'
  const both = { here: [0], elsewhere: [0] }
  const unasked = strategyWith({ ownersOf: async () => both }, async () => assert.fail('whois was asked'))
  await assert.rejects(unasked(from('127.0.0.1')), isShared)

  const inTurn = [{ here: [0], elsewhere: [] }, both]
  const meanwhile = strategyWith({ ownersOf: async () => inTurn.shift() ?? assert.fail('looked again') })
  await assert.rejects(meanwhile(from('127.0.0.1')), isShared, 'one that came while whois was asked')

  const others = strategyWith({ ownersOf: async () => ({ here: [0], elsewhere: [1000] }) })
  assert.equal(await others(from('127.0.0.1')), 'somebody', 'whois never means what another user opened')
})

test('where the owner cannot be found out the answer is 503, not an identity', async () => {
  const fails = async () => Promise.reject(new Error('ENOENT'))
  for (const options of [{ ownersOf: fails }, { ownerOfFile: fails }]) {
    await assert.rejects(strategyWith(options)(from('127.0.0.1')), Unavailable)
  }
})

test('userspace mode is loopback only, and Funnel is nobody [threats 349]', async () => {
  const who = strategyWith({})
  assert.equal(await who(from('100.64.0.2')), 'not_mesh')
  assert.equal(await who({ ...from('127.0.0.1'), localAddress: '192.168.0.1' }), 'not_mesh')
  assert.equal(await who(from('127.0.0.1', { 'tailscale-funnel-request': '?1' })), 'funnel')
  assert.equal(await who({ ...from('::ffff:127.0.0.1'), localAddress: '::ffff:127.0.0.1' }), 'somebody')
})

/** Who is at port 40000 is alice, others are nobody, which takes `missMs` to find out; and when each question began and ended. */
function strangers({ missMs, ...options }: UserspaceOptions & { missMs: number }) {
  const questions: { port: number; began: number; ended: number }[] = []
  let asking = 0
  const who = strategyWith(options, async (address, port) => {
    assert.equal(++asking, 1, 'one at a time')
    const began = performance.now()
    if (port !== 40_000) await sleep(missMs)
    asking--
    questions.push({ port, began, ended: performance.now() })
    return port === 40_000 ? alice : nobody('unknown', address)
  })
  return { questions, ask: (remotePort: number) => who({ ...from('127.0.0.1'), remotePort }) }
}

test('S2: a miss is remembered for a moment by its port, and who was somebody is asked about meanwhile', async () => {
  const { questions, ask } = strangers({ missMs: 50, patience: 0 })
  assert.equal(await ask(40_000), 'somebody')
  assert.equal(await ask(1), 'unknown')
  assert.equal(await ask(1), 'unknown')
  assert.equal(await ask(40_000), 'somebody')
  await assert.rejects(ask(2), Unavailable)
  assert.deepEqual(
    questions.map(({ port }) => port),
    [40_000, 1, 40_000],
  )
})

test('S2: all misses together get a tenth of the time: whoever is not known yet waits in turn, nine times as long as the last miss took', async () => {
  const { questions, ask } = strangers({ missMs: 20, patience: 60_000 })
  const callers = await Promise.all([1, 2, 3, 40_000].map(ask))
  assert.deepEqual(callers, ['unknown', 'unknown', 'unknown', 'somebody'], 'strangers do not shut anybody out')
  for (const [at, { began }] of questions.entries()) {
    const before = questions[at - 1]
    if (before) assert.ok(began - before.ended >= 8 * (before.ended - before.began), JSON.stringify(questions))
  }
})

test('S2: who would wait too long, or behind too many, is told to come again at once', async () => {
  const { questions, ask } = strangers({ missMs: 50, patience: 300 })
  const tried = await Promise.allSettled(Array.from({ length: 300 }, (_, port) => ask(port + 1)))
  const refused = tried.filter((one) => one.status === 'rejected')
  assert.ok(refused.length >= 298 && refused.every(({ reason }) => reason instanceof Unavailable), `${refused.length} refused`)
  assert.ok(questions.length <= 2)
  await until(() =>
    ask(40_000).then(
      (who) => who === 'somebody',
      () => false, // until nine times as long as the miss took
    ),
  )
})

test('S2: when tailscaled cannot be asked, those who wait hear that at once', async () => {
  let asked = 0
  const who = strategyWith({}, async () => {
    asked++
    throw new Unavailable('hangs')
  })
  const callers = [1, 2, 3, 4].map((remotePort) => who({ ...from('127.0.0.1'), remotePort }))
  for (const { status } of await Promise.allSettled(callers)) assert.equal(status, 'rejected')
  assert.equal(asked, 1)
  await assert.rejects(who({ ...from('127.0.0.1'), remotePort: 1 }), Unavailable)
  assert.equal(asked, 2, 'who comes later is asked about again')
})

test('userspace mode is found by the status, and asks by address and port with proto=tcp [threats 325]', async (t) => {
  const asked: string[] = []
  const server = await startLocalApi(t, ({ url = '' }, response) => {
    if (url.includes('status'))
      return void response.end('{"BackendState":"Running","TUN":false,"Self":{"ID":"1","TailscaleIPs":["100.64.0.1"]}}')
    if (!url.includes('whois')) return void response.writeHead(404).end()
    asked.push(decodeURIComponent(url))
    const alice = { Node: { StableID: '2', User: 1 }, UserProfile: { ID: 1, LoginName: 'alice@example.com' } }
    response.end(JSON.stringify(alice))
  })
  const identity = await identityOn(t, server.socket)
  assert.equal(identity.status().strategy, 'userspace')
  const connection = await realConnection(t, '127.0.0.1')
  const { principal } = await identity.identify(connection) // the server, like this process, is ours: one user
  assert.equal(principal?.kind === 'user' && principal.login, 'alice@example.com')
  await identity.identify(connection)
  const question = `/localapi/v0/whois?addr=127.0.0.1:${connection.remotePort}&proto=tcp`
  assert.deepEqual(asked, [question, question], 'a port may be somebody else’s in a moment: nothing is remembered')
})
