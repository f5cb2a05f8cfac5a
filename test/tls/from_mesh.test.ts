/** The certificate that tailscaled gets. A real one, of a real tailscaled, is in mesh/fresh.mesh.ts. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { Agent, request } from 'node:https'
import { suite, type TestContext, test } from 'node:test'
import { ConfigError } from '../../src/config.ts'
import type { Pair } from '../support/certificate.ts'
import { until } from '../support/local_api.ts'
import { unhurried } from '../support/start.ts'
import { type Gives, nodeName, pairAt, shownAt, startTlsNode, type TlsNode } from '../support/tls_node.ts'

const realNow = () => Math.floor(Date.now() / 1000)
const fingerprint = ({ cert }: Pair) => new X509Certificate(cert).fingerprint256

/** One GET or POST by `agent`; resolves with the status, and what the body says. Nothing is sent twice. */
function ask(port: number, agent: Agent, path: string, form?: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { host: `${nodeName}:${port}`, ...(form && { 'content-type': 'application/x-www-form-urlencoded' }) }
    request({ host: '127.0.0.1', port, servername: nodeName, path, agent, headers, method: form ? 'POST' : 'GET' }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text })).on('error', reject)
    })
      .on('error', reject)
      .end(form)
  })
}

function agentOf(t: TestContext, ca: readonly Pair[], keepAlive = true): Agent {
  const agent = new Agent({ keepAlive, maxSockets: 1, ca: ca.map(({ cert }) => cert) })
  t.after(() => agent.destroy())
  return agent
}

const ready = async ({ port }: TlsNode, t: TestContext, pair: Pair) => {
  const { status, text } = await ask(port, agentOf(t, [pair], false), '/readyz')
  return { status, body: JSON.parse(text) as { ready: boolean; certificate: { days_left: number; problem?: string } } }
}

