/** What no honest client sends, and faults of our own: each request is answered for itself, and nothing of the inside is told. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { buildApp } from '../src/app.ts'
import { endpointsOf } from '../src/endpoints/index.ts'
import { createGate } from '../src/http/gate.ts'
import { listen } from '../src/http/listeners.ts'
import type { Params } from '../src/store/engine.ts'
import { openCertificates } from '../src/tls/index.ts'
import { counts } from './support/answers.ts'
import { selfSigned } from './support/certificate.ts'
import { grafanaCallback, policyClient, wiki, withRegistration } from './support/example_policy.ts'
import { tokenExchange } from './support/exchange.ts'
import { formText, ticketOf } from './support/person.ts'
import { install, program, repository, spawned } from './support/program.ts'
import { raw } from './support/raw.ts'
import { freePort, start } from './support/start.ts'

const form = { 'content-type': 'application/x-www-form-urlencoded' }

/** Milliseconds of CPU of this process, and so of the daemon in it; the wall's would count what other programs take. */
const cpuSince = (before: NodeJS.CpuUsage) => {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

test('RFC 6749 Appendix B: names of fields are plain: brackets and dots make no lists and no objects [threats 430]', async (t) => {
  const { alice } = await start(t)
  const client = await alice.register()
  const { code, code_verifier } = await alice.code(client, wiki)
  for (const strange of [{ 'code[]': code }, { 'code[$ne]': 'x' }, { 'code.a': code }, { 'code[0]': code }]) {
    const answer = await alice.send('/token', {
      form: { grant_type: 'authorization_code', client_id: client.client_id, code_verifier, ...strange } as Record<string, string>,
    })
    assert.deepEqual([answer.status, answer.json().error], [400, 'invalid_request'], JSON.stringify(strange))
  }
  const more = { 'client_id[$ne]': 'x', 'a[b]': '1', 'a[]': '1', 'a.b': '1', __proto__x: '1', 'constructor[prototype][x]': '1' }
  assert.ok(await alice.token(client, { grant_type: 'authorization_code', code, code_verifier, ...more }))
})

test('RFC 6749 Appendix B: what is not percent-encoded UTF-8 is refused, never replaced [threats 431]', async (t) => {
  const { alice } = await start(t)
  const client = await alice.register()
  for (const bad of ['%', '%z', '%zz', '%ff%fe', '%c0%af', '%e0%80%af', '%ed%a0%80', '%f8%88%80%80%80', '%00', 'a%00b']) {
    for (const path of ['/token', '/introspect', '/revoke', '/consent', '/authorize']) {
      const answer = await alice.send(path, {
        raw: `client_id=${client.client_id}&grant_type=refresh_token&refresh_token=${bad}&token=${bad}&ticket=${bad}&state=${bad}`,
        method: 'POST',
        headers: { ...form, 'sec-fetch-site': 'same-origin', origin: 'null' },
      })
      assert.equal(answer.status, 400, `${path} ${bad} ${answer.text}`)
      assert.doesNotMatch(answer.text, /\ufffd/)
    }
    assert.equal((await alice.send(`/authorize?client_id=${client.client_id}&state=${bad}`)).status, 400)
  }
})

test('CWE-117, CVE-2021-42574: no text of a stranger moves the cursor or turns the direction of writing, on a page, in an answer or in the log', async (t) => {
  const started = await start(t)
  const { alice, logged } = started
  const client = await alice.register()
  const { refresh_token = '' } = await alice.signIn(client, wiki)
  const evil = 'a\u202e\u009b2J\u2066\u200b\u2028b'
  const { client_id } = client
  const server = { client_id: 'client:wiki-server', client_secret: policyClient(started, 'wiki-server').client_secret ?? '' }
  const answers = [
    ...(await Promise.all(
      [
        'client_id',
        'redirect_uri',
        'resource',
        'response_type',
        'response_mode',
        'scope',
        'prompt',
        'max_age',
        'claims',
        'id_token_hint',
      ].map((name) => alice.authorize(client, { ...wiki, [name]: evil })),
    )),
    await alice.authorize(client, { ...wiki, [evil]: ['1', '2'] }),
    ...(await Promise.all(
      [
        { client_id: evil, grant_type: 'authorization_code' },
        { client_id, grant_type: evil },
        { client_id, grant_type: 'refresh_token', refresh_token, scope: evil },
        { client_id, grant_type: 'refresh_token', refresh_token, resource: evil },
        { client_id, grant_type: 'authorization_code', [evil]: ['1', '2'] },
        { grant_type: tokenExchange, ...server, subject_token: evil, subject_token_type: evil },
        { grant_type: 'client_credentials', ...server, resource: evil },
      ].map((form) => alice.send('/token', { form })),
    )),
    await alice.send('/register', { json: { redirect_uris: [evil], client_name: evil } }),
    await alice.send(`/end_session?${formText({ client_id: evil, post_logout_redirect_uri: evil })}`, { headers: { accept: 'text/html' } }),
  ]
  for (const { status, text } of answers) {
    assert.ok(status >= 400 && status < 500, `${status} ${text}`)
    assert.doesNotMatch(text, /[\u0080-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/)
  }
  for (const { message, fields } of logged)
    assert.doesNotMatch(`${message} ${JSON.stringify(fields)}`, /[\u0080-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/)
})

test('CWE-400: more fields than any request has, and keys that collide, are refused at once [threats 425, 433]', async (t) => {
  const { alice } = await start(t)
  const many = Array.from({ length: 10_000 }, (_, n) => `${n}=`).join('&')
  const numbers = JSON.stringify(Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [String(4096 * n), 0])))
  const began = process.cpuUsage()
  for (const path of ['/token', '/introspect', '/revoke', '/authorize']) {
    const answer = await alice.send(path, { method: 'POST', raw: many, headers: form })
    assert.equal(answer.status, 400, `${path} ${answer.text}`)
  }
  const answer = await alice.send('/register', { method: 'POST', raw: numbers, headers: { 'content-type': 'application/json' } })
  assert.equal(answer.status, 400, answer.text)
  assert.ok(cpuSince(began) < 2000)
})

test('RFC 8259 §6: numbers that are none, too large or of another kind are refused wherever a value is read [threats 428]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const before = await counts(started)
  for (const number of ['1e400', '-1e400', '-0', '9223372036854775808', '1.5', '0'])
    for (const body of [
      `{"redirect_uris":[${number}]}`,
      `{"redirect_uris":["https://app.example.com/cb"],"client_name":${number}}`,
      `{"redirect_uris":["https://app.example.com/cb"],"scope":${number}}`,
      `{"redirect_uris":["https://app.example.com/cb"],"grant_types":${number}}`,
    ]) {
      const answer = await alice.send('/register', { method: 'POST', raw: body, headers: { 'content-type': 'application/json' } })
      assert.equal(answer.status, 400, `${body} ${answer.text}`)
    }
  for (const number of ['NaN', 'Infinity', '0x10']) {
    const raw = `{"redirect_uris":[${number}]}`
    assert.equal((await alice.send('/register', { method: 'POST', raw, headers: { 'content-type': 'application/json' } })).status, 400)
  }
  assert.deepEqual(await counts(started), before)
  const grafana = { client_id: 'client:grafana', redirect_uri: grafanaCallback }
  for (const max_age of ['1e400', '-0', '-1', 'NaN', 'Infinity', '0x10', '1.5', '9223372036854775808', ' 1', '١']) {
    const answer = await alice.authorize(grafana, { max_age, scope: 'openid' })
    assert.deepEqual([answer.status, answer.location().get('error')], [303, 'invalid_request'], max_age)
  }
})

