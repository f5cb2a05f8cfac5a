/**
 * A mesh with TUN devices, on a LAN with strangers: what userspace mode cannot show. First the naive way is shown to fail, then meshidp stands. Runs where
 * TUN devices and firewall rules can be made in the namespace, and says so where they cannot.
 */
import assert from 'node:assert/strict'
import { performance } from 'node:perf_hooks'
import { type TestContext, test } from 'node:test'
import { request } from 'undici'
import { openLocalApi } from '../../src/identity/local_api.ts'
import { Unavailable } from '../../src/oauth/error.ts'
import { eventually } from '../support/eventually.ts'
import type { Refusal } from '../support/person.ts'
import { type Host, type Lan, lan, whyNoTun } from './lan.ts'
import { type Machine, type Mesh, mesh } from './mesh.ts'
import { naive, whoisOf } from './naive.ts'
import { document, type Provider, provider, whoIn } from './provider.ts'

const missing = whyNoTun()

/** A GET from `host`, with the source address `from`; resolves with the body, or with the code of what went wrong. */
async function ask(host: Host, url: string, { from, name }: { from?: string; name?: string } = {}): Promise<string> {
  const { protocol, hostname, port } = new URL(url)
  const options = {
    host: hostname,
    port,
    localAddress: from,
    timeout: 1500,
    rejectUnauthorized: false,
    headers: { accept: 'text/html', ...(name && { host: name }) },
  }
  const script = `require('${protocol.slice(0, -1)}').get(${JSON.stringify(options)}, (answer) => answer.pipe(process.stdout))
    .on('timeout', function () { this.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' })) }).on('error', ({ code }) => console.log(code))`
  return (await host.run(process.execPath, '-e', script)).trim()
}

/** How long whois takes, the middle one of nine times. Milliseconds. */
async function whoisTime(t: TestContext, machine: Machine, address: (turn: number) => string): Promise<number> {
  const api = openLocalApi({ socket: machine.socket, deadlineMs: 20_000 })
  t.after(() => api.close())
  const times: number[] = []
  for (let turn = 0; turn < 9; turn++) {
    const began = performance.now()
    assert.equal(await api.whois(address(turn), { proto: 'tcp' }), null)
    times.push(performance.now() - began)
  }
  return times.sort((a, b) => a - b)[4] as number
}

async function scene(t: TestContext): Promise<{ network: Lan; lab: Mesh; idp: Machine; alice: Machine; thief: Host }> {
  const network = await lan(t)
  const thief = await network.host()
  await network.here.run('ip', 'route', 'add', 'default', 'via', thief.address)
  const lab = await mesh(t, document, { lan: network })
  const [idp, alice] = [lab.machine('idp'), lab.machine('alice-laptop')]
  // The thief has alice's address, and answers to it reach him, as he is (or poses as) the router of this LAN.
  await thief.run('ip', 'address', 'add', `${alice.address}/32`, 'dev', 'lo')
  await thief.run('ip', 'address', 'add', '100.115.92.5/32', 'dev', 'lo')
  await thief.run('ip', 'route', 'add', `${idp.address}/32`, 'via', network.here.address)
  return { network, lab, idp, alice, thief }
}

