import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import { openLocalApi } from '../../src/identity/local_api.ts'
import { Unavailable } from '../../src/oauth/error.ts'
import { type Answer, startLocalApi, temporarySocket, until } from '../support/local_api.ts'

const json: (body: unknown, status?: number) => Answer =
  (body, status = 200) =>
  (_request, response) =>
    response.writeHead(status).end(JSON.stringify(body))

async function clientOf(t: TestContext, answer: Answer, options: { deadlineMs?: number } = {}) {
  const server = await startLocalApi(t, answer)
  const api = openLocalApi({ socket: server.socket, ...options })
  t.after(() => api.close())
  return { server, api }
}

const away = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Unavailable)
  assert.equal(error.status, 503)
  assert.match(error.details.headers?.['retry-after'] ?? '', /^\d+$/)
  assert.match(error.message, pattern)
  assert.doesNotMatch(error.message, /\/tmp|\.sock/, 'where the socket is belongs in the log')
  return true
}

test('the LocalAPI is asked under its own name, without Origin or Referer, by bare address [threats 322, 325]', async (t) => {
  const { server, api } = await clientOf(t, json({}, 404))
  assert.equal(await api.whois('100.64.0.5'), null)
  assert.equal(await api.whois('[fd7a:115c:a1e0::5]:1234', { proto: 'tcp' }), null)
  const [first, second] = server.requests
  assert.equal(first?.method, 'GET')
  assert.equal(first?.url, '/localapi/v0/whois?addr=100.64.0.5')
  assert.equal(second?.url, '/localapi/v0/whois?addr=%5Bfd7a%3A115c%3Aa1e0%3A%3A5%5D%3A1234&proto=tcp')
  for (const { headers } of server.requests) {
    assert.equal(headers.host, 'local-tailscaled.sock')
    for (const name of ['origin', 'referer', 'cookie', 'authorization']) assert.equal(headers[name], undefined)
  }
})

test('connections are kept alive', async (t) => {
  const { server, api } = await clientOf(t, json({}, 404))
  for (let i = 0; i < 50; i++) await api.whois('100.64.0.5')
  assert.ok(server.opened() <= 8, `${server.opened()} connections for 50 questions`)
})

test('an answer that names nobody in particular is malformed, not an outage', async (t) => {
  const { api } = await clientOf(t, json({ Node: null }))
  assert.equal(await api.whois('100.64.0.5'), 'malformed')
})

test('whatever is not an answer is "unavailable", with a sentence [threats 319]', async (t) => {
  const cases: [string, Answer, RegExp][] = [
    ['403', json({}, 403), /HTTP status 403/],
    ['500', json({}, 500), /HTTP status 500/],
    ['a redirect', (_request, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(), /HTTP status 302/],
    ['201', json({}, 201), /HTTP status 201/],
    ['not JSON', (_request, response) => response.end('<html>'), /not JSON/],
    ['nothing', (_request, response) => response.end(), /not JSON/],
    ['half a JSON', (_request, response) => response.end('{"Node":{"StableID":'), /not JSON/],
    [
      'a truncated body',
      (_request, response) => void response.writeHead(200, { 'content-length': 100 }).write('{', () => response.destroy()),
      /broke off/,
    ],
    ['no HTTP', (_request, response) => void response.socket?.end('hello\r\n\r\n'), /cannot be asked/],
    ['a closed connection', (_request, response) => void response.destroy(), /broke off/],
    [
      'an announced gigabyte',
      (_request, response) => void response.writeHead(200, { 'content-length': 1 << 30 }).write('x'.repeat(2 << 20)),
      /more than 1048576 bytes/,
    ],
  ]
  for (const [title, answer, pattern] of cases) {
    await t.test(title, async (t) => {
      const { api } = await clientOf(t, answer)
      await assert.rejects(api.whois('100.64.0.5'), away(pattern))
      await assert.rejects(api.status({ peers: false }), away(pattern))
    })
  }
})

test('a gigabyte is not read, and its connection is closed [threats 319]', async (t) => {
  let sent = 0
  const { server, api } = await clientOf(t, (_request, response) => {
    const more = () => {
      while (sent < 1 << 30 && !response.destroyed) {
        sent += 1 << 16
        if (!response.write(Buffer.alloc(1 << 16, 0x20))) return void response.once('drain', more)
      }
    }
    more()
  })
  await assert.rejects(api.whois('100.64.0.5'), away(/more than 1048576 bytes/))
  await until(() => server.connections.size === 0)
  assert.ok(sent < 64 << 20, `${sent} bytes were sent`)
})

test('the deadline is for the whole answer: a slow drip or silence ends at it [threats 319]', async (t) => {
  for (const [title, answer] of [
    ['silence', () => {}],
    ['silence after the headers', (_request, response) => response.writeHead(200).flushHeaders()],
    [
      'a slow drip',
      (_request, response) => {
        const drip = setInterval(() => response.write(' '), 5)
        response.on('close', () => clearInterval(drip))
      },
    ],
  ] satisfies [string, Answer][]) {
    await t.test(title, async (t) => {
      const { server, api } = await clientOf(t, answer, { deadlineMs: 50 })
      await assert.rejects(api.whois('100.64.0.5'), away(/did not answer within 50 ms/))
      await until(() => server.connections.size === 0)
    })
  }
})

test('a broken connection is tried once more, and only once [threats 319]', async (t) => {
  const { server, api } = await clientOf(t, (_request, response) => void response.destroy())
  await assert.rejects(api.whois('100.64.0.5'), away(/broke off/))
  assert.equal(server.requests.length, 2)

  server.use((request, response) => (server.requests.length === 3 ? response.destroy() : json({}, 404)(request, response)))
  assert.equal(await api.whois('100.64.0.5'), null)
  assert.equal(server.requests.length, 4)
})

test('no socket, or a stale one: unavailable, and well again when it is back [threats 319]', async (t) => {
  const socket = await temporarySocket(t)
  const api = openLocalApi({ socket })
  t.after(() => api.close())
  await assert.rejects(api.whois('100.64.0.5'), away(/is not there/))
  await writeFile(socket, '')
  await assert.rejects(api.whois('100.64.0.5'), away(/refuses connections/))

  const server = await startLocalApi(t, json({}, 404))
  const other = openLocalApi({ socket: server.socket })
  t.after(() => other.close())
  assert.equal(await other.whois('100.64.0.5'), null)
})

test('a status that cannot be read is unavailable', async (t) => {
  for (const body of [null, [], {}, { BackendState: 6 }, { BackendState: 'Running', Self: 'me' }, { BackendState: 'Running', Peer: [1] }]) {
    const { api } = await clientOf(t, json(body))
    await assert.rejects(api.status({ peers: true }), away(/cannot read/), JSON.stringify(body))
  }
})
