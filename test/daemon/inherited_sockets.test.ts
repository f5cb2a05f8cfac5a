import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:net'
import { suite, type TestContext, test } from 'node:test'
import { startLocalApi } from '../support/local_api.ts'
import { commandLine, type Installation, install, spawned } from '../support/program.ts'

/** Starts the daemon with a socket that is open already, as systemd would: descriptor 3, and who it is for. */
async function activated(t: TestContext, { configFile, port }: Installation, host = '127.0.0.1') {
  const server = await new Promise<Server>((resolve) => {
    const listening = createServer().listen({ host, port }, () => resolve(listening))
  })
  t.after(() => server.close())
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle
  const script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
  return spawned(t, 'bash', ['-c', script, 'bash', ...commandLine(['serve', '--config', configFile])], { fds: [fd] })
}

suite('sockets that were open before the daemon (sd_listen_fds)', { concurrency: true }, () => {
  test('it listens on them, and on no other', async (t) => {
    const installation = await install(t)
    const daemon = await activated(t, installation)
    await daemon.says(/listening on 127\.0\.0\.1:\d+, which systemd opened/)
    await daemon.says(/"msg":"meshidp serves /)
    assert.doesNotMatch(daemon.said(), /"msg":"listening on [^"]*\d"/)
    const { code } = await daemon.end()
    assert.equal(code, 0)
  })

  test('plain http is refused on a mesh address, whoever bound it, and the process ends', async (t) => {
    const { socket } = await startLocalApi(t, (_request, response) => {
      const Self = { ID: 'n1', UserID: 1, DNSName: 'idp.example.ts.net.', TailscaleIPs: ['127.0.0.1'] }
      response.end(JSON.stringify({ BackendState: 'Running', TUN: true, Self, CurrentTailnet: { Name: 'example.com' } }))
    })
    const installation = await install(t, {
      config: { development: false, issuer: 'https://idp.example.ts.net', mesh: { socket }, listen: { tls: false } },
    })
    const { code, stderr } = await (await activated(t, installation)).ended
    assert.equal(code, 1)
    assert.match(stderr, /^meshidp: On a mesh address meshidp speaks https only: /m)
  })
})
