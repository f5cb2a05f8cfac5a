import assert from 'node:assert/strict'
import { test } from 'node:test'
import { meshRanges } from '../../src/identity/address.ts'
import type { Connection, Identity } from '../../src/identity/identity.ts'
import { from, identityOn, noon, onDevMesh, startLocalApi } from '../support/local_api.ts'

const who = async (identity: Identity, connection: Connection) => {
  const caller = await identity.identify(connection)
  if (caller.principal === null) return caller.reason
  return caller.principal.kind === 'user' ? caller.principal.login : caller.principal.tags.join()
}

test('people and tagged nodes, by source address alone', async (t) => {
  const { identity } = await onDevMesh(t)
  assert.equal(await who(identity, from('127.0.0.2')), 'alice@example.com')
  assert.equal(await who(identity, from('127.0.0.3')), 'bob@example.com')
  assert.equal(await who(identity, from('127.0.0.5')), 'mallory@other.com')
  assert.equal(await who(identity, from('127.0.0.6')), 'tag:ci')
  assert.equal(await who(identity, from('127.0.0.99')), 'unknown')
})

test('an IPv4-mapped address is the IPv4 address: to whois, to memory, to the principal [threats 323]', async (t) => {
  const { mesh, identity } = await onDevMesh(t, { cacheMs: 1000 })
  const caller = await identity.identify({ ...from('::ffff:127.0.0.2'), localAddress: '::ffff:127.0.0.1' })
  assert.equal(caller.principal?.address, '127.0.0.2')
  assert.equal(mesh.asked('whois 127.0.0.2'), 1)
  assert.equal(mesh.asked('whois ::ffff:127.0.0.2'), 0)
})

test('S2: whois is asked by bare address, and only for addresses of the mesh [threats 325]', async (t) => {
  const { mesh, identity } = await onDevMesh(t, { ranges: ['127.0.0.0/29'] })
  assert.equal(await who(identity, from('127.0.0.3')), 'bob@example.com')
  assert.equal(mesh.asked('whois 127.0.0.3'), 1)
  assert.equal(await who(identity, from('127.0.0.8')), 'not_mesh')
  assert.equal(mesh.asked('whois 127.0.0.8'), 0)
})

test('S1: the connection must end at a mesh address that this node has now', async (t) => {
  const { mesh, identity } = await onDevMesh(t)
  assert.equal(await who(identity, { ...from('127.0.0.2'), localAddress: '192.168.1.10' }), 'not_mesh')
  assert.equal(await who(identity, { ...from('127.0.0.2'), localAddress: '127.0.0.2' }), 'not_mesh')
  mesh.change({ machines: { idp: { address: '127.0.0.10' } } })
  await identity.refresh()
  assert.equal(await who(identity, from('127.0.0.2')), 'not_mesh')
  assert.equal(await who(identity, { ...from('127.0.0.2'), localAddress: '127.0.0.10' }), 'alice@example.com')
})

test('the real ranges: 100.64.0.0/10 without 100.115.92.0/23, and fd7a:115c:a1e0::/48; nothing beside them', async (t) => {
  const asked: string[] = []
  const server = await startLocalApi(t, ({ url = '' }, response) => {
    if (url.includes('status')) return void response.end('{"BackendState":"Running","Self":{"ID":"1","TailscaleIPs":["100.64.0.1"]}}')
    if (url.includes('whois')) asked.push(decodeURIComponent(url.split('addr=')[1] ?? ''))
    response.writeHead(404).end()
  })
  const identity = await identityOn(t, server.socket, { ranges: meshRanges })
  const inside = ['100.64.0.0', '100.127.255.255', '100.115.91.255', '100.115.94.0', 'fd7a:115c:a1e0::1', 'fd7a:115c:a1e0:ffff::1']
  const outside = [
    '100.63.255.255',
    '100.128.0.0',
    '100.115.92.0',
    '100.115.93.255',
    '127.0.0.1',
    '10.0.0.1',
    '::1',
    'fd7a:115c:a1e1::1',
    'fe80::1%eth0',
    '',
    'x',
  ]
  for (const source of [...inside, ...outside]) {
    const reason = await who(identity, { ...from(source), localAddress: '100.64.0.1' })
    assert.equal(reason, inside.includes(source) ? 'unknown' : 'not_mesh', source)
  }
  assert.deepEqual(asked, inside)
})

test('headers say nothing on a direct listener [threats 337, 340, 341, 343]', async (t) => {
  const { identity } = await onDevMesh(t)
  const forged = {
    host: 'localhost',
    'tailscale-user-login': 'alice@example.com',
    'tailscale-user-name': 'Alice',
    'tailscale-app-capabilities': '{}',
    'x-forwarded-for': '127.0.0.2',
    'x-forwarded-host': 'localhost',
    'x-real-ip': '127.0.0.2',
    'x-original-uri': '/',
    forwarded: 'for=127.0.0.2',
  }
  assert.equal(await who(identity, from('127.0.0.3', forged)), 'bob@example.com')
  assert.equal(await who(identity, from('127.0.0.99', forged)), 'unknown')
})

test('a forged Funnel header only makes things stricter [threats 350]', async (t) => {
  const { identity } = await onDevMesh(t)
  assert.equal(await who(identity, from('127.0.0.2', { 'tailscale-funnel-request': '?1' })), 'funnel')
  assert.equal(await who(identity, from('127.0.0.2', { 'tailscale-funnel-request': '?0' })), 'funnel')
})

