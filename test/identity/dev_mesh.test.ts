import assert from 'node:assert/strict'
import { stat, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { type TestContext, test } from 'node:test'
import { createIdentity, listenAddresses } from '../../src/identity/create_identity.ts'
import { startDevMesh } from '../../src/identity/dev_mesh.ts'
import { from, onDevMesh, temporarySocket } from '../support/local_api.ts'

async function withPage(t: TestContext) {
  const mesh = await startDevMesh({ socket: await temporarySocket(t), page: { port: 0, host: '127.0.0.1' } })
  t.after(() => mesh.close())
  const url = new URL(mesh.page ?? '')
  /** With any header, which fetch would not let us set. */
  const ask = (method: string, headers: Record<string, string> = {}, body = '') =>
    new Promise<{ status: number; text: string; headers: Record<string, unknown> }>((done, fail) => {
      const request = httpRequest(url, { method, headers, agent: false }, async (response) => {
        let text = ''
        for await (const chunk of response.setEncoding('utf8')) text += chunk
        done({ status: response.statusCode ?? 0, text, headers: response.headers })
      })
      request.on('error', fail)
      request.end(body)
    })
  return { mesh, url, ask }
}

const bob = 'machine=bob-laptop'

test('the browser is alice, until somebody else is chosen on the page', async (t) => {
  const { mesh, identity } = await onDevMesh(t)
  const atBrowser = async () => {
    const { principal } = await identity.identify(from('127.0.0.1'))
    return principal?.kind === 'user' ? principal.login : principal?.tags.join()
  }
  assert.equal(await atBrowser(), 'alice@example.com')
  mesh.change({ browser: 'bob-laptop' })
  assert.equal(await atBrowser(), 'bob@example.com')
  mesh.change({ browser: 'ci-runner' })
  assert.equal(await atBrowser(), 'tag:ci')
})

test('the page lists people and machines, marks the one at the browser, and a button changes it', async (t) => {
  const { mesh, url, ask } = await withPage(t)
  const before = await ask('GET')
  assert.equal(before.status, 200)
  for (const text of ['Alice Example (alice@example.com)', 'mallory@other.com', 'tag:ci', '127.0.0.8'])
    assert.ok(before.text.includes(text), text)
  assert.match(before.text, /aria-current="true"><span>alice-laptop/)
  assert.doesNotMatch(before.text, /<script/)

  const chosen = await ask('POST', { origin: url.origin, 'sec-fetch-site': 'same-origin' }, bob)
  assert.deepEqual([chosen.status, chosen.headers.location], [303, '/'])
  assert.equal(mesh.document().browser, 'bob-laptop')
  assert.match((await ask('GET')).text, /aria-current="true"><span>bob-laptop/)
})

test('another page cannot choose: cross-site, same-site, without Origin, or by another name of this machine', async (t) => {
  const { mesh, url, ask } = await withPage(t)
  const refused: [Record<string, string>, number][] = [
    [{}, 403],
    [{ origin: 'http://evil.example' }, 403],
    [{ origin: 'null' }, 403],
    [{ origin: url.origin, 'sec-fetch-site': 'cross-site' }, 403],
    [{ origin: url.origin, 'sec-fetch-site': 'same-site' }, 403],
    [{ origin: 'http://127.0.0.1:1' }, 403],
    [{ host: 'evil.example', origin: 'http://evil.example', 'sec-fetch-site': 'same-origin' }, 421],
    [{ host: `evil.example:${url.port}`, 'sec-fetch-site': 'same-origin' }, 421],
  ]
  for (const [headers, status] of refused) assert.equal((await ask('POST', headers, bob)).status, status, JSON.stringify(headers))
  assert.equal((await ask('GET', { host: 'evil.example' })).status, 421, 'DNS rebinding')
  assert.equal(mesh.document().browser, 'alice-laptop')
  assert.equal((await ask('POST', { origin: url.origin }, bob)).status, 303, 'a browser without fetch metadata')
})

test('the page refuses what it does not know', async (t) => {
  const { mesh, url, ask } = await withPage(t)
  const own = { origin: url.origin }
  for (const machine of ['', 'nobody', '__proto__', 'constructor'])
    assert.equal((await ask('POST', own, `machine=${machine}`)).status, 400, machine)
  assert.equal((await ask('POST', own, 'x'.repeat(10_000))).status, 413)
  assert.equal((await ask('PUT', own)).status, 405)
  assert.equal(mesh.document().browser, 'alice-laptop')
})

test('names are escaped on the page', async (t) => {
  const { mesh, ask } = await withPage(t)
  mesh.change({ people: { 'alice@example.com': { name: '<img src=x onerror="1">' } } })
  const { text } = await ask('GET')
  assert.ok(text.includes('&lt;img src=x onerror=&quot;1&quot;&gt;'))
  assert.ok(!text.includes('<img'))
})

test('the development mesh is for this machine only: page and addresses on loopback, its socket for its user', async (t) => {
  const socket = await temporarySocket(t)
  for (const host of ['0.0.0.0', '::', '192.168.0.1', 'example.com', '']) {
    await assert.rejects(startDevMesh({ socket, page: { port: 0, host } }), /this machine only/, host)
  }
  const file = `${socket}.json`
  const machines = { idp: { address: '100.64.0.1', tags: ['tag:idp'] } }
  await writeFile(file, JSON.stringify({ tailnet: 'x', suffix: 'x', state: 'Running', self: 'idp', browser: 'idp', people: {}, machines }))
  await assert.rejects(startDevMesh({ socket, file }), /127\.0\.0\.0\/8/)

  const mesh = await startDevMesh({ socket })
  t.after(() => mesh.close())
  assert.equal((await stat(socket)).mode & 0o777, 0o600)
})

test('a mesh that makes no sense is refused with a sentence', async (t) => {
  const { mesh } = await onDevMesh(t)
  assert.throws(() => mesh.change({ browser: 'nobody' }), /no machine "nobody"/)
  assert.throws(() => mesh.change({ machines: { 'alice-laptop': { owner: 'eve@example.com' } } }), /eve@example\.com/)
  assert.throws(() => mesh.change({ machines: { 'alice-laptop': { tags: ['tag:x'] } } }), /either an owner or tags/)
  assert.throws(() => mesh.change({ people: { 'alice@example.com': { id: 'x' } } }), /not a development mesh/)
  assert.equal(mesh.document().browser, 'alice-laptop', 'and nothing has changed')
})

test('changes are written nowhere: the next mesh begins as this one did', async (t) => {
  const { mesh } = await onDevMesh(t)
  const before = mesh.document()
  mesh.change({ browser: 'bob-laptop' })
  assert.notDeepEqual(mesh.document(), before)
  await mesh.close()
  assert.deepEqual((await onDevMesh(t)).mesh.document(), before)
})

test('a socket that somebody left behind is replaced; a path too long for one is told in words', async (t) => {
  const socket = await temporarySocket(t)
  const first = await startDevMesh({ socket })
  t.after(() => first.close())
  const second = await startDevMesh({ socket })
  t.after(() => second.close())
  const identity = await createIdentity({ socket, strategy: 'auto', now: () => 0 })
  t.after(() => identity.close())
  assert.equal(identity.status().running, true)
  await assert.rejects(startDevMesh({ socket: `/tmp/${'x'.repeat(120)}` }), /too long/)
})

test('it answers as tailscaled: 403 to another Host, an Origin or a Referer; address with and without port [threats 322]', async (t) => {
  const { mesh } = await onDevMesh(t)
  const ask = (path: string, headers: Record<string, string> = {}) =>
    new Promise<number>((done, fail) => {
      const request = httpRequest({ socketPath: mesh.socket, path, headers: { host: 'local-tailscaled.sock', ...headers }, agent: false })
      request.on('response', (response) => {
        response.resume()
        done(response.statusCode ?? 0)
      })
      request.on('error', fail)
      request.end()
    })
  const whois = '/localapi/v0/whois?addr=127.0.0.2'
  assert.equal(await ask(whois), 200)
  assert.equal(await ask(`${whois}:40000&proto=tcp`), 200)
  assert.equal(await ask('/localapi/v0/whois?addr=127.0.0.99'), 404)
  assert.equal(await ask(whois, { host: 'localhost' }), 403)
  assert.equal(await ask(whois, { origin: 'http://localhost' }), 403)
  assert.equal(await ask(whois, { referer: 'http://localhost/' }), 403)
})

test('where to listen follows from the strategy', async (t) => {
  const { identity } = await onDevMesh(t)
  const status = identity.status()
  assert.deepEqual(listenAddresses(status), ['127.0.0.1'])
  assert.deepEqual(listenAddresses({ ...status, strategy: 'tun', addresses: ['100.64.0.1'] }), ['100.64.0.1'])
  assert.deepEqual(listenAddresses({ ...status, strategy: 'userspace', addresses: ['100.64.0.1'] }), ['127.0.0.1'])
  assert.deepEqual(listenAddresses({ ...status, strategy: 'serve', addresses: ['100.64.0.1'] }), [])
})
