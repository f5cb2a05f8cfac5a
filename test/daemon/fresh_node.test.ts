/** Where the configuration names no issuer: what a node that cannot say its name is told. A real one is in mesh/fresh.mesh.ts. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ConfigError, toConfig } from '../../src/config.ts'
import { startDaemon } from '../../src/daemon.ts'
import { selfSigned } from '../support/certificate.ts'
import { startLocalApi } from '../support/local_api.ts'
import { freePort, temporaryDirectory, testLog } from '../support/start.ts'

const self = { ID: 'nIDP', DNSName: 'idp.tail1234.ts.net.', TailscaleIPs: ['100.64.0.1'] }
const running = { BackendState: 'Running', TUN: false, Self: self, CurrentTailnet: { Name: 'example.com' } }

type Said = object | ((response: ServerResponse) => void)

/** A daemon without written issuer, on a LocalAPI that says these one after the other, the last one for ever. */
async function startOn(t: TestContext, ...statuses: [Said, ...Said[]]) {
  let asked = 0
  const { key, cert } = selfSigned('idp.tail1234.ts.net')
  const api = await startLocalApi(t, ({ url = '' }, response) => {
    if (url.includes('/cert/')) response.end(key + cert)
    if (!url.includes('/status')) return
    const said = statuses[Math.min(asked++, statuses.length - 1)] as Said
    if (typeof said === 'function') said(response)
    else response.end(JSON.stringify(said))
  })
  const directory = temporaryDirectory(t)
  const policy_file = join(directory, 'policy.hujson')
  writeFileSync(policy_file, '{}')
  const port = await freePort()
  const config = toConfig({ state_directory: join(directory, 'state'), policy_file, listen: { port }, mesh: { socket: api.socket } })
  const started = startDaemon({ config, log: testLog().log })
  t.after(() =>
    started.then(
      (daemon) => daemon.close(),
      () => {},
    ),
  )
  return { started, port, socket: api.socket, asked: () => asked }
}

test('a tailscaled that is on its way is waited for, and the issuer is https, the name of the node, and the port', async (t) => {
  const { started, port } = await startOn(t, { BackendState: 'NoState' }, { BackendState: 'Starting', Self: { ...self, ID: '' } }, running)
  assert.equal((await started).deps.config.issuer, `https://idp.tail1234.ts.net:${port}`)
})

const faults: { what: string; said: Said; words: RegExp }[] = [
  { what: 'signed out', said: { BackendState: 'NeedsLogin', Self: { ID: '' } }, words: /"NeedsLogin"\. Run: tailscale --socket=\S+ up\n/ },
  { what: 'switched off', said: { ...running, BackendState: 'Stopped' }, words: /"Stopped"\. Run: tailscale --socket=\S+ up\n/ },
  {
    what: 'not approved yet',
    said: { BackendState: 'NeedsMachineAuth', Self: { ID: '' } },
    words: /Let an admin of the tailnet approve this machine\./,
  },
  { what: 'without MagicDNS', said: { ...running, Self: { ...self, DNSName: '' } }, words: /has no name in the mesh\. Switch MagicDNS on/ },
  {
    what: 'answered with garbage',
    said: (response) => response.end('garbage'),
    words: /is not JSON\. Run: systemctl restart tailscaled\./,
  },
  { what: 'never answered', said: () => {}, words: /did not answer within 1500 ms\. Run: systemctl restart tailscaled\./ },
]

for (const { what, said, words } of faults)
  test(`a fresh node, ${what}, does not start, and is told what to do`, async (t) => {
    const { started, asked } = await startOn(t, said)
    await assert.rejects(started, (error: Error) => {
      assert.match(error.message, words)
      return error instanceof ConfigError
    })
    assert.ok(asked() <= 2)
  })