test('RFC 9110 §7.8, RFC 9112 §6.1: no protocol is switched, and odd transfer codings are refused [threats 412, 439]', async (t) => {
  const { issuer } = await start(t)
  const { host, port } = new URL(issuer)
  for (const path of ['/', '/authorize', '/token', '/register', '/consent', '/userinfo', '/jwks'])
    for (const upgrade of [
      'Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
      'Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n',
    ]) {
      const { status, text } = await raw(port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${upgrade}\r\n`)
      assert.ok(status >= 200 && status < 500, `${path} ${status}`)
      assert.doesNotMatch(text, /^upgrade:|101 /im)
    }
  const chunk = '3\r\na=b\r\n0\r\n\r\n'
  for (const [version, headers] of [
    ['1.0', 'Transfer-Encoding: chunked'],
    ['1.1', 'Transfer-Encoding: chunked\r\nContent-Length: 3'],
    ['1.1', 'Content-Length: 3\r\nTransfer-Encoding: chunked'],
    ['1.1', 'Transfer-Encoding: xchunked'],
    ['1.1', 'Transfer-Encoding: chunked, identity'],
    ['1.1', 'Transfer-Encoding : chunked'],
    ['1.1', 'Content-Length: 3\r\nContent-Length: 4'],
    ['1.1', 'Content-Length: +3'],
    ['1.1', 'Content-Length: -1'],
  ] as const) {
    const head = `POST /token HTTP/${version}\r\nHost: ${host}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n${headers}\r\n\r\n`
    const { status, text } = await raw(port, head + chunk)
    assert.equal(status, 400, `${headers}: ${text}`)
    assert.equal(text.match(/HTTP\/1\.1 /g)?.length, 1, 'nothing that follows is read as a request')
  }
})

test('RFC 9110 §6.5: a trailer proves nothing and changes nothing [threats 440]', async (t) => {
  const started = await start(t)
  const { alice, issuer } = started
  const { host, port } = new URL(issuer)
  const { access_token } = await alice.signIn(await alice.register(), wiki)
  const { client_id, client_secret } = policyClient(started, 'wiki-server')
  const credentials = `Authorization: Basic ${Buffer.from(`${encodeURIComponent(client_id)}:${client_secret}`).toString('base64')}\r\n`
  const body = `token=${access_token}`
  const send = (before: string, after: string) =>
    raw(
      port,
      `POST /introspect HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nTrailer: Authorization\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n${before}\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n${after}\r\n`,
    )
  assert.match((await send(credentials, '')).text, /"active":true/)
  assert.match((await send(credentials, 'Host: evil.example\r\n')).text, /"active":true/)
  assert.equal((await send('', credentials)).status, 401)
})

test('CWE-755: whatever server name a TLS client sends, the next one is answered [threats 424]', async (t) => {
  const { daemon, config, issuer } = await start(t)
  const { identity, log } = daemon.deps
  const { key, cert } = selfSigned('localhost')
  const files = { tls_certificate_file: join(config.state_directory, 'cert.pem'), tls_key_file: join(config.state_directory, 'key.pem') }
  writeFileSync(files.tls_certificate_file, cert)
  writeFileSync(files.tls_key_file, key, { mode: 0o600 })
  const port = await freePort()
  const onTls = { ...config, listen: { ...config.listen, host: '127.0.0.1', port, ...files } }
  const certificates = await openCertificates(onTls, { now: daemon.deps.now, log })
  const gate = createGate(config, identity, endpointsOf(issuer))
  const listeners = await listen(buildApp(daemon.deps), onTls, { identity, log, gate, certificates })
  t.after(async () => {
    await listeners.close()
    await certificates?.close()
  })
  const answered = (servername: string) =>
    new Promise<string>((resolve) => {
      let text = ''
      const socket = connectTls({ host: '127.0.0.1', port, servername, rejectUnauthorized: false }, () =>
        socket.write(`GET /healthz HTTP/1.1\r\nHost: ${new URL(issuer).host}\r\nConnection: close\r\n\r\n`),
      )
      socket.on('data', (part) => (text += part)).on('error', () => undefined)
      socket.on('close', () => resolve(text))
    })
  for (const name of ['', 'evil.example', '*', '.', '-', 'a'.repeat(255), '__proto__', 'xn--', 'localhost.', '"><script>', '\u00ff', '%00'])
    await answered(name)
  for (const garbage of [randomBytes(512), Buffer.from('16030100010100', 'hex'), Buffer.from('GET / HTTP/1.1\r\n\r\n')]) {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined)
    socket.end(garbage)
    await new Promise((resolve) => socket.resume().once('close', resolve))
  }
  assert.match(await answered('localhost'), /^HTTP\/1\.1 200/)
})

test('CWE-209: a fault in one request is its own 500 or 503 that tells nothing of the inside; the process lives, and the log has it [threats 388, 436, 449]', async (t) => {
  const started = await start(t)
  const { alice, daemon, logged } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  const fault = Object.assign(new Error('SQLITE_ERROR: SELECT secret FROM clients at /var/lib/meshidp/state.db'), { code: 'SQLITE_ERROR' })
  const { engine } = daemon.deps.store
  const { identity } = daemon.deps
  const { get } = engine
  const { identify } = identity
  const form = { grant_type: 'refresh_token', client_id: client.client_id, refresh_token: String(tokens.refresh_token) }
  for (const fail of [() => Promise.reject(fault), () => sleep(1).then(() => Promise.reject(fault))]) {
    engine.get = <Row>(sql: string, params: Params) =>
      / FROM clients WHERE client_id/.test(sql) ? (fail() as Promise<never>) : get<Row>(sql, params)
    identity.identify = fail as typeof identify
    const before = await counts(started)
    const faults = logged.filter(({ level }) => level === 'error' || level === 'warn').length
    const answers = [
      await alice.authorize(client, wiki),
      await alice.send('/token', { form }),
      await alice.send('/', { headers: { accept: 'text/html' } }),
      await alice.send('/register', { json: { redirect_uris: ['http://127.0.0.1:9/callback'] } }),
    ]
    for (const { status, text, headers } of answers) {
      assert.ok(status === 500 || status === 503, `${status} ${text}`)
      assert.equal(headers.location, undefined)
      assert.doesNotMatch(text, /SELECT|SQLITE|\/var\/|node_modules|\.ts\b|\bat \w+ \(/)
    }
    assert.ok(logged.filter(({ level }) => level === 'error' || level === 'warn').length >= faults + answers.length)
    engine.get = get
    identity.identify = identify
    assert.deepEqual(await counts(started), before)
  }
  assert.ok(await alice.refresh(client, tokens), 'nothing was spent')
})

test('A gate that fails is closed: where the policy cannot be asked, nobody signs in, registers or refreshes [threats 388]', async (t) => {
  const started = await start(t)
  const { alice, daemon } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  const { policy } = daemon.deps
  const before = await counts(started)
  daemon.deps.policy = () => {
    throw new Error('no policy')
  }
  const answers = [
    await alice.authorize(client, wiki),
    await alice.send('/register', { json: { redirect_uris: ['http://127.0.0.1:9/callback'] } }),
    await alice.send('/token', {
      form: { grant_type: 'refresh_token', client_id: client.client_id, refresh_token: String(tokens.refresh_token) },
    }),
  ]
  for (const { status, headers } of answers) assert.deepEqual([[500, 503].includes(status), headers.location], [true, undefined])
  daemon.deps.policy = policy
  assert.deepEqual(await counts(started), before)
  assert.ok(await alice.refresh(client, tokens))
})

test('Whoever hangs up, at whatever moment, leaves a code redeemed with its tokens or not redeemed, and nothing else [threats 437]', async (t) => {
  const started = await start(t)
  const { alice, issuer, logged } = started
  const { host, port } = new URL(issuer)
  const client = await alice.register()
  const codes = []
  for (let n = 0; n < 24; n++) codes.push(await alice.code(client, wiki))
  const before = await counts(started)
  await Promise.all(
    codes.map(async ({ code, code_verifier }, n) => {
      const body = formText({ grant_type: 'authorization_code', client_id: client.client_id, code, code_verifier })
      const socket = connect({ host: '127.0.0.1', port: Number(port), localAddress: '127.0.0.2' }).on('error', () => undefined)
      const head = `POST /token HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n`
      socket.write(n % 4 === 0 ? head + body.slice(0, 20) : head + body)
      await sleep(n / 2)
      socket.resetAndDestroy()
    }),
  )
  await sleep(100)
  let fresh = 0
  for (const { code, code_verifier } of codes) {
    const form = { grant_type: 'authorization_code', client_id: client.client_id, code, code_verifier }
    const answer = await alice.send('/token', { form })
    assert.ok(answer.status === 200 || answer.json().error === 'invalid_grant', answer.text)
    if (answer.status === 200) fresh++
  }
  assert.ok(fresh >= 6, 'a body that never came spends nothing')
  const redeemed = (await started.daemon.deps.store.decisions.page({ since: 0, before: null, limit: 1000 })).filter(
    ({ outcome, client_id }) => outcome === 'allowed' && client_id === client.client_id,
  )
  const times = redeemed.filter(({ entry }) => entry === 'authorization_code').length
  const spent = (await counts(started)).spent - before.spent
  assert.deepEqual([times, spent], [codes.length, codes.length], 'each code was good once, for whoever hung up or for us')
  assert.deepEqual(
    logged.filter(({ level }) => level === 'error'),
    [],
  )
})

test('RFC 6749 §10.10: whatever must not be guessed holds 256 bits of the random source, and says what it is [threats 446]', async (t) => {
  const made: string[] = []
  const started = await start(t, {
    policy: withRegistration({ confidential: true }),
    randomBytes: (size) => {
      const bytes = randomBytes(size)
      if (size === 32) made.push(bytes.toString('base64url'))
      return bytes
    },
  })
  const { alice } = started
  const client = await alice.register({ token_endpoint_auth_method: 'client_secret_basic' })
  const { code, code_verifier } = await alice.code(client, wiki)
  const { refresh_token } = await alice.token(client, {
    grant_type: 'authorization_code',
    code,
    code_verifier,
    redirect_uri: client.redirect_uri,
  })
  const opaque = await alice.signIn(client, { resource: 'http://localhost:8491/mcp', scope: 'notes:read' })
  const page = await alice.authorize(client, { ...wiki, prompt: 'consent' })
  const secrets = [
    ...(['mis_', 'mia_', 'mic_', 'mir_', 'mio_', 'mit_'] as const).map(
      (prefix, n) =>
        [
          prefix,
          [client.client_secret, client.registration_access_token, code, refresh_token, opaque.access_token, ticketOf(page)][n] ?? '',
        ] as const,
    ),
  ]
  for (const [prefix, secret] of secrets) {
    assert.ok(secret.startsWith(prefix), prefix)
    assert.equal(made.filter((bytes) => secret.includes(bytes)).length, 1, `${prefix} holds 32 bytes of the source`)
  }
})

/** Every source file, by its name below `src`. */
const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => [file, readFileSync(join('src', file), 'utf8')] as const)

test('CWE-208, CWE-400: secrets are found by digest or compared in constant time, and no slow hash is anywhere that a stranger could make work [threats 443, 445]', async (t) => {
  for (const [file, text] of sources) {
    assert.doesNotMatch(text, /\b(?:scrypt|pbkdf2|bcrypt|argon2)/i, file)
    for (const line of text.split('\n')) {
      const compared = /\b(?:secret|secret_digest|previous_digest|token_digest|code_challenge|verifier|mark)\s*[!=]==\s*(\w+)/.exec(line)
      if (compared) assert.match(compared[1] ?? '', /^(?:null|undefined)$/, `${file}: ${line}`)
    }
  }
  const { alice } = await start(t, { policy: withRegistration({ confidential: true }) })
  const client = await alice.register({ token_endpoint_auth_method: 'client_secret_basic' })
  const wrong = { ...client, client_secret: `mis_${'A'.repeat(43)}` }
  const began = process.cpuUsage()
  for (let n = 0; n < 100; n++) await assert.rejects(alice.token(wrong, { grant_type: 'refresh_token', refresh_token: 'x' }))
  assert.ok(cpuSince(began) < 5000, 'a hundred wrong secrets cost a hundred hashes')
})

test('CWE-834: a query that can find many rows says how many at most, so none holds up the others [threats 442]', () => {
  const unbounded = sources
    .filter(([file]) => file.startsWith('store/') && !file.includes('migrations'))
    .flatMap(([file, text]) =>
      [...text.matchAll(/engine\.all(?:<[^(]*>)?\(\s*(?:`([^`]*)`|'([^']*)'|\w+)/g)].flatMap(({ index, 1: long, 2: short }) => {
        // A name stands for the last text before it.
        const sql = long ?? short ?? /.*const sql = [`']([^`']*)/s.exec(text.slice(0, index))?.[1] ?? ''
        return /\bLIMIT\b/.test(sql) ? [] : [`${file}: ${sql}`]
      }),
    )
  assert.deepEqual(unbounded, [])
})

