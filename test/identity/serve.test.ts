import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection, Identity } from '../../src/identity/identity.ts'
import { decodeWords } from '../../src/identity/serve.ts'
import { onDevMesh } from '../support/local_api.ts'

/** A request that arrived on our unix socket. */
const forwarded = (headers: Connection['headers']): Connection => ({ remoteAddress: '', remotePort: 0, localAddress: '', headers })

const who = async (identity: Identity, connection: Connection) => {
  const caller = await identity.identify(connection)
  if (caller.principal === null) return caller.reason
  return caller.principal.kind === 'user' ? caller.principal.login : caller.principal.tags.join()
}

test('behind serve the forwarded address is asked of whois, for each request [threats 334]', async (t) => {
  const { mesh, identity } = await onDevMesh(t, { strategy: 'serve' })
  assert.equal(await who(identity, forwarded({ 'x-forwarded-for': '127.0.0.2' })), 'alice@example.com')
  assert.equal(await who(identity, forwarded({ 'x-forwarded-for': '127.0.0.3' })), 'bob@example.com')
  assert.equal(await who(identity, forwarded({ 'x-forwarded-for': '::ffff:127.0.0.6' })), 'tag:ci')
  assert.equal(await who(identity, forwarded({ 'x-forwarded-for': '::FFFF:7f00:2' })), 'alice@example.com')
  assert.equal(mesh.asked('whois 127.0.0.2'), 2)
})

test('exactly one X-Forwarded-For which is one mesh address, else nobody [threats 344, 349]', async (t) => {
  const { mesh, identity } = await onDevMesh(t, { strategy: 'serve' })
  const values = [
    undefined,
    '',
    ' ',
    'a',
    'unknown',
    '_hidden',
    '127.0.0.2, 127.0.0.3',
    '127.0.0.2,',
    ',127.0.0.2',
    '127.0.0.2:80',
    '[::1]',
    '[::1]:80',
  ]
  values.push(
    '127.0.0.02',
    '127.1',
    '0x7f000002',
    '127.0.0.2 ',
    '::ffff:127.0.0.2%lo',
    '127.0.0.2\n',
    '192.168.0.2',
    '::1',
    'fe80::1',
    'for=127.0.0.2',
  )
  for (const value of values) {
    assert.equal(
      await who(identity, forwarded(value === undefined ? {} : { 'x-forwarded-for': value })),
      'forwarded',
      JSON.stringify(value),
    )
  }
  for (const name of ['x-real-ip', 'forwarded', 'x_forwarded_for', 'x-forwarded-host']) {
    assert.equal(await who(identity, forwarded({ [name]: '127.0.0.2' })), 'forwarded', name)
  }
  assert.equal(mesh.asked('whois 127.0.0.2'), 0)
})

test('a login header alone is nobody; one that contradicts whois is refused [threats 340, 346, 347]', async (t) => {
  const warnings: string[] = []
  const log = { info() {}, warn: (_fields: object, message: string) => void warnings.push(message) }
  const { mesh, identity } = await onDevMesh(t, { strategy: 'serve', log })
  const login = (value: string, source = '127.0.0.2') =>
    who(identity, forwarded({ 'x-forwarded-for': source, 'tailscale-user-login': value }))

  assert.equal(await who(identity, forwarded({ 'tailscale-user-login': 'alice@example.com' })), 'forwarded')
  assert.equal(await login('alice@example.com'), 'alice@example.com')
  assert.deepEqual(
    warnings.filter((text) => /another login/.test(text)),
    [],
  )
  for (const other of [
    'bob@example.com',
    'Alice@example.com',
    '',
    'alice@example.com, bob@example.com',
    'alice@example.com, alice@example.com',
  ]) {
    assert.equal(await login(other), 'forwarded', other)
  }
  assert.equal(await login('ci', '127.0.0.6'), 'forwarded', 'a tagged node has no login')
  assert.equal(await login('tagged-devices', '127.0.0.6'), 'forwarded')
  assert.equal(await login('alice@example.com', '127.0.0.99'), 'unknown')
  assert.equal(warnings.filter((text) => /another login/.test(text)).length, 7)

  mesh.change({ people: { 'zoë@example.com': { id: '7' } }, machines: { 'alice-laptop': { owner: 'zoë@example.com' } } })
  assert.equal(await login('=?utf-8?q?zo=C3=AB@example.com?='), 'zoë@example.com')
})

test('RFC 2047 §4.2, §6.2: words are decoded once, as Go encodes them [threats 347]', () => {
  assert.equal(decodeWords('Bob =?utf-8?q?=C3=96rtlich?='), 'Bob Örtlich')
  assert.equal(decodeWords('=?utf-8?q?Bob_=C3=96?= =?utf-8?q?rtlich?='), 'Bob Örtlich')
  assert.equal(decodeWords('=?UTF-8?Q?=3D=3Futf-8=3Fq=3Fx=3F=3D?='), '=?utf-8?q?x?=')
  assert.equal(decodeWords('alice@example.com'), 'alice@example.com')
})

test('Funnel is nobody, whatever else it says', async (t) => {
  const { identity } = await onDevMesh(t, { strategy: 'serve' })
  assert.equal(await who(identity, forwarded({ 'x-forwarded-for': '127.0.0.2', 'tailscale-funnel-request': '?1' })), 'funnel')
  assert.equal(await who(identity, forwarded({ 'tailscale-funnel-request': '?1' })), 'funnel')
})

test('a TCP connection is not serve, whatever its headers say [threats 337, 343]', async (t) => {
  const { identity } = await onDevMesh(t, { strategy: 'serve' })
  const headers = { 'x-forwarded-for': '127.0.0.2', 'tailscale-user-login': 'alice@example.com' }
  assert.equal(await who(identity, { remoteAddress: '127.0.0.1', remotePort: 1, localAddress: '127.0.0.1', headers }), 'not_mesh')
})

test('expired and Self are nobody behind serve, too (S5, S6) [threats 338]', async (t) => {
  const { mesh, identity } = await onDevMesh(t, { strategy: 'serve' })
  mesh.change({ browser: 'idp', machines: { 'alice-laptop': { expired: true } } })
  assert.equal(await who(identity, forwarded({ 'x-forwarded-for': '127.0.0.2' })), 'expired')
  assert.equal(await who(identity, forwarded({ 'x-forwarded-for': '127.0.0.1' })), 'self')
})
