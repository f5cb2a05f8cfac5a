/** How often and how much: what a flood gets, and what everybody else does. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { setImmediate as nextRound, setTimeout as sleep } from 'node:timers/promises'
import { canonicalAddress } from '../../src/http/canonical_address.ts'
import { createLoadMeter } from '../../src/http/load.ts'
import { createRateLimit } from '../../src/http/rate_limit.ts'
import { rulesOf } from '../../src/janitor.ts'
import { pruneExpired } from '../../src/store/prune.ts'
import { assertPage, counts } from '../support/answers.ts'
import { wiki } from '../support/example_policy.ts'
import { until } from '../support/local_api.ts'
import { start } from '../support/start.ts'

test('RFC 6585 §4: a rate allows its burst at once, then one after the other, and no clock that stands still makes it forget [threats 112]', () => {
  let now = 1000
  const limit = createRateLimit({ rate: 2, burst: 3 }, () => now, 2)
  assert.deepEqual(
    [1, 2, 3, 4].map(() => limit.take('alice')),
    [0, 0, 0, 1],
  )
  assert.equal(limit.take('bob'), 0, 'others have their own')
  now += 500
  assert.deepEqual([limit.take('alice'), limit.take('alice')], [0, 1])
  now += 60_000
  assert.deepEqual(
    [1, 2, 3, 4].map(() => limit.take('alice')),
    [0, 0, 0, 1],
    'a pause earns the burst, not more',
  )
  for (let n = 0; n < 1000; n++) limit.take(`stranger-${n}`)
  assert.equal(limit.take('alice'), 0, 'what is remembered is bounded')
})

test('RFC 5952, RFC 4291 §2.5.5.2: an address is the same however it is written [threats 112, 323]', () => {
  for (const [text, canonical] of [
    ['100.64.0.5', '100.64.0.5'],
    ['::ffff:100.64.0.5', '100.64.0.5'],
    ['::FFFF:6440:0005', '100.64.0.5'],
    ['FD7A:115C:A1E0:0:0:0:0:1', 'fd7a:115c:a1e0::1'],
    ['fd7a:115c:a1e0::1%tailscale0', 'fd7a:115c:a1e0::1'],
    ['', ''],
    ['x', 'x'],
  ])
    assert.equal(canonicalAddress(text ?? ''), canonical)
})

test('RFC 6585 §4: an address that asks too often is told to wait, wherever it writes; reading goes on, and so do others [threats 112, 418]', async (t) => {
  const started = await start(t, { config: { limits: { per_address: { rate: 0.1, burst: 5 } } } })
  const { mallory, alice } = started
  for (let n = 0; n < 5; n++) assert.notEqual((await mallory.send('/token', { form: {} })).status, 429)
  const began = performance.now()
  const refused = (
    [
      ['/authorize?x', {}],
      ['/%61uthorize', {}],
      ['//authorize', {}],
      ['/consent', { form: {} }],
      ['/token', { form: 'x'.repeat(70_000) }],
      ['/register', { json: {} }],
      ['/register/dcr_1', { method: 'DELETE' }],
      ['/revoke', { form: {} }],
      ['/end_session', {}],
      ['/', {}],
    ] as const
  ).map(async ([path, sent]) => {
    const answer = await mallory.send(path, sent)
    assert.deepEqual([answer.status, answer.json().error, answer.headers['cache-control']], [429, 'too_many_requests', 'no-store'], path)
    assert.match(String(answer.headers['retry-after']), /^([1-9]|10)$/)
    assert.ok(performance.now() - began > 900, `${path}: told only after a while`)
  })
  for (const path of ['/.well-known/openid-configuration', '/jwks', '/healthz']) assert.equal((await mallory.send(path)).status, 200, path)
  assert.equal((await mallory.send('/introspect', { form: { token: 'x' } })).status, 401)
  assert.equal((await alice.send('/authorize?x', { headers: { accept: 'text/html' } })).status, 400)
  await Promise.all(refused)
})

test('RFC 6585 §7.2: who is over the limit and sends on before being told is not told, but ended [threats 112, 418]', async (t) => {
  const { issuer, alice } = await start(t, { config: { limits: { per_address: { rate: 0.1, burst: 2 } } } })
  const { host, port } = new URL(issuer)
  const request = `GET /authorize HTTP/1.1\r\nHost: ${host}\r\n\r\n`
  const raw = (...texts: string[]) =>
    new Promise<string>((resolve) => {
      let answer = ''
      const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: '127.0.0.5' })
      socket.setEncoding('latin1').on('data', (more) => {
        answer += more
        const next = texts.shift()
        if (next !== undefined) socket.write(next)
      })
      socket.on('close', () => resolve(answer)).on('error', () => resolve(answer))
      socket.write(texts.shift() ?? '')
    })
  const statuses = (text: string) => [...text.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status)
  const last = request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')
  assert.deepEqual(statuses(await raw(request, request, request, last)), ['400', '400', '429', '429'], 'one after the other')
  assert.deepEqual(statuses(await raw(request.repeat(3))), [], 'one on top of the other')
  assert.equal((await alice.send('/authorize')).status, 400)
})

test('CWE-770: a burst of one address is worked on a few at a time, so others do not wait for all of it', async (t) => {
  const { alice, bob, daemon } = await start(t)
  const { identity } = daemon.deps
  const { identify } = identity
  const going = Promise.withResolvers<void>()
  let waiting = 0
  identity.identify = async (connection) => {
    if (connection.remoteAddress.endsWith('.3')) {
      waiting++
      await going.promise
    }
    return identify(connection)
  }
  const burst = Array.from({ length: 40 }, () => bob.send('/', { headers: { accept: 'text/html' } }))
  await until(() => waiting >= 6)
  assertPage(await alice.send('/', { headers: { accept: 'text/html' } }), 200)
  assert.equal(waiting, 6)
  going.resolve()
  for (const page of await Promise.all(burst)) assertPage(page, 200)
  assert.equal(waiting, 40)
})

test('CWE-770: requests whose connection ended, in the line or behind another one on it, take no place for ever', async (t) => {
  const { issuer, bob, daemon } = await start(t)
  const { host, port } = new URL(issuer)
  const { identity } = daemon.deps
  const { identify } = identity
  const going = Promise.withResolvers<void>()
  let waiting = 0
  identity.identify = async (connection) => {
    waiting++
    await going.promise
    return identify(connection)
  }
  for (let round = 1; round <= 3; round++) {
    const sockets = Array.from({ length: 8 }, () => connect({ port: Number(port), host: '127.0.0.1', localAddress: '127.0.0.3' }))
    for (const socket of sockets) socket.on('error', () => {}).write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(3))
    await until(() => waiting >= 6 * round)
    for (const socket of sockets) socket.destroy()
  }
  going.resolve()
  assert.equal((await bob.send('/')).status, 200)
})

test('CWE-400: bodies that never come, and requests in line behind them on their connections, are no work in progress: others are served [threats 418, 515]', async (t) => {
  const { alice, config, issuer } = await start(t, { config: { limits: { in_progress: 100 } } })
  const { port, host } = new URL(issuer)
  const request = (line: string, more = '') => `${line} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`
  const form = (length: number) =>
    request('POST /token', `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${length}\r\n`)
  const say = (text: string) => {
    const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: '127.0.0.99' }).on('error', () => undefined)
    t.after(() => socket.destroy())
    return new Promise<void>((resolve) => void socket.write(text, () => resolve()))
  }
  for (let count = 0; count < config.limits.at_once; count++) await say(form(10))
  for (let count = 0; count < 20; count++) await say(form(0) + request('GET /userinfo').repeat(30))
  await until(async () => (await alice.send('/healthz')).status === 200)
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  for (let count = 0; count < 10; count++) {
    assert.equal((await alice.send('/userinfo')).status, 401)
    await sleep(20)
  }
  assert.ok(await alice.refresh(client, tokens))
})

test('CWE-770: an address that opens connections too often is not heard, and others are', async (t) => {
  const { issuer, alice } = await start(t, { config: { limits: { connecting: { rate: 0.1, burst: 5 } } } })
  const { port, host } = new URL(issuer)
  const heard = []
  for (let n = 0; n < 7; n++) heard.push(await knock(Number(port), host, '127.0.0.5'))
  assert.deepEqual(heard, [true, true, true, true, true, false, false])
  assert.equal((await alice.send('/healthz')).status, 200)
})

/** Whether a new connection from there is answered. */
const knock = (port: number, host: string, localAddress: string) =>
  new Promise<boolean>((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress }, () =>
      socket.write(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
    )
    let heard = false
    socket.on('data', () => {
      heard = true
    })
    socket.on('close', () => resolve(heard)).on('error', () => resolve(heard))
  })

