/**
 * Who is not who they seem to be, on real tailscaled processes in userspace mode: first the naive way is shown to fail, so that the attack is known to
 * work, and then meshidp stands. S1, S2 and S5 need a TUN: tun.mesh.ts.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, request as httpRequest } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeJwt } from 'jose'
import { Agent, request } from 'undici'
import type { ConfigInput } from '../../src/config.ts'
import type { WhoisAnswer } from '../../src/identity/answers.ts'
import { eventually } from '../support/eventually.ts'
import { startLocalApi } from '../support/local_api.ts'
import { personBy, type Refusal, type Tokens } from '../support/person.ts'
import { meshidp } from '../support/program.ts'
import { freePort, temporaryDirectory } from '../support/start.ts'
import { type Machine, mesh } from './mesh.ts'
import { header, naive, whoisOf } from './naive.ts'
import { document, policy, provider, whoIn } from './provider.ts'

const inWords = {
  local: /was opened by a process of this machine, not by tailscaled/,
  unknown: /The mesh knows nobody at/,
}

/** Whether a process of ours can become another user; not where only one user is mapped. */
const canBecomeAnother = readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/)[2] !== '1'

const aStranger = 65_533

/** GET of `path` at a loopback port, by a shell that belongs to `user`; resolves with all that came. */
async function asUser(t: TestContext, user: number | undefined, port: number, host = `127.0.0.1:${port}`): Promise<string> {
  const script = `exec 3<>/dev/tcp/127.0.0.1/${port}; printf 'GET / HTTP/1.1\\r\\nHost: ${host}\\r\\nAccept: text/html\\r\\nConnection: close\\r\\n\\r\\n' >&3; cat <&3`
  const child = spawn('bash', ['-c', script], { ...(user !== undefined && { uid: user, gid: user }), stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => void child.kill('SIGKILL'))
  return text(child.stdout)
}

/** Where the kernel takes the ports of outgoing connections from, in this network namespace. */
const portRange = '/proc/sys/net/ipv4/ip_local_port_range'

/** Runs `act` while every new connection has this source port; a thief who does not own the machine tries until it happens. */
async function withSourcePort<T>(port: number, act: () => Promise<T>): Promise<T> {
  const before = readFileSync(portRange, 'utf8')
  writeFileSync(portRange, `${port} ${port}`)
  try {
    return await act()
  } finally {
    writeFileSync(portRange, before)
  }
}

/** A connection of `machine` to some other service on the provider's machine, which stays open; resolves with the port from which tailscaled made it. */
async function openConnection(t: TestContext, machine: Machine, to: Machine): Promise<number> {
  const server = createServer(() => {}) // never answers
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const arrived = once(server, 'request')
  const stop = new AbortController()
  machine.fetch(`http://${to.host}:${(server.address() as AddressInfo).port}/`, { signal: stop.signal }).catch(() => {})
  t.after(() => {
    stop.abort()
    server.closeAllConnections()
    server.close()
  })
  const [{ socket }] = (await arrived) as [{ socket: { remotePort: number } }]
  return socket.remotePort
}

/** What any local process may do: sends bytes to a loopback port by the proxy of this machine's tailscaled, and gets all that comes. The way to the proxy is open before. */
async function proxied(t: TestContext, { proxy }: Machine) {
  const { hostname, port } = new URL(proxy)
  const ways = await Promise.all(
    [1, 2].map(async () => {
      const way = connect(Number(port), hostname)
      t.after(() => way.destroy())
      await once(way, 'connect')
      return way
    }),
  )
  return async (to: number, bytes: string): Promise<string> => {
    const way = ways.pop()
    assert.ok(way)
    way.write(`CONNECT 127.0.0.1:${to} HTTP/1.1\r\nHost: 127.0.0.1:${to}\r\n\r\n`)
    const [opened] = (await once(way, 'data')) as [Buffer]
    assert.match(String(opened), /^HTTP\/1\.1 200 /)
    way.write(bytes)
    return text(way)
  }
}

/** A provider that speaks http on loopback, as one may where only tailscaled reaches it. */
async function plainProvider(t: TestContext, machine: Machine) {
  const port = await freePort()
  const host = `${machine.host}:${port}`
  return { ...(await provider(t, machine, { config: { issuer: `https://${host}`, listen: { port, tls: false } } })), port, host }
}

test('a real mesh, and those who are not who they seem to be', async (t) => {
  const lab = await mesh(t, document)
  const [idp, alice, bob] = (['idp', 'alice-laptop', 'bob-laptop'] as const).map(lab.machine) as [Machine, Machine, Machine]

  await t.test('S3: a local process that lands on a port for which tailscaled answers is nobody [threats 325]', async (t) => {
    if (!canBecomeAnother) return t.skip('to become another user takes root')
    const fooled = await naive(t, { port: 0, host: '127.0.0.1' }, whoisOf(t, idp, { port: true }))
    const { port, host } = await plainProvider(t, idp)
    const theirs = await openConnection(t, alice, idp)
    await withSourcePort(theirs, async () => {
      assert.match(await asUser(t, aStranger, fooled), /alice@example\.com$/, 'the naive one takes the thief for alice')
      assert.match(whoIn(await asUser(t, aStranger, port, host)), inWords.local)
      assert.match(
        await asUser(t, undefined, port, host),
        /tailscaled uses the port of this connection for another one, too/,
        'who runs as tailscaled does is not alice either, and it was that port',
      )
    })
  })

  await t.test(
    'S3: what tailscaled itself opens for a local process, by its proxy, from a port for which it answers is nobody’s [threats 325]',
    async (t) => {
      const fooled = await naive(t, { port: 0, host: '127.0.0.1' }, whoisOf(t, idp, { port: true }))
      const { port, host } = await plainProvider(t, idp)
      const throughProxy = await proxied(t, idp)
      const get = (host: string, more = '') => `GET / HTTP/1.1\r\nHost: ${host}\r\nAccept: text/html\r\n${more}\r\n`
      const theirs = await openConnection(t, alice, idp)
      await withSourcePort(theirs, async () => {
        assert.match(
          await throughProxy(fooled, get('localhost', 'Connection: close\r\n')),
          /alice@example\.com$/,
          'the naive one takes the thief for alice',
        )
        const answer = await throughProxy(port, get(host)) // which ends, for the next connection has another port
        assert.match(answer, /^HTTP\/1\.1 503 /)
        assert.match(answer, /tailscaled uses the port of this connection for another one, too/)
        assert.doesNotMatch(answer, /alice/)
      })
    },
  )

  await t.test('S3: in a user namespace where everybody is the overflow user, nobody has an identity', async (t) => {
    const inside = (command: string) =>
      new Promise<string>((resolve) => {
        const child = spawn('unshare', ['--user', 'bash', '-c', command], { stdio: ['ignore', 'pipe', 'inherit'] })
        let text = ''
        child.stdout.on('data', (chunk) => {
          text += chunk
        })
        child.once('close', () => resolve(text.trim()))
      })
    const everybody = readFileSync('/proc/sys/kernel/overflowuid', 'utf8').trim()
    assert.equal(await inside(`stat -c %u ${idp.socket}`), everybody)
    const owners = await inside(`awk '$4 == "01" { print $8 }' /proc/self/net/tcp | sort -u`)
    assert.equal(owners, everybody, 'who compares owners there, finds any process to be tailscaled')

    const directory = temporaryDirectory(t)
    const port = await freePort()
    const issuer = `https://${idp.host}:${port}`
    const [configFile, policy_file] = [join(directory, 'config.hujson'), join(directory, 'policy.hujson')]
    const config: ConfigInput = {
      issuer,
      policy_file,
      state_directory: join(directory, 'state'),
      listen: { port, tls: false },
      mesh: { socket: idp.socket },
    }
    writeFileSync(policy_file, JSON.stringify(policy))
    writeFileSync(configFile, JSON.stringify(config))
    const daemon = meshidp(t, ['serve', '--config', configFile], { under: ['unshare', '--user'] })
    await daemon.says(/"msg":"meshidp serves /)
    const page = await (await alice.fetch(`http://${idp.host}:${port}/`, { headers: { accept: 'text/html' } })).text()
    assert.match(whoIn(page), inWords.local)
  })

  await t.test(
    'S4: headers about people are worth nothing through "serve --tcp", nor on loopback [threats 337, 340, 341, 343, 349]',
    async (t) => {
      const forged = {
        host: 'localhost',
        'tailscale-user-login': 'alice@example.com',
        'tailscale-user-name': 'Alice Example',
        'x-forwarded-for': alice.address,
        'x-real-ip': alice.address,
        forwarded: `for=${alice.address}`,
      }
      const fooled = await naive(t, { port: 0, host: '127.0.0.1' }, header('tailscale-user-login'))
      const { port, host } = await plainProvider(t, idp)
      await idp.tailscale('serve', '--bg', '--tcp=8001', `tcp://127.0.0.1:${fooled}`)
      await idp.tailscale('serve', '--bg', '--tcp=8002', `tcp://127.0.0.1:${port}`)
      t.after(() => idp.tailscale('serve', 'reset'))
      const asBob = async (url: string, headers: object) =>
        (await request(url, { dispatcher: bob.dispatcher, headers: { accept: 'text/html', ...headers } })).body.text()

      assert.equal(await asBob(`http://${idp.host}:8001/`, forged), 'alice@example.com')
      assert.equal(whoIn(await asBob(`http://${idp.host}:${port}/`, { ...forged, host })), 'bob@example.com')
      assert.match(whoIn(await asBob(`http://${idp.host}:8002/`, { ...forged, host })), inWords.unknown)

      const direct = async (port: number, headers: object) =>
        (await request(`http://127.0.0.1:${port}/`, { headers: { accept: 'text/html', ...headers } })).body.text()
      assert.equal(await direct(fooled, forged), 'alice@example.com')
      assert.doesNotMatch(await direct(port, forged), /alice/, 'a Host of localhost is no way in')
      const local = await eventually('another miss may be asked', async () => {
        const page = await direct(port, { ...forged, host })
        return /Too many connections/.test(page) ? null : page
      })
      assert.match(whoIn(local), inWords.unknown)
    },
  )

  await t.test(
    'S4: behind "serve --https" a request is whose the forwarded address is, whatever was forged [threats 334, 352, 353]',
    async (t) => {
      const socket = join(temporaryDirectory(t), 'meshidp.sock')
      const { issuer } = await provider(t, idp, {
        config: { issuer: `https://${idp.host}`, listen: { socket }, mesh: { socket: idp.socket, identity: 'serve' } },
      })
      assert.equal(statSync(socket).mode & 0o777, 0o600)

      const naiveSocket = join(temporaryDirectory(t), 'naive.sock')
      const firstOf = new WeakMap<object, string>()
      const people = new Map([alice, bob].map(({ name, address }) => [address, name]))
      await naive(t, { path: naiveSocket }, ({ socket, headers }) => {
        if (headers['x-real-ip'] !== undefined) return String(headers['x-real-ip'])
        firstOf.set(socket, firstOf.get(socket) ?? people.get(String(headers['x-forwarded-for'])) ?? '')
        return firstOf.get(socket) ?? ''
      })
      await idp.tailscale('serve', '--bg', '--https=443', `unix:${socket}`)
      await idp.tailscale('serve', '--bg', '--http=8080', `unix:${naiveSocket}`)
      t.after(() => idp.tailscale('serve', 'reset'))
      const ask = async (machine: Machine, url: string, headers = {}) =>
        (await request(url, { dispatcher: machine.dispatcher, headers: { accept: 'text/html', ...headers } })).body.text()

      assert.equal(
        await ask(bob, `http://${idp.host}:8080/`, { 'x-real-ip': alice.address }),
        alice.address,
        'this one serve does not replace',
      )
      assert.equal(await ask(alice, `http://${idp.host}:8080/`), alice.name)
      assert.equal(
        await ask(bob, `http://${idp.host}:8080/`),
        alice.name,
        'serve keeps connections, and does not care whose request comes next',
      )

      const forged = {
        'x-forwarded-for': alice.address,
        'x-forwarded-proto': 'http',
        'x-real-ip': alice.address,
        'tailscale-user-login': 'alice@example.com',
        tailscale_user_login: 'alice@example.com',
        forwarded: `for=${alice.address}`,
      }
      for (const [machine, login] of [
        [alice, 'alice@example.com'],
        [bob, 'bob@example.com'],
      ] as const) {
        assert.equal(whoIn(await ask(machine, `${issuer}/`)), login)
        assert.equal(whoIn(await ask(machine, `${issuer}/`, forged)), login)
      }
      const metadata = JSON.parse(
        await ask(bob, `${issuer}/.well-known/openid-configuration`, { 'x-forwarded-host': 'evil.example', ...forged }),
      )
      assert.equal(metadata.issuer, issuer)
      assert.ok(metadata.token_endpoint.startsWith(`${issuer}/`), 'no address is built from headers')

      // Without x-forwarded-proto, as over "serve --http", cookies are Secure and the issuer is https all the same.
      await idp.tailscale('serve', '--bg', '--http=80', `unix:${socket}`)
      const plain = JSON.parse(await ask(bob, `http://${idp.host}/.well-known/openid-configuration`))
      assert.equal(plain.issuer, issuer)

      if (canBecomeAnother) {
        // By a descriptor, for they may not enter the folders above this checkout.
        const node = openSync(process.execPath, 'r')
        t.after(() => closeSync(node))
        const attempt = spawn(
          '/proc/self/fd/3',
          ['-e', `require('net').connect(${JSON.stringify(socket)}).on('error', (error) => console.log(error.code))`],
          {
            uid: aStranger,
            gid: aStranger,
            cwd: '/',
            stdio: ['ignore', 'pipe', 'inherit', node],
          },
        )
        assert.ok(attempt.stdout)
        const [said] = (await once(attempt.stdout, 'data')) as [Buffer]
        assert.equal(String(said).trim(), 'EACCES', 'nobody else on the machine opens the socket')
      }
    },
  )

  await t.test('S6: a machine whose key has expired is nobody, although whois goes on naming its owner', async (t) => {
    const { daemon } = await provider(t, idp)
    const ends = await new Promise<{ remoteAddress: string; remotePort: number; localAddress: string; localPort: number }>((resolve) => {
      const server = createServer(({ socket }) => {
        const { remoteAddress = '', remotePort = 0, localAddress = '', localPort = 0 } = socket
        resolve({ remoteAddress, remotePort, localAddress, localPort })
      })
      server.listen(0, '127.0.0.1', () => {
        const { port } = server.address() as AddressInfo
        bob.fetch(`http://${idp.host}:${port}/`).catch(() => {})
      })
      t.after(() => {
        server.closeAllConnections()
        server.close()
      })
    })
    const { identity } = daemon.deps
    const reason = async () => {
      const caller = await identity.identify({ ...ends, headers: {} })
      return caller.principal === null ? caller.reason : caller.principal.kind
    }
    const believes = whoisOf(t, idp, { port: true })
    assert.equal(await reason(), 'user')
    await lab.change(({ machines }) => Object.assign(machines['bob-laptop'] as object, { expired: true }))
    await eventually('bob has expired', async () => (await reason()) === 'expired')
    assert.equal(await believes({ socket: ends } as never), 'bob@example.com', 'the naive one knows bob as before')
    await lab.change(({ machines }) => Object.assign(machines['bob-laptop'] as object, { expired: false }))
    await eventually('bob is back', async () => (await reason()) === 'user')
    await eventually('bob reaches the provider again', () => bob.fetch(`https://${idp.host}:${ends.localPort}/`).catch((error) => error))
  })

  await t.test(
    'S7: while tailscaled starts, or does not reach its control plane, nobody is nobody: 503, and no token ends [threats 319]',
    async (t) => {
      const { at, issuer } = await provider(t, idp)
      const person = at(alice)
      const client = await person.register()
      let tokens = await person.signIn(client, { scope: 'openid offline_access' })
      const { port } = new URL(issuer)
      // While the mesh is dark only the machine itself reaches its provider.
      const near = new Agent({ connect: { rejectUnauthorized: false } })
      t.after(() => near.destroy())
      const here = personBy(near, issuer, '127.0.0.1', ({ pathname, search }) => `https://127.0.0.1:${port}${pathname}${search}`)
      const fooled = await naive(t, { port: 0, host: '127.0.0.1' }, whoisOf(t, idp, { port: true }))
      const theirs = await openConnection(t, alice, idp)
      const believes = whoisOf(t, idp, { port: true })
      const known = { socket: { remoteAddress: '127.0.0.1', remotePort: theirs } } as never
      assert.equal(await believes(known), 'alice@example.com')
      assert.equal(await (await fetch(`http://127.0.0.1:${fooled}/`)).text(), '')

      lab.signalControl('SIGSTOP')
      await idp.kill()
      await idp.start()
      for (const [what, byAddress] of [
        ['her connection', await believes(known)],
        ['her address', await whoisOf(t, idp, { port: false })({ socket: { remoteAddress: alice.address } } as never)],
      ])
        assert.equal(byAddress, '', `${what}: the naive one takes alice for nobody, and might end what is hers`)

      const refused = await here.refresh(client, tokens).then(
        () => assert.fail('a token while the mesh is dark'),
        (error: Refusal) => error,
      )
      assert.equal(refused.status, 503)
      assert.match(String(refused.answer.headers['retry-after']), /^\d+$/)
      assert.equal((await here.send('/', { headers: { accept: 'text/html' } })).status, 503)
      assert.equal((await here.send('/jwks')).status, 200, 'what needs no identity goes on')

      lab.signalControl('SIGCONT')
      tokens = await eventually('well again', () =>
        here.refresh(client, tokens).catch((error: Refusal) => void assert.equal(error.status, 503)),
      )
      await eventually('alice reaches it', () => person.refresh(client, tokens).catch(() => null))
    },
  )

  await t.test(
    'S2: eight who miss do not hold up those who are known: they keep 80 % of the rate that they have beside eight who need no answer of the mesh',
    async (t) => {
      const measure = { every: 50, for: 3000 } // milliseconds
      /**
       * How many answers alice gets, who asks one after the other, while eight strangers open connection after connection: what share of as many strangers
       * who go to `idle`, for which nobody is asked, leave her. So what it costs to answer strangers, on however busy a machine, is on both sides.
       */
      async function share(port: number, host: string, answer: RegExp, idle: string) {
        const beside = await rateBeside(idle)
        return (await rateBeside(`http://127.0.0.1:${port}/`)) / beside

        async function rateBeside(url: string) {
          const stop = new AbortController()
          const strangers = Array.from({ length: 8 }, async () => {
            while (!stop.signal.aborted) {
              await request(url, { headers: { host, connection: 'close' }, signal: stop.signal }).then(
                ({ body }) => body.dump(),
                () => {},
              )
              await sleep(50)
            }
          })
          try {
            await sleep(300)
            return await rate()
          } finally {
            stop.abort()
            await Promise.all(strangers)
          }
        }

        async function rate() {
          let answers = 0
          for (const end = Date.now() + measure.for; Date.now() < end; ) {
            const began = Date.now()
            const text = await (
              await request(`http://${host}/`, { dispatcher: alice.dispatcher, headers: { accept: 'text/html' } })
            ).body.text()
            assert.match(text, answer)
            if (Date.now() <= end) answers++
            await sleep(Math.max(0, measure.every - (Date.now() - began)))
          }
          return answers
        }
      }
      const fooled = await naive(t, { port: 0, host: '127.0.0.1' }, whoisOf(t, idp, { port: true }))
      const idle = await naive(t, { port: 0, host: '127.0.0.1' }, () => 'anybody')
      const { port, host } = await plainProvider(t, idp)
      const of = {
        naive: () => share(fooled, `${idp.host}:${fooled}`, /alice/, `http://127.0.0.1:${idle}/`),
        meshidp: () => share(port, host, /You are <strong>alice/, `http://127.0.0.1:${port}/jwks`),
      }
      /** The shares until one is as it should be; six tries, for other programs come and go while one side is measured. */
      async function until(name: keyof typeof of, asItShould: (kept: number) => boolean): Promise<void> {
        const shares: number[] = []
        while (shares.length < 6 && !shares.some(asItShould)) shares.push(await of[name]())
        const told = `${name} keeps ${shares.map((kept) => kept.toFixed(2)).join(', ')}`
        t.diagnostic(told)
        assert.ok(shares.some(asItShould), told)
      }
      await until('naive', (kept) => kept < 0.5)
      await until('meshidp', (kept) => kept >= 0.8)
    },
  )

  /** meshidp as behind serve, on a LocalAPI of ours that may change what tailscaled answers; `ask` is a request that serve would forward for `address`. */
  async function onLocalApi(t: TestContext, changed: (answer: WhoisAnswer) => object = (answer) => answer) {
    const questions: string[] = []
    const local = await startLocalApi(t, ({ url = '', headers }, response) => {
      const isWhois = url.includes('/whois?')
      if (isWhois) questions.push(url)
      const ours = httpRequest({ socketPath: idp.socket, path: url, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500)
        if (!isWhois || answer.statusCode !== 200) return void answer.pipe(response)
        void text(answer).then((body) => response.end(JSON.stringify(changed(JSON.parse(body)))))
      })
      ours.on('error', () => response.destroy())
      response.on('close', () => ours.destroy())
      ours.end()
    })
    const socket = join(temporaryDirectory(t), 'meshidp.sock')
    const written = structuredClone(policy)
    written.grants.push({ src: ['*@example.com'], app: { register: [{}] } } as never)
    await provider(t, idp, {
      config: { issuer: `https://${idp.host}`, listen: { socket }, mesh: { socket: local.socket, identity: 'serve' } },
      policy: written,
    })
    const dispatcher = new Agent({ socketPath: socket, connections: 64 })
    t.after(() => dispatcher.destroy())
    const as = (address: string, more = {}) => ({ accept: 'text/html', 'x-forwarded-host': idp.host, 'x-forwarded-for': address, ...more })
    const ask = async (address: string, more = {}) =>
      whoIn(await (await request('http://localhost/', { dispatcher, headers: as(address, more) })).body.text())
    const register = async (address: string) => {
      const body = JSON.stringify({ redirect_uris: ['http://127.0.0.1/cb'] })
      const headers = { ...as(address), 'content-type': 'application/json' }
      const { statusCode, body: answer } = await request('http://localhost/register', { method: 'POST', dispatcher, headers, body })
      await answer.dump()
      return statusCode
    }
    return { questions, ask, register }
  }

  await t.test('S2: a flood of one caller is one question', async (t) => {
    const { questions, ask } = await onLocalApi(t)
    const flood = async () => {
      questions.length = 0
      const answers = await Promise.all(Array.from({ length: 50 }, () => ask(alice.address)))
      assert.deepEqual(new Set(answers), new Set(['alice@example.com']))
      return questions.length
    }
    // A line of the bus in between makes one more of it.
    await eventually('one question', async () => (await flood()) <= 1)
  })

  await t.test('shared in from a tailnet with the same mail domain (a constructed answer): nobody [threats 328, 329]', async (t) => {
    let theirs = {}
    const { ask, register } = await onLocalApi(t, (answer) => ({ ...answer, Node: { ...answer.Node, ...theirs } }))
    assert.equal(await register(alice.address), 201)
    theirs = { Sharer: 4711, Name: '' }
    await eventually('what was known is forgotten', async () => /is shared in from another tailnet/.test(await ask(alice.address)))
    assert.equal(await register(alice.address), 403)
  })

  await t.test('through Funnel (a constructed request): nobody, even from an address of the mesh [threats 349]', async (t) => {
    const { ask } = await onLocalApi(t)
    assert.match(await ask('198.51.100.7', { 'tailscale-funnel-request': '?1' }), /came from the public internet/)
    assert.match(await ask(alice.address, { 'tailscale-funnel-request': '?1' }), /came from the public internet/)
    assert.equal(await ask(alice.address), 'alice@example.com')
  })

  await t.test(
    'S8: a person with another name, and on another machine, is that person; the name alone is not [threats 365, 367, 368]',
    async (t) => {
      const { at } = await provider(t, idp)
      const person = at(alice)
      const client = await person.register()
      const first = await person.signIn(client, { scope: 'openid offline_access' })
      const subjectOf = ({ id_token = '' }: Tokens) => decodeJwt(id_token).sub

      await lab.change(({ people, machines }) => {
        for (const name of ['alice-laptop', 'alice-phone']) machines[name] = { person: 'alice.smith@example.com' }
        people['alice.smith@example.com'] = people['alice@example.com'] as never
        people['alice@example.com'] = { id: 999 }
      })
      await eventually('the new name', async () => whoIn((await person.send('/')).text) === 'alice.smith@example.com')
      const renamed = await person.signIn(client, { scope: 'openid offline_access' })
      assert.equal(subjectOf(renamed), subjectOf(first))
      let tokens = await person.refresh(client, first)

      await lab.change(({ machines }) => {
        machines['alice-phone'] = { ...machines['alice-phone'], removed: true }
        machines['alice-laptop'] = { ...machines['alice-laptop'], removed: true }
        machines['alice-anew'] = { person: 'alice.smith@example.com' }
        machines['other-alice'] = { person: 'alice@example.com' }
      })
      const anew = at(await lab.join('alice-anew'))
      tokens = await eventually('she is there', () =>
        anew.refresh(client, tokens).catch((error: Refusal) => void assert.equal(error.error, 'invalid_grant')),
      )
      const again = await anew.signIn(client, { scope: 'openid' })
      assert.equal(subjectOf(again), subjectOf(first))

      const other = at(await lab.join('other-alice'))
      await eventually('the other one', async () => whoIn((await other.send('/')).text) === 'alice@example.com')
      assert.notEqual(
        subjectOf(await other.signIn(client, { scope: 'openid' })),
        subjectOf(first),
        'a name that is given again is somebody else',
      )
    },
  )
})
