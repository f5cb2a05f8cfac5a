import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { type ConfigInput, toConfig } from '../../src/config.ts'
import { startDaemon } from '../../src/daemon.ts'
import { startDevMesh } from '../../src/identity/dev_mesh.ts'
import { withoutTrace } from '../support/answers.ts'
import { selfSigned } from '../support/certificate.ts'
import { changedPolicy, grafanaCallback, policyClient, wiki } from '../support/example_policy.ts'
import { startLocalApi, until } from '../support/local_api.ts'
import { type Answer, type Person, personAt } from '../support/person.ts'
import { freePort, type Started, start, temporaryDirectory, testClock, testLog } from '../support/start.ts'

const isReady = async (person: Person) => (await person.send('/readyz')).status === 200

type Darkness = {
  what: string
  begin: (started: Started) => Promise<void> | void
  end: (started: Started) => Promise<void> | void
  words: RegExp
}

const darknesses: Darkness[] = [
  { what: 'tailscaled stops and starts', begin: ({ mesh }) => mesh.stop(), end: ({ mesh }) => mesh.start(), words: /The mesh|tailscaled/ },
  {
    what: 'tailscaled hangs and goes on',
    begin({ mesh, clock }) {
      clock.advance({ seconds: 2 }) // nothing is remembered for so long
      mesh.hang()
    },
    end: ({ mesh }) => mesh.resume(),
    words: /tailscaled/,
  },
  {
    what: '"tailscale down" and up',
    begin: ({ mesh }) => mesh.change({ state: 'Stopped' }),
    end: ({ mesh }) => mesh.change({ state: 'Running' }),
    words: /tailscaled says "Stopped"/,
  },
  {
    what: 'the node joins another tailnet, and comes back',
    begin: ({ mesh }) => mesh.change({ tailnet: 'other.com' }),
    end: ({ mesh }) => mesh.change({ tailnet: 'example.com' }),
    words: /has joined the tailnet "other\.com", but the people known here are of "example\.com"/,
  },
]