test('RFC 6585 §4: a person who asks too often is told so from each of their machines; nothing is written, and others are not hit [threats 112]', async (t) => {
  const started = await start(t, { config: { limits: { per_principal: { rate: 0.1, burst: 8 } } } })
  const { alice, alicePhone, bob } = started
  const client = await alice.register()
  for (let n = 0; n < 7; n++) assertPage(await alice.authorize(client, wiki), 200)
  const before = await counts(started)
  for (const who of [alice, alicePhone]) {
    const page = await who.authorize(client, wiki)
    assertPage(page, 429, /alice@example\.com asks too often\. Wait \d+ s/)
    assert.match(String(page.headers['retry-after']), /^\d+$/)
    const refused = await who.send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'] } })
    assert.deepEqual([refused.status, refused.json().error], [429, 'too_many_requests'])
  }
  assert.deepEqual(await counts(started), before)
  assertPage(await bob.authorize(client, wiki), 200)
})

test('RFC 9110 §15.6.4: an overloaded process says so, and serves those first who have something already [threats 515]', async (t) => {
  const started = await start(t, { config: { limits: { in_progress: 4 } } })
  const { alice, bob, daemon } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  const gate = Promise.withResolvers<void>()
  const { identity } = daemon.deps
  const { identify } = identity
  let waiting = 0
  identity.identify = async (connection) => {
    waiting++
    await gate.promise
    return identify(connection)
  }
  const held = [1, 2, 3].map(() => bob.authorize(client, wiki))
  await until(() => waiting === 3)
  const shed = await bob.authorize(client, wiki)
  assert.deepEqual([shed.status, shed.json().error], [503, 'temporarily_unavailable'])
  assert.match(String(shed.headers['retry-after']), /^[1-5]$/)
  assert.equal((await bob.send('/register', { json: {} })).status, 503)
  assert.ok((await alice.refresh(client, tokens)).access_token)
  assert.equal((await bob.send('/jwks')).status, 200)
  gate.resolve()
  for (const page of await Promise.all(held)) assertPage(page, 200)
  assertPage(await bob.authorize(client, wiki), 200)
})