test('S5: this very node is nobody, unless it is a person’s own machine; never for what a proxy on it forwards [threats 338]', async (t) => {
  const { mesh, identity } = await onDevMesh(t)
  mesh.change({ browser: 'idp', machines: { idp: { owner: 'alice@example.com', tags: undefined } } })
  await identity.refresh()
  assert.equal(await who(identity, from('127.0.0.1')), 'self')

  const own = await identityOn(t, mesh.socket, { allowSelf: true })
  assert.equal(await who(own, from('127.0.0.1')), 'alice@example.com')
  assert.equal(await who(own, from('127.0.0.1', { 'x-forwarded-for': '127.0.0.5' })), 'self')
})

test('S6, shared in, unsigned: nobody, each with its reason [threats 328, 361]', async (t) => {
  const { mesh, identity } = await onDevMesh(t)
  const reasonOf = async (machine: object) => {
    mesh.change({ machines: { 'alice-laptop': { expired: undefined, shared: undefined, unsigned: undefined, ...machine } } })
    return who(identity, from('127.0.0.2'))
  }
  assert.equal(await reasonOf({ expired: true }), 'expired')
  assert.equal(await reasonOf({ shared: true }), 'shared')
  assert.equal(await reasonOf({ unsigned: true }), 'unsigned')
  assert.equal(await reasonOf({ key_expiry: '2027-01-15T08:00:00Z' }), 'expired')
  assert.equal(await reasonOf({ key_expiry: '2027-01-15T08:00:01Z' }), 'alice@example.com')
})

test('every reason is a sentence for the person, and no two are the same', async (t) => {
  const { mesh, identity } = await onDevMesh(t)
  const sentences: string[] = []
  for (const machine of [
    { removed: true },
    { removed: false, expired: true },
    { expired: false, shared: true },
    { shared: false, unsigned: true },
  ]) {
    mesh.change({ machines: { 'alice-laptop': machine } })
    const caller = await identity.identify(from('127.0.0.2'))
    assert.ok(caller.principal === null)
    assert.match(caller.sentence, /^[A-Z].*127\.0\.0\.2.*\.$/)
    sentences.push(caller.sentence)
  }
  assert.equal(new Set(sentences).size, sentences.length)
})

test('an address that belongs to somebody else now is somebody else [threats 332]', async (t) => {
  const { mesh, identity } = await onDevMesh(t)
  assert.equal(await who(identity, from('127.0.0.2')), 'alice@example.com')
  mesh.change({ machines: { 'alice-laptop': { owner: 'bob@example.com' } } })
  assert.equal(await who(identity, from('127.0.0.2')), 'bob@example.com')
})

test('whoever was renamed is the same person; two machines of one person are that person on two nodes [threats 365, 367]', async (t) => {
  const { mesh, identity } = await onDevMesh(t)
  const principal = async (source: string) => {
    const caller = await identity.identify(from(source))
    assert.ok(caller.principal?.kind === 'user')
    return caller.principal
  }
  const before = await principal('127.0.0.2')
  mesh.change({
    people: { 'alicia@example.com': { id: '101' } },
    machines: { 'alice-laptop': { owner: 'alicia@example.com' }, 'alice-phone': { owner: 'alicia@example.com' } },
  })
  const [laptop, phone] = [await principal('127.0.0.2'), await principal('127.0.0.8')]
  assert.equal(laptop.login, 'alicia@example.com')
  assert.deepEqual([laptop.user_id, phone.user_id], [before.user_id, before.user_id])
  assert.notEqual(laptop.node.id, phone.node.id)
})

test('a user id beyond 2^53 arrives whole through the socket [threats 320]', async (t) => {
  const { mesh, identity } = await onDevMesh(t)
  mesh.change({ people: { 'alice@example.com': { id: '9007199254740993' }, 'bob@example.com': { id: '9007199254740992' } } })
  const id = async (source: string) => {
    const { principal } = await identity.identify(from(source))
    return principal?.kind === 'user' && principal.user_id
  }
  assert.equal(await id('127.0.0.2'), '9007199254740993')
  assert.equal(await id('127.0.0.3'), '9007199254740992')
})

test('a flood of one caller is one question; a change on the mesh ends what is remembered', async (t) => {
  const { mesh, identity } = await onDevMesh(t, { cacheMs: 1000 })
  const flood = () => Promise.all(Array.from({ length: 500 }, () => who(identity, from('127.0.0.2'))))
  assert.deepEqual(new Set(await flood()), new Set(['alice@example.com']))
  assert.ok(mesh.asked('whois 127.0.0.2') <= 2, `asked ${mesh.asked('whois 127.0.0.2')} times`) // 2: the bus said hello meanwhile
  mesh.change({ machines: { 'alice-laptop': { removed: true } } })
  await identity.refresh()
  assert.equal(await who(identity, from('127.0.0.2')), 'unknown')
})

test('what is remembered does not outlive a key', async (t) => {
  let now = noon
  const { mesh, identity } = await onDevMesh(t, { cacheMs: 1000, now: () => now })
  mesh.change({ machines: { 'alice-laptop': { key_expiry: '2027-01-15T08:01:00Z' } } })
  await identity.refresh()
  assert.equal(await who(identity, from('127.0.0.2')), 'alice@example.com')
  now += 60
  assert.equal(await who(identity, from('127.0.0.2')), 'expired')
})