test('CWE-1357: what is installed is locked with its digest, few packages are direct, and none runs anything when it is installed [threats 451]', () => {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { version?: string; integrity?: string; optional?: boolean }>
  }
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: Record<string, string> }
  assert.ok(Object.keys(dependencies).length <= 10)
  for (const [place, { version, integrity, optional }] of Object.entries(packages).filter(([place]) => place !== ''))
    assert.ok(version !== undefined && (/^sha512-/.test(integrity ?? '') || optional === true), place)
  for (const name of Object.keys(dependencies)) assert.ok(packages[`node_modules/${name}`], name)
  assert.match(readFileSync('scripts/install_missing.mjs', 'utf8'), /'ci', '--ignore-scripts'/)
})

test('CWE-489: no signal opens a debugger, in a process that starts as the program says [threats 452]', async (t) => {
  const [line = ''] = readFileSync(program, 'utf8').split('\n')
  const flags = line.replace(/^#!\S+ -S node /, '').split(' ')
  const { scripts } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  for (const name of ['start', 'meshidp']) for (const flag of flags) assert.ok(scripts[name]?.includes(flag), `${name} ${flag}`)
  const { configFile } = await install(t)
  const running = spawned(t, process.execPath, [...flags, program, 'serve', '--config', configFile])
  await running.says(/meshidp serves /)
  running.child.kill('SIGUSR1')
  await sleep(500)
  assert.doesNotMatch(running.said(), /debugger|inspector|ws:\/\//i)
})