test('RFC 9110 §15.6.4: an event loop that is a second late once is no overload, which is over; late again, it is', async (t) => {
  const load = createLoadMeter(100)
  t.after(load.stop)
  const aLongTurn = async () => {
    const end = performance.now() + 1300
    while (performance.now() < end);
    await nextRound()
    await nextRound() // now the meter has looked
    return load.now()
  }
  assert.deepEqual([await aLongTurn(), await aLongTurn()], ['calm', 'busy'])
})

test('CWE-770: pages that nobody answers give way to newer ones, so their number is bounded and nobody is locked out', async (t) => {
  const started = await start(t, { config: { limits: { open_pages: 3 } } })
  const { alice, bob } = started
  const client = await alice.register()
  const pages = []
  for (let n = 0; n < 5; n++) {
    pages.push(await alice.authorize(client, { ...wiki, scope: n % 2 ? 'wiki:read' : 'wiki:write' }))
    started.clock.advance({ seconds: 1 })
  }
  const ofBob = await bob.authorize(client, wiki)
  assert.equal((await counts(started)).tickets, 4)
  assertPage(await alice.answer(pages[0] as (typeof pages)[0], 'approve'), 400)
  assert.equal((await alice.answer(pages[4] as (typeof pages)[0], 'approve')).status, 303)
  assert.equal((await bob.answer(ofBob, 'approve')).status, 303)
})

