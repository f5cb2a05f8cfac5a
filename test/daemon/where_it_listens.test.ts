/** Where the daemon listens follows from what tailscaled says of this node, which may be of no use here, or nonsense. */
import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import { Agent, request } from 'undici'
import { eventually } from '../support/eventually.ts'
import { nodeName, pairAt, startTlsNode } from '../support/tls_node.ts'

const nowhere = '100.64.0.99'

/** A daemon on a node of which tailscaled says this. */
async function onNode(t: TestContext, self: object) {
  const statusWith = (more: object) => ({ Self: { ID: 'nIDP', UserID: 7, DNSName: `${nodeName}.`, TailscaleIPs: ['127.0.0.1'], ...more } })
  const pair = pairAt(Math.floor(Date.now() / 1000))
  const found = await startTlsNode(t, { gives: () => pair, status: statusWith(self) })
  const { addresses, deps } = await found.starting
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } })
  t.after(() => dispatcher.destroy())
  const place = `127.0.0.1:${found.port}`
  return {
    ...found,
    addresses,
    place,
    /** From now on tailscaled says that. */
    async says(other: object) {
      found.node.status = statusWith(other)
      await deps.identity.refresh()
    },
    async readyz() {
      const { statusCode, body } = await request(`https://${place}/readyz`, { dispatcher, headers: { host: `${nodeName}:${found.port}` } })
      return { status: statusCode, body: (await body.json()) as Record<string, unknown> }
    },
  }
}

suite('where it listens', { concurrency: true }, () => {
  test('never on the wildcard address, nor on what is no address, whatever tailscaled says', async (t) => {
    const wildcards = ['0.0.0.0', '::', '0:0:0:0:0:0:0:0', '::ffff:0.0.0.0', '::0']
    const { addresses, place, status } = await onNode(t, { TailscaleIPs: [...wildcards, 'localhost', '', '127.0.0.1/8', '127.0.0.1'] })
    assert.deepEqual(addresses(), [place])
    assert.equal((await status()).ready, true)
  })

  test('nowhere, for this machine has not the address of the node: that is no good state, and a sentence says what to do; well when it has', async (t) => {
    const { addresses, place, status, says, readyz } = await onNode(t, { TailscaleIPs: [nowhere] })
    assert.deepEqual(addresses(), [])
    const { ready, unheard } = await status()
    assert.deepEqual(
      [ready, String(unheard).split('. ')],
      [
        false,
        [
          `Nobody listens: ${nowhere}, where this node is in the mesh, is no address of this machine`,
          'Run meshidp where tailscaled runs: in the same container or network namespace.',
        ],
      ],
    )
    await says({ TailscaleIPs: null })
    assert.equal((await status()).unheard, 'Nobody listens: tailscaled says no address of this node.')

    await says({ TailscaleIPs: ['127.0.0.1'] })
    await eventually('it listens', () => addresses().length > 0)
    assert.deepEqual(addresses(), [place])
    assert.equal((await readyz()).status, 200)
  })

  test('on one of two addresses, as where IPv6 is switched off: that will do', async (t) => {
    const { addresses, place, status } = await onNode(t, { TailscaleIPs: ['127.0.0.1', 'fd7a:115c:a1e0::99'] })
    assert.deepEqual(addresses(), [place])
    const { ready, unheard } = await status()
    assert.deepEqual({ ready, unheard }, { ready: true, unheard: null })
  })

  test('a control server out of reach: the daemon does its work; /readyz, the status and the log say it, also when it is back [threats 362]', async (t) => {
    const { says, status, readyz, lines } = await onNode(t, { Online: true })
    const said = (words: RegExp) => lines.filter(({ message }) => words.test(message)).map(({ level }) => level)
    assert.equal((await readyz()).body.control, undefined)

    await says({ Online: false })
    await says({ Online: false })
    const { status: code, body } = await readyz()
    assert.deepEqual([code, body.ready, body.control], [200, true, 'out of reach'])
    const { mesh } = (await status()) as { mesh?: { health: string[] } }
    assert.match(String(mesh?.health), /^The control server is out of reach: /)
    assert.deepEqual(said(/control server is out of reach/), ['warn'])

    await says({ Online: true })
    assert.equal((await readyz()).body.control, undefined)
    assert.deepEqual(said(/^The mesh runs well again\.$/), ['info'])
  })
})
