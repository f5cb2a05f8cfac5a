import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { createGuardedFetch, FetchRefused, type GuardedFetch } from '../../src/clients/guarded_fetch.ts'
import { startHttpsSite } from '../support/https_site.ts'

const accept = 'application/json'
const site: RequestListener = (_request, response) => response.setHeader('content-type', 'application/json').end('{"a":1}')

/** It is refused, with the one message; what it really was is in the cause. */
const refused = (fetch: GuardedFetch, url: string, cause: RegExp) =>
  assert.rejects(fetch(url, { accept }), (error: Error) => {
    assert.ok(error instanceof FetchRefused)
    assert.equal(error.message, 'It could not be fetched.')
    assert.match(`${(error.cause as Error).name} ${(error.cause as { code?: string }).code} ${(error.cause as Error).message}`, cause, url)
    return true
  })

test('an https answer of status 200 comes back as text, asked for without compression and without cookies', async (t) => {
  const asked: unknown[] = []
  const { fetch, origin } = await startHttpsSite(t, (request, response) => {
    asked.push(request.url, request.headers)
    site(request, response)
  })
  const { headers, body } = await fetch(`${origin}/c?x=1`, { accept })
  assert.equal(body, '{"a":1}')
  assert.equal(headers.get('content-type'), 'application/json')
  assert.deepEqual(asked, [
    '/c?x=1',
    { host: new URL(origin).host, accept, 'accept-encoding': 'identity', 'user-agent': 'meshidp', connection: 'close' },
  ])
})

test('RFC 6890: a host that is or resolves to a special-use address is refused before any connection [threats 187, 188]', async (t) => {
  const addresses = [
    '127.0.0.1',
    '10.0.0.1',
    '169.254.169.254',
    '100.64.0.5',
    '100.100.100.100',
    'fd7a:115c:a1e0::53',
    '::1',
    '::ffff:8.8.8.8',
    '64:ff9b::1',
    'not an address',
  ]
  for (const address of addresses) {
    const { fetch, origin, connections } = await startHttpsSite(t, site, { allow: () => false, lookup: async () => ['8.8.8.8', address] })
    await refused(fetch, `${origin}/c`, /special-use/)
    assert.equal(connections(), 0)
  }
  const fetch = createGuardedFetch({ lookup: () => assert.fail('an address needs no lookup') })
  for (const host of [
    '127.0.0.1',
    '2130706433',
    '0x7f000001',
    '0177.1',
    '[::1]',
    '[::ffff:7f00:1]',
    '[::ffff:127.0.0.1]',
    '100.100.100.100',
    '0',
  ])
    await refused(fetch, `https://${host}/c`, /special-use/)
})

test('only a URL that the operator named may lead into the mesh [threats 187]', async (t) => {
  const allowed: string[] = []
  const { fetch, origin } = await startHttpsSite(t, site, { allow: (url) => allowed.includes(url) })
  await refused(fetch, `${origin}/c`, /special-use/)
  allowed.push(`${origin}/c`)
  assert.equal((await fetch(`${origin}/c`, { accept })).body, '{"a":1}')
  await refused(fetch, `${origin}/d`, /special-use/)
})

test('the connection goes to the address that was checked: the name is asked once [threats 190]', async (t) => {
  const answers = [['127.0.0.1'], ['127.0.0.2'], ['127.0.0.3']]
  let asked = 0
  const { fetch, origin, connections } = await startHttpsSite(t, site, { lookup: async () => answers[asked++] ?? [] })
  await fetch(`${origin}/c`, { accept })
  assert.deepEqual([asked, connections()], [1, 1])
})

test('RFC 9110 §4.3.4: the certificate must be for the host of the URL, from an authority that is trusted [threats 190]', async (t) => {
  const { fetch, port, connections } = await startHttpsSite(t, site)
  await refused(fetch, `https://other.test:${port}/c`, /ERR_TLS_CERT_ALTNAME_INVALID/)
  const untrusted = createGuardedFetch({ allow: () => true, lookup: async () => ['127.0.0.1'] })
  await refused(untrusted, `https://client.test:${port}/c`, /SELF_SIGNED/)
  assert.equal(connections(), 2)
})