test('CWE-400: whoever sends headers or a body too slowly is ended; too many or too large headers are 431; others go on [threats 418, 419, 421]', {
  timeout: 60_000,
}, async (t) => {
  const { issuer, alice } = await start(t)
  const { host, port } = new URL(issuer)
  const raw = (text: string) =>
    new Promise<string>((resolve) => {
      let answer = ''
      const socket = connect(Number(port), '127.0.0.1', () => socket.write(text))
      socket.setEncoding('latin1').on('data', (more) => {
        answer += more
      })
      socket.on('close', () => resolve(answer)).on('error', () => resolve(answer))
    })
  const post = `POST /token HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/x-www-form-urlencoded\r\n`
  const slow = [
    raw(`GET / HTTP/1.1\r\nHost: ${host}\r\nX-`),
    raw(`${post}Content-Length: 9\r\n\r\na=`),
    raw(`${post}Transfer-Encoding: chunked\r\n\r\n2\r\na=\r\n`),
  ]
  for (const header of [
    `X: ${'x'.repeat(17_000)}`,
    Array.from({ length: 2100 }, (_, n) => `X${n}: ${'y'.repeat(8)}`).join('\r\n'),
    `X: ${'x'.repeat(1_000_000)}`,
  ])
    assert.match(await raw(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\n${header}\r\nConnection: close\r\n\r\n`), /^(HTTP\/1\.1 431 |$)/)
  assert.match(await raw(`${post}Expect: 100-continue\r\nContent-Length: 99999999\r\nConnection: close\r\n\r\n`), /413 /)
  assert.equal((await alice.send('/healthz')).status, 200)
  for (const answer of await Promise.all(slow)) assert.match(answer, /^(HTTP\/1\.1 408 |$)/)
})

test('CWE-770: what is kept of records, people and owners goes when nothing needs it any more, and no sooner [threats 475]', async (t) => {
  const started = await start(t)
  const { alice, clock, daemon } = started
  const { engine } = daemon.deps.store
  const prune = () => pruneExpired(engine, rulesOf(daemon.deps), clock.now())
  const rows = async (table: string) => (await engine.all<{ n: number }>(`SELECT count(*) AS n FROM ${table}`, {}))[0]?.n
  const client = await alice.register()
  await alice.signIn(client, wiki)
  await alice.code(client, wiki)
  assert.equal(await rows('authorizations'), 2)
  clock.advance({ minutes: 12 })
  await prune()
  assert.equal(await rows('authorizations'), 1, 'a code that nobody redeemed leaves nothing')
  clock.advance({ days: 89 })
  await alice.authorize(client, wiki)
  await prune()
  assert.ok(Number(await rows('records')) >= 2)
  const dangling = 'decisions WHERE identity NOT IN (SELECT digest FROM records) OR policy NOT IN (SELECT digest FROM records)'
  assert.equal(await rows(dangling), 0)
  await daemon.deps.store.commit([{ sql: 'DELETE FROM clients', params: {} }])
  clock.advance({ days: 400 })
  await prune()
  for (const table of ['records', 'auth_times', 'consents', 'registrants', 'decisions', 'authorizations', 'tickets', 'codes'])
    assert.equal(await rows(table), 0, table)
})