/** Asks every endpoint, and holds it against the table of the architecture ("while the mesh is dark"). */
async function assertDark({ alice, ...started }: Started, have: Awaited<ReturnType<typeof prepare>>, words: RegExp): Promise<void> {
  const { client, grafana, code, page, tokens } = have
  const bearer = { authorization: `Bearer ${tokens.access_token}` }
  const basic = ({ client_id, client_secret }: { client_id: string; client_secret: string }) => ({
    authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}`,
  })
  const redemption = { grant_type: 'authorization_code', code: code.code, code_verifier: code.code_verifier, redirect_uri: grafanaCallback }
  const requests: [string, number, Promise<Answer>][] = [
    ['metadata', 200, alice.send('/.well-known/oauth-authorization-server')],
    ['OpenID metadata', 200, alice.send('/.well-known/openid-configuration')],
    ['JWKS', 200, alice.send('/jwks')],
    ['/healthz', 200, alice.send('/healthz')],
    ['/', 503, alice.send('/', { headers: { accept: 'text/html' } })],
    ['/authorize', 503, alice.authorize(client, wiki)],
    ['/consent', 503, alice.answer(page, 'approve')],
    ['/register', 503, alice.send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'] } })],
    ['/token, a code', 503, alice.send('/token', { form: redemption, headers: basic(grafana) })],
    [
      '/token, a refresh token',
      503,
      alice.send('/token', { form: { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' }, headers: basic(grafana) }),
    ],
    ['/introspect', 503, alice.send('/introspect', { form: { token: tokens.access_token }, headers: basic(grafana) })],
    ['/userinfo', 503, alice.send('/userinfo', { headers: bearer })],
    ['/revoke', 200, alice.send('/revoke', { form: { token: 'mir_nobody-knows-this' }, headers: basic(grafana) })],
  ]
  for (const [what, status, answering] of requests) {
    const answer = await answering
    assert.equal(answer.status, status, `${what}: ${answer.text}`)
    if (status === 503) {
      assert.match(String(answer.headers['retry-after']), /^\d+$/, what)
      assert.match(answer.text.replaceAll(/&quot;|'/g, '"'), words, what) // RFC 6749 §5.2 has no double quotes
    }
  }
  const ready = await alice.send('/readyz')
  assert.deepEqual([ready.status, ready.json().ready], [503, false])
  assert.match(String(ready.json().mesh), words.source.includes('Stopped') ? /Stopped/ : words)
  assert.ok(
    started.logged.some(({ level, message }) => level !== 'info' && words.test(message)),
    'the log says so too',
  )
}

async function prepare({ alice, ...started }: Started) {
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const client = await alice.register()
  return {
    grafana,
    client,
    code: await alice.code(grafana, { scope: 'profile' }),
    page: await alice.authorize(client, wiki),
    tokens: await alice.signIn(grafana, { scope: 'openid profile', nonce: 'n-1' }),
  }
}

suite('while the mesh is dark', { concurrency: true }, () => {
  for (const { what, begin, end, words } of darknesses)
    test(`${what}: 503 with Retry-After where somebody's identity is needed, nothing is consumed, and it recovers by itself [threats 145, 319]`, async (t) => {
      const started = await start(t)
      const { alice } = started
      const have = await prepare(started)
      await begin(started)
      // A daemon that hears nothing of it is told by the first question that gets no answer.
      await until(async () => (await alice.send('/')).status === 503)
      await withoutTrace(started, () => assertDark(started, have, words))
      await end(started)
      await until(() => isReady(alice))
      const redeemed = await alice.token(have.grafana, {
        grant_type: 'authorization_code',
        code: have.code.code,
        code_verifier: have.code.code_verifier,
        redirect_uri: grafanaCallback,
      })
      assert.ok(redeemed.access_token)
      assert.ok((await alice.refresh(have.grafana, have.tokens)).access_token)
      assert.equal((await alice.answer(have.page, 'approve')).status, 303)
    })

  /** A daemon that is started as `serve` does it, with the mesh in the hands of the test. */
  async function daemonOn(t: TestContext, more: Partial<ConfigInput>, directory = temporaryDirectory(t)) {
    const port = more.listen?.port ?? (await freePort())
    const socket = join(directory, 'mesh.sock')
    const policy_file = join(directory, 'policy.hujson')
    writeFileSync(
      policy_file,
      changedPolicy((policy) => {
        for (const client of Object.values(policy.clients)) delete client.client_secret_file
      }),
    )
    const config = toConfig({
      issuer: `http://localhost:${port}`,
      state_directory: directory,
      policy_file,
      listen: { port },
      mesh: { socket },
      development: true,
      ...more,
    })
    const { log, lines } = testLog()
    const daemon = await startDaemon({ config, log, now: testClock().now })
    let open = true
    const close = async () => {
      if (open) await daemon.close()
      open = false
    }
    t.after(close)
    return { daemon, close, lines, socket, directory, alice: personAt(t, daemon.deps.config.issuer, '127.0.0.2') }
  }

  test('a daemon that is started before tailscaled answers, says 503, and serves as soon as the mesh is there [threats 319, 505]', async (t) => {
    const { alice, socket } = await daemonOn(t, {})
    const health = await alice.send('/healthz')
    const answer = await alice.send('/', { headers: { accept: 'text/html' } })
    assert.deepEqual([health.status, answer.status, await isReady(alice)], [200, 503, false])
    const mesh = await startDevMesh({ socket })
    t.after(() => mesh.close())
    await until(() => isReady(alice))
    assert.equal((await alice.send('/')).status, 200)
  })

  test('with a TUN there is nothing to listen on before the mesh has an address; then it is listened on, and nothing else ever [threats 505, 506]', async (t) => {
    const directory = temporaryDirectory(t)
    const { key, cert } = selfSigned('localhost')
    writeFileSync(join(directory, 'key.pem'), key, { mode: 0o600 })
    writeFileSync(join(directory, 'cert.pem'), cert)
    const port = await freePort()
    const { daemon, socket } = await daemonOn(
      t,
      {
        issuer: `https://localhost:${port}`,
        development: false,
        mesh: { socket: join(directory, 'mesh.sock'), identity: 'tun' },
        listen: { port, tls_certificate_file: join(directory, 'cert.pem'), tls_key_file: join(directory, 'key.pem') },
      },
      directory,
    )
    assert.deepEqual(daemon.addresses(), [])
    const mesh = await startDevMesh({ socket })
    t.after(() => mesh.close())
    await until(() => daemon.addresses().length > 0)
    assert.deepEqual(daemon.addresses(), [`127.0.0.1:${port}`]) // what this mesh says is the node's own address
  })

  test('the first tailnet is the only one, also after a restart: another one at the start is refused, and the first one is served again', async (t) => {
    const directory = temporaryDirectory(t)
    const mesh = await startDevMesh({ socket: join(directory, 'mesh.sock') })
    t.after(() => mesh.close())
    const first = await daemonOn(t, {}, directory)
    assert.equal(await isReady(first.alice), true)
    await first.close()
    mesh.change({ tailnet: 'other.com' })
    const second = await daemonOn(t, {}, directory)
    const answer = await second.alice.send('/readyz')
    assert.equal(answer.status, 503)
    assert.match(
      String(answer.json().mesh),
      /has joined the tailnet "other\.com".* Go back to that one, or start with a new state directory\.$/,
    )
    mesh.change({ tailnet: 'example.com' })
    await until(() => isReady(second.alice))
  })

  test('a tailnet whose name is not known yet is not the first one: who comes after it is served', async (t) => {
    let tailnet: string | null = null
    const directory = temporaryDirectory(t)
    const api = await startLocalApi(t, (request, response) => {
      const Self = { ID: 'n-idp', TailscaleIPs: ['127.0.0.1'], DNSName: 'idp.example.com.' }
      if (request.url?.includes('/status'))
        response.end(JSON.stringify({ BackendState: 'Running', TUN: true, Self, CurrentTailnet: tailnet && { Name: tailnet } }))
      else response.writeHead(404).end()
    })
    const { alice, daemon } = await daemonOn(t, { mesh: { socket: api.socket } }, directory)
    // Where this process is busy, the first answer may have come too late.
    await until(async () => /does not say yet which tailnet this is/.test(String((await alice.send('/readyz')).json().mesh)))
    tailnet = 'example.com'
    await until(() => isReady(alice))
    assert.equal(await daemon.deps.store.meta.find('tailnet'), 'example.com')
  })
})