test('a real mesh with TUN devices, and strangers on the LAN', async (t) => {
  if (missing) return t.skip(missing)
  const { network, lab, idp, alice, thief } = await scene(t)
  const wildcard = await naive(t, { port: 0, host: '0.0.0.0' }, whoisOf(t, idp, { port: false }))
  const home = ({ issuer }: Provider, address = idp.address) => `https://${address}:${new URL(issuer).port}/`

  await t.test('tun is found by the status, and listens on the mesh addresses of the node, on nothing else', async (t) => {
    const found = await provider(t, idp)
    assert.equal(found.daemon.deps.identity.status().strategy, 'tun')
    const { port, host: name } = new URL(found.issuer)
    const addresses = (await idp.tailscale('ip')).trim().split('\n')
    assert.equal(addresses.length, 2)
    assert.deepEqual(
      found.daemon.addresses(),
      addresses.map((address) => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`)),
    )
    assert.equal(await ask(network.here, home(found, '127.0.0.1'), { name }), 'ECONNREFUSED')
    assert.equal(await ask(thief, home(found, network.here.address), { name }), 'ECONNREFUSED')

    const person = found.at(alice)
    const client = await person.register()
    await person.refresh(client, await person.signIn(client, { scope: 'openid offline_access' }))
  })

  await t.test('S2: a host of the LAN reaches a mesh address, and is nobody without that tailscaled is asked', async (t) => {
    const withPort = await whoisTime(t, idp, (turn) => `${thief.address}:${40_000 + turn}`)
    const bare = await whoisTime(t, idp, (turn) => `${thief.address.replace(/\d+$/, '')}${100 + turn}`)
    assert.ok(withPort > 5 * bare, `a miss takes ${withPort} ms with a port, which stalls tailscaled for everybody, and ${bare} ms without`)
    const found = await provider(t, idp)
    const { host: name } = new URL(found.issuer)
    assert.match(whoIn(await ask(thief, home(found), { name, from: thief.address })), /did not come over the mesh/)
    // This one tailscaled's firewall lets in, in 100.64.0.0/10 as it is.
    assert.match(whoIn(await ask(thief, home(found), { name, from: '100.115.92.5' })), /did not come over the mesh/)
  })

  await t.test('S5: a local process is answered as the owner of the node; here it is nobody [threats 338]', async (t) => {
    await lab.change(({ machines }) => {
      machines.idp = { person: 'alice@example.com' }
    })
    t.after(() => lab.change(({ machines }) => Object.assign(machines, { idp: document.machines.idp })))
    await eventually('the naive one takes any local process for alice', async () => {
      const taken = await ask(network.here, `http://${idp.address}:${wildcard}/`)
      return taken === 'alice@example.com'
    })
    const found = await provider(t, idp)
    assert.match(
      whoIn(await ask(network.here, home(found), { name: new URL(found.issuer).host })),
      /came from the machine that meshidp runs on/,
    )
  })

  await t.test('a router is itself, not those behind it [threats 335]', async (t) => {
    const found = await provider(t, idp)
    const { under, address, run } = lab.machine('wiki-server').on as Host
    assert.ok(under.length > 0)
    await run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    await run('iptables', '-t', 'nat', '-A', 'POSTROUTING', '-o', 'tailscale0', '-j', 'MASQUERADE')
    const behind = await network.host()
    await behind.run('ip', 'route', 'add', `${idp.address}/32`, 'via', address)
    const page = await eventually('the way over the router', async () => {
      const answer = await ask(behind, home(found), { name: new URL(found.issuer).host })
      return answer === 'ETIMEDOUT' ? null : answer // the two machines may be shaking hands yet
    })
    assert.match(page, /This is the tagged node <strong>wiki-server/)
  })

  await t.test('S1: while the mesh is down, a host of the LAN with the address of alice is not alice', async (t) => {
    const found = await provider(t, idp)
    const { host: name, port } = new URL(found.issuer)
    const { identity } = found.daemon.deps
    const person = found.at(alice)
    const client = await person.register()
    const tokens = await person.signIn(client, { scope: 'openid offline_access' })
    const spoofed = { name, from: alice.address }
    const onLan = `http://${network.here.address}:${wildcard}/`
    const asAlice = { remoteAddress: alice.address, remotePort: 40_000, headers: {} }

    assert.equal(await ask(thief, onLan, spoofed), 'ETIMEDOUT', 'while it is up the firewall drops it')
    const seen = await identity.identify({ ...asAlice, localAddress: network.here.address })
    assert.equal(seen.principal === null && seen.reason, 'not_mesh', 'and what came by another address would be nobody')

    await idp.tailscale('down')
    assert.equal(await ask(thief, onLan, spoofed), 'alice@example.com', 'the naive one takes the thief for alice')
    assert.equal(await ask(thief, home(found, network.here.address), spoofed), 'ECONNREFUSED')
    assert.match(await ask(thief, home(found), spoofed), /^E[A-Z]+$/, 'the mesh address is away')
    await eventually('it is known to be down', () => !identity.status().running)
    await assert.rejects(identity.identify({ ...asAlice, localAddress: idp.address }), Unavailable)
    const listening = found.daemon.addresses()
    assert.equal(listening.length, 2)

    await idp.tailscale('up')
    await eventually('alice goes on', () =>
      person.refresh(client, tokens).catch((error: Refusal | Error) => void ('status' in error && assert.equal(error.status, 503))),
    )
    assert.deepEqual(found.daemon.addresses(), listening, `what listens on port ${port} survives`)
  })

  await t.test('started while the mesh is down, it says so, and listens when the address is there', async (t) => {
    await idp.tailscale('down')
    const found = await provider(t, idp)
    assert.deepEqual(found.daemon.addresses(), [])
    assert.equal(found.daemon.deps.identity.status().state, 'Stopped')
    assert.ok(
      found.logged.some(({ message }) => /It was switched off; "tailscale up" on the machine of meshidp switches it on/.test(message)),
    )
    const said = found.logged.filter(({ message }) => /is not an address of this machine yet/.test(message))
    assert.equal(said.length, 2, 'once for each address')
    await idp.tailscale('up')
    await eventually(
      'alice reaches it',
      async () =>
        whoIn(
          (
            await found
              .at(alice)
              .send('/')
              .catch(() => ({ text: '' }))
          ).text,
        ) === 'alice@example.com',
    )
  })

  await t.test('when the node gets another address, that one is listened on, and the old one no more', async (t) => {
    const found = await provider(t, idp)
    const { host: name } = new URL(found.issuer)
    const before = found.daemon.addresses()
    const moved = await idp.joinAnew()
    assert.notEqual(moved, idp.address)
    await eventually('it listens there', () => found.daemon.addresses().some((address) => address.startsWith(`${moved}:`)))
    assert.equal(found.daemon.addresses().length, 2)
    for (const old of before) assert.ok(!found.daemon.addresses().includes(old))
    const page = await eventually('alice reaches it there', () =>
      request(home(found, moved), { dispatcher: alice.dispatcher, headers: { host: name, accept: 'text/html' } }).then(
        ({ body }) => body.text(),
        () => null,
      ),
    )
    assert.equal(whoIn(page), 'alice@example.com')
  })
})