test('each fetch has its own connection, and no proxy of the environment is used [threats 191]', async (t) => {
  const before = { ...process.env }
  t.after(() => {
    process.env = before
  })
  for (const name of ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY']) process.env[name] = 'http://127.0.0.1:1'
  process.env.NODE_USE_ENV_PROXY = '1'
  const { fetch, origin, connections } = await startHttpsSite(t, site)
  for (let count = 1; count <= 3; count++) {
    await fetch(`${origin}/c`, { accept })
    assert.equal(connections(), count)
  }
})

test('only https is fetched', async () => {
  const fetch = createGuardedFetch({ allow: () => true, lookup: () => assert.fail('nothing to look up') })
  for (const url of ['http://client.test/c', 'file:///etc/passwd', 'ftp://client.test/', 'client.test', ''])
    await refused(fetch, url, /not https|Invalid URL/)
})

test('CIMD §5: any status but 200 is an error, and redirects lead nowhere [threats 193]', async (t) => {
  for (const status of [201, 204, 206, 301, 302, 307, 308, 304, 401, 404, 500, 503]) {
    const paths: unknown[] = []
    const { fetch, origin } = await startHttpsSite(t, (request, response) => {
      paths.push(request.url)
      response.writeHead(status, { location: '/elsewhere' }).end()
    })
    await refused(fetch, `${origin}/c`, new RegExp(`status ${status}`))
    assert.deepEqual(paths, ['/c'])
  }
})

test('CIMD §8.7: a body above 5 KiB is given up, declared or not [threats 194]', async (t) => {
  const bodies: [RequestListener, RegExp][] = [
    [(_request, response) => response.end('a'.repeat(5121)), /EXCEEDED/],
    [(_request, response) => response.setHeader('content-length', 10_000_000).write('a'.repeat(6000)), /EXCEEDED/],
    [
      (_request, response) => {
        const more = () => response.write('a'.repeat(1000), () => !response.destroyed && setImmediate(more))
        more()
      },
      /EXCEEDED/,
    ],
    [(_request, response) => response.setHeader('x-long', 'a'.repeat(20_000)).end('{}'), /HEADERS_OVERFLOW/],
  ]
  for (const [listener, cause] of bodies) {
    const { fetch, origin } = await startHttpsSite(t, listener)
    await refused(fetch, `${origin}/c`, cause)
  }
  const { fetch, origin } = await startHttpsSite(t, (_request, response) => response.end('a'.repeat(5120)))
  assert.equal((await fetch(`${origin}/c`, { accept })).body.length, 5120)
})

test('an encoded body is refused, and bytes that are no UTF-8 are [threats 194]', async (t) => {
  const gzip = await startHttpsSite(t, (_request, response) =>
    response.setHeader('content-encoding', 'gzip').end(gzipSync('a'.repeat(1_000_000))),
  )
  await refused(gzip.fetch, `${gzip.origin}/c`, /the body is encoded/)
  const latin1 = await startHttpsSite(t, (_request, response) => response.end(Buffer.from([0x7b, 0xff, 0x7d])))
  await refused(latin1.fetch, `${latin1.origin}/c`, /ENCODING_INVALID/)
})

/** A listener that accepts and says nothing. */
async function startSilence(t: TestContext): Promise<number> {
  const server = createServer((socket) => socket.on('error', () => {}))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

test('one deadline holds for DNS, connection, TLS and body together [threats 194, 205]', async (t) => {
  const late = /not done within 60 ms/
  const deadlineMs = 60
  await refused(createGuardedFetch({ deadlineMs, lookup: () => new Promise(() => {}) }), 'https://client.test/c', late)

  const port = await startSilence(t)
  await refused(
    createGuardedFetch({ deadlineMs, allow: () => true, lookup: async () => ['127.0.0.1'] }),
    `https://client.test:${port}/c`,
    late,
  )

  const mute = await startHttpsSite(t, () => {}, { deadlineMs })
  await refused(mute.fetch, `${mute.origin}/c`, late)

  const drip = await startHttpsSite(
    t,
    (_request, response) => {
      const timer = setInterval(() => response.write(' '), 5)
      response.on('close', () => clearInterval(timer))
    },
    { deadlineMs },
  )
  await refused(drip.fetch, `${drip.origin}/c`, late)
})

test('a lookup that answers after the deadline connects nowhere [threats 205]', async (t) => {
  const answer = Promise.withResolvers<string[]>()
  const { fetch, origin, connections } = await startHttpsSite(t, site, { deadlineMs: 20, lookup: () => answer.promise })
  await refused(fetch, `${origin}/c`, /not done within 20 ms/)
  answer.resolve(['127.0.0.1'])
  const other = await startHttpsSite(t, site)
  await other.fetch(`${other.origin}/c`, { accept })
  assert.equal(connections(), 0)
})

test('a closed port, an unknown name, a wrong certificate and a redirect look the same from outside [threats 206]', async (t) => {
  const { fetch, port } = await startHttpsSite(t, (_request, response) => response.writeHead(302).end())
  const nameless = createGuardedFetch({ lookup: () => Promise.reject(Object.assign(new Error('queryA ENOTFOUND'), { code: 'ENOTFOUND' })) })
  const empty = createGuardedFetch({ lookup: async () => [] })
  await refused(fetch, 'https://client.test:1/c', /ECONNREFUSED/)
  await refused(nameless, 'https://client.test/c', /ENOTFOUND/)
  await refused(empty, 'https://client.test/c', /no address/)
  await refused(fetch, `https://other.test:${port}/c`, /ALTNAME/)
  await refused(fetch, `https://client.test:${port}/c`, /status 302/)
})