suite('the certificate of the mesh', { concurrency: 4 }, () => {
  test('it is served without a word of configuration, under the name of the issuer; /readyz and status say its days', async (t) => {
    const pair = pairAt(realNow())
    const node = await startTlsNode(t, { gives: () => pair })
    const daemon = await node.serving()
    assert.deepEqual(node.asked, [`/localapi/v0/cert/${nodeName}?type=pair`])
    assert.deepEqual(daemon.addresses(), [`127.0.0.1:${node.port}`])
    const { status, body } = await ready(node, t, pair)
    assert.deepEqual([status, body.certificate], [200, { days_left: 90 }])
    const { certificate, ready: isReady } = await node.status()
    assert.deepEqual([isReady, certificate?.days_left, certificate?.problem], [true, 90, null])
    assert.equal(node.lines.filter(({ level }) => level === 'error').length, 0)
    const [leaf, key] = [pair.cert.slice(40, 100), pair.key.slice(40, 100)]
    for (const line of node.lines)
      assert.ok(!JSON.stringify(line).includes(leaf) && !JSON.stringify(line).includes(key), 'it is not logged')
  })

  test('it is renewed before it ends, and swapped under load: no connection is dropped, no request fails, new ones get the new one', async (t) => {
    const made = [pairAt(realNow())]
    const gives: Gives = (least) => {
      if (least !== null) made.push(pairAt(realNow() + 70 * 86_400))
      return made.at(-1) as Pair
    }
    const node = await startTlsNode(t, { gives }, { limits: unhurried })
    await node.serving()
    const first = made[0] as Pair
    let done = false
    let answered = 0
    const agents = Array.from({ length: 8 }, () => agentOf(t, made.slice(0, 1)))
    const connections = new Set<unknown>()
    for (const agent of agents)
      agent.on('free', (socket) => {
        connections.add(socket)
      })
    const working = Promise.all(
      agents.map(async (agent) => {
        for (let round = 0; !done; round++) {
          const form = 'grant_type=authorization_code&client_id=nobody&code=x'
          const [path, expected, body] = round % 2 === 0 ? ['/jwks', 200] : ['/token', 401, form]
          const { status } = await ask(node.port, agent, path as string, body as string | undefined)
          assert.equal(status, expected)
          answered++
        }
      }),
    )
    const before = answered
    for (let swaps = 1; swaps <= 3; swaps++) {
      assert.equal(await shownAt(node.port), fingerprint(made.at(-1) as Pair))
      node.clock.advance({ days: swaps === 1 ? 70 : 90 }) // less than a quarter of its life is left
      await Promise.race([until(() => made.length > swaps), working])
      await until(async () => (await shownAt(node.port)) === fingerprint(made.at(-1) as Pair))
    }
    await until(() => answered > before + 400)
    done = true
    await working
    t.diagnostic(`${answered} answers on ${connections.size} connections, over 3 swaps`)
    assert.equal(connections.size, agents.length, 'each client kept its one connection')
    assert.notEqual(await shownAt(node.port), fingerprint(first))
    assert.match(node.asked.find((url) => url.includes('min_validity')) ?? '', /&min_validity=\d{7}s$/)
  })

  test('tailscaled renews in the background: what it gives an hour later is served', async (t) => {
    const [old, fresh] = [pairAt(realNow(), 40), pairAt(realNow())]
    let pair = old
    const node = await startTlsNode(t, { gives: () => pair })
    await node.serving()
    assert.equal(await shownAt(node.port), fingerprint(old))
    pair = fresh
    node.clock.advance({ minutes: 61 })
    await until(async () => (await shownAt(node.port)) === fingerprint(fresh))
  })

  test('a clock that was a year ahead, and is set right, keeps nothing from being renewed', async (t) => {
    const [old, fresh] = [pairAt(realNow()), pairAt(realNow())]
    let pair = old
    const node = await startTlsNode(t, { gives: () => pair })
    await node.serving()
    const before = node.asked.length
    node.clock.advance({ days: 365 })
    await until(() => node.asked.length >= before + 2) // as it is, and told to renew
    pair = fresh
    node.clock.advance({ days: -365 })
    await until(async () => (await shownAt(node.port)) === fingerprint(fresh))
    assert.equal((await node.status()).ready, true)
  })

  test('one that cannot be renewed stays, and everything says so; once it has ended, the daemon is not ready; it heals by itself', async (t) => {
    const pair = pairAt(realNow())
    const node = await startTlsNode(t, { gives: (least) => (least === null ? pair : { status: 500, text: 'acme: rate limited' }) })
    await node.serving()
    node.clock.advance({ days: 80 })
    await until(async () => (await node.status()).certificate?.problem !== null)
    const { certificate, ready: isReady } = await node.status()
    assert.match(
      certificate?.problem?.message ?? '',
      /^tailscaled could not get a certificate for idp\.tail1234\.ts\.net: acme: rate limited\.$/,
    )
    assert.match(certificate?.problem?.remedy ?? '', /journalctl -u tailscaled/)
    assert.equal(isReady, true)
    const { status, body } = await ready(node, t, pair)
    assert.deepEqual([status, body.certificate], [200, { days_left: certificate?.days_left, problem: 'no newer one could be had' }])
    node.clock.advance({ days: 20 })
    assert.equal((await node.status()).ready, false)
    assert.equal((await ready(node, t, pair)).status, 503)
    const fresh = pairAt(realNow() + 100 * 86_400 + 60)
    node.node.gives = () => fresh
    node.clock.advance({ hours: 2 })
    await until(async () => (await node.status()).ready)
    assert.equal((await node.status()).certificate?.problem, null)
  })

  const refusals: { what: string; gives: Gives; status?: object; words: RegExp }[] = [
    {
      what: 'this user may not have it',
      gives: () => ({ status: 403, text: 'cert access denied' }),
      words:
        /gives the certificate of \S+ to root only\.\nLet \S+ have it: echo TS_PERMIT_CERT_UID=\S+ \| sudo tee -a \/etc\/default\/tailscaled; sudo systemctl restart tailscaled$/,
    },
    {
      what: 'the tailnet has HTTPS off',
      gives: () => ({ status: 500, text: 'your Tailscale account does not support getting TLS certs' }),
      status: { CertDomains: null },
      words:
        /^This tailnet has HTTPS certificates off, .*\nSwitch them on in the admin console, under DNS; or name one of your own in "listen\.tls_certificate_file"/,
    },
    {
      what: 'the issuer is another name',
      gives: () => ({ status: 500, text: 'invalid domain' }),
      status: { CertDomains: ['other.tail1234.ts.net'] },
      words: /gets certificates for other\.tail1234\.ts\.net, not for idp\.tail1234\.ts\.net\.\nSet "issuer"/,
    },
    {
      what: 'tailscaled was built without',
      gives: () => ({ status: 404, text: '' }),
      words: /This tailscaled gets no certificates\.\nInstall one/,
    },
  ]
  for (const { what, gives, status = {}, words } of refusals)
    test(`${what}: it does not start, and says what to do`, async (t) => {
      const { starting } = await startTlsNode(t, { gives, status })
      await assert.rejects(starting, (error: Error) => {
        assert.match(error.message, words)
        return error instanceof ConfigError
      })
    })

  const passing: { what: string; gives: Gives; words: RegExp }[] = [
    { what: 'an authority that fails', gives: () => ({ status: 500, text: 'acme: 503' }), words: /could not get .*: acme: 503\./ },
    {
      what: 'one for another name',
      gives: () => pairAt(realNow(), 90, 'other.tail1234.ts.net'),
      words: /is not for idp\.tail1234\.ts\.net, but for DNS:other\.tail1234\.ts\.net\./,
    },
    {
      what: 'a key that is not its own',
      gives: () => ({ cert: pairAt(realNow()).cert, key: pairAt(realNow()).key }),
      words: /the key is not that of the certificate\./,
    },
    { what: 'garbage', gives: () => ({ cert: 'garbage', key: '' }), words: /the certificate is not PEM\./ },
  ]
  for (const { what, gives, words } of passing)
    test(`at the start, ${what}: nothing is listened on, the log says why, and it listens as soon as there is a good one`, async (t) => {
      const node = await startTlsNode(t, { gives })
      const daemon = await node.starting
      assert.deepEqual(daemon.addresses(), [])
      const { certificate, ready: isReady } = await node.status()
      assert.deepEqual([isReady, certificate?.days_left], [false, null])
      assert.match(certificate?.problem?.message ?? '', words)
      assert.equal(node.lines.filter(({ level, message }) => level === 'error' && words.test(message)).length, 1)
      const good = pairAt(realNow())
      node.node.gives = () => good
      node.clock.advance({ seconds: 61 })
      await until(() => daemon.addresses().length > 0)
      assert.equal((await node.status()).ready, true)
    })

  test('a tailscaled that breaks off is asked again after five seconds', async (t) => {
    const node = await startTlsNode(t, {
      gives(_least, response) {
        response.destroy()
        return 'nothing'
      },
    })
    const daemon = await node.starting
    assert.match((await node.status()).certificate?.problem?.message ?? '', /did not answer when it was asked for the certificate of/)
    const good = pairAt(realNow())
    node.node.gives = () => good
    node.clock.advance({ seconds: 6 })
    await until(() => daemon.addresses().length > 0)
  })
})
