import assert from 'node:assert/strict'
import { METHODS } from 'node:http'
import { test } from 'node:test'
import { endpointsOf } from '../src/endpoints/index.ts'
import { raw } from './support/raw.ts'
import { start } from './support/start.ts'

const body = JSON.stringify({ redirect_uris: ['http://127.0.0.1:9/callback'] })
const registration = (target: string, host: string, more = '') =>
  `POST ${target} HTTP/1.1\r\nHost: ${host}\r\n${more}Content-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`

test('RFC 9110 §7.2: a name that is not ours is answered 421 on every endpoint and every other path, before anything is looked at [threats 394]', async (t) => {
  const { alice, issuer, logged } = await start(t)
  const paths = [...endpointsOf(issuer).map(({ path }) => path), '/nothing', '/.well-known/x']
  for (const path of paths)
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const answer = await alice.send(path, {
        method,
        headers: { host: `attacker.example:${new URL(issuer).port}`, origin: 'http://attacker.example' },
      })
      assert.equal(answer.status, 421, `${method} ${path}`)
      assert.equal(answer.headers['cache-control'], 'no-store')
      assert.equal(answer.text.includes('attacker'), false)
    }
  assert.ok(logged.some(({ fields }) => fields.error === 'misdirected_request'))
})

test('RFC 9110 §7.2, RFC 9112 §3.2: only our own name, once, in whatever case; a target in absolute form must say the same [threats 395]', async (t) => {
  const { issuer } = await start(t)
  const { host, port } = new URL(issuer)
  const get = (lines: string, target = '/healthz') => raw(port, `GET ${target} HTTP/1.1\r\n${lines}Connection: close\r\n\r\n`)
  for (const lines of [`Host: ${host}\r\n`, `host:${host}\r\n`, `Host: LocalHost:${port}\r\n`])
    assert.equal((await get(lines)).status, 200, lines)
  assert.equal((await get(`Host: ${host}\r\n`, `${issuer}/healthz`)).status, 200)
  for (const lines of [
    ...[
      '',
      'Host:\r\n',
      'Host: \r\n',
      'Host: localhost\r\n',
      `Host: localhost.:${port}\r\n`,
      'Host: localhost:80\r\n',
      'Host: localhost:0\r\n',
    ],
    ...[
      `Host: localhost:${port}x\r\n`,
      `Host: localhost:0${port}\r\n`,
      `Host: 127.0.0.1:${port}\r\n`,
      `Host: [::1]:${port}\r\n`,
      `Host: x@${host}\r\n`,
    ],
    ...[
      `Host: ${host}.attacker.example\r\n`,
      `Host: ${host}/\r\n`,
      `Host: ${host}, attacker.example\r\n`,
      `Host: attacker.example\r\nX-Forwarded-Host: ${host}\r\n`,
    ],
    ...[`Host: ${host}\r\nHost: attacker.example\r\n`, `Host: attacker.example\r\nHost: ${host}\r\n`, `Host: ${host}\r\nhost: ${host}\r\n`],
  ])
    assert.ok([400, 421].includes((await get(lines)).status), lines)
  for (const target of [
    `http://attacker.example:${port}/healthz`,
    `http://x@${host}/healthz`,
    `https://${host}/healthz`,
    `http://${host}@attacker.example/healthz`,
    'http:///healthz',
    'healthz',
    '*',
    `//${host}/healthz/`,
  ])
    assert.ok([400, 404, 421].includes((await get(`Host: ${host}\r\n`, target)).status), target)
})

test('the gate belongs to the handler: a path that is written another way finds the same gate or nothing [threats 386]', async (t) => {
  const { issuer, daemon } = await start(t)
  const { host, port } = new URL(issuer)
  const mallory = '127.0.0.5'
  assert.equal((await raw(port, registration('/register', host), mallory)).status, 403)
  for (const target of [
    ...[
      '/register/',
      '//register',
      '/./register',
      '/%72egister',
      '/register;x=1',
      '/REGISTER',
      '/x/../register',
      '/register%2f',
      '/register%00',
      '/%2e/register',
    ],
    ...[
      `${issuer}/register`,
      `${issuer}//register`,
      '/register?x',
      '/register#x',
      '/register/.',
      '/register\\',
      '/consent/../register',
      '/.well-known/../register',
    ],
  ]) {
    const { status, text } = await raw(port, registration(target, host), mallory)
    assert.ok([400, 403, 404, 405].includes(status), `${target} ${text}`)
    if (status === 403) assert.match(text, /mallory@other\.com may not register/)
  }
  assert.deepEqual(await daemon.deps.store.clients.list(daemon.deps.now()), [])
  for (const header of ['X-HTTP-Method-Override: POST', 'X-Original-URL: /register', 'X-Rewrite-URL: /register']) {
    const { status } = await raw(port, `GET /healthz HTTP/1.1\r\nHost: ${host}\r\n${header}\r\nConnection: close\r\n\r\n`, mallory)
    assert.equal(status, 200)
  }
})

test('CWE-770: a path that is too long for its variable is not found, and is not in the log [threats 448]', async (t) => {
  const { alice, logged } = await start(t)
  const answer = await alice.send(`/register/${'x'.repeat(400)}`)
  assert.deepEqual([answer.status, answer.json().error], [404, 'not_found'])
  assert.equal(JSON.stringify(logged).includes('xxxx'), false)
})

test('RFC 9110 §15.5.6: a method that an endpoint has not is 405 with what it has, and its body is not read', async (t) => {
  const { alice, issuer } = await start(t)
  for (const { path, methods, cors } of endpointsOf(issuer)) {
    const has: string[] = [...methods, ...(methods.join() === 'GET' ? ['HEAD'] : []), ...(cors ? ['OPTIONS'] : [])]
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].filter((one) => !has.includes(one))) {
      const answer = await alice.send(path, {
        method,
        headers: { 'content-type': 'x/y' },
        ...(!['GET', 'HEAD'].includes(method) && { raw: 'x' }),
      })
      assert.deepEqual([answer.status, answer.headers.allow], [405, has.join(', ')], `${method} ${path}`)
    }
  }
})

test('RFC 9110 §9.1: a method that no endpoint has is 501, with and without a body, and no failure of this server', async (t) => {
  const { issuer, logged } = await start(t)
  const { host, port } = new URL(issuer)
  const known = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT']
  for (const method of METHODS.filter((one) => !known.includes(one)))
    for (const body of ['', 'Content-Type: x/y\r\nContent-Length: 1\r\n\r\nx', 'Content-Length: 1\r\n\r\nx']) {
      const { status, text } = await raw(port, `${method} /token HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${body || '\r\n'}`)
      assert.deepEqual([status, /"error":"(\w+)"/.exec(text)?.[1]], [501, 'not_implemented'], `${method} ${text}`)
    }
  assert.deepEqual(
    logged.filter(({ level }) => level === 'error' || level === 'warn'),
    [],
  )
})
