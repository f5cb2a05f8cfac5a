import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { get, Agent as HttpAgent, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { until } from '../support/local_api.ts'
import { install, meshidp } from '../support/program.ts'

suite('stop', { concurrency: true }, () => {
  test('SIGTERM: what is being answered is finished, its connection closed, and the exit code is 0; nobody who is silent is waited for; a second signal changes nothing', async (t) => {
    const installation = await install(t)
    const { mesh, port, at } = installation
    const daemon = await installation.serve()
    const alice = at('127.0.0.2')
    await alice.send('/healthz') // leaves a connection that is kept alive, and silent
    mesh.hang()
    const agent = new HttpAgent({ keepAlive: true })
    t.after(() => agent.destroy())
    const request = get({ host: '127.0.0.1', port, path: '/', headers: { host: `localhost:${port}` }, localAddress: '127.0.0.3', agent })
    const [socket] = (await once(request, 'socket')) as [Socket]
    await once(socket, 'connect')
    const answer = once(request, 'response') as Promise<[IncomingMessage]>
    await at('127.0.0.4').send('/healthz') // whose connection was accepted after that one
    daemon.child.kill('SIGTERM')
    await daemon.says(/stopping after SIGTERM/)
    await until(() =>
      alice.send('/healthz').then(
        () => false,
        () => true,
      ),
    )
    for (const again of ['SIGTERM', 'SIGINT', 'SIGINT'] as const) daemon.child.kill(again)
    mesh.resume()
    const [response] = await answer
    response.resume()
    assert.equal(response.statusCode, 200)
    const { code, signal, stdout } = await daemon.ended
    assert.deepEqual([code, signal], [0, null])
    assert.doesNotMatch(stdout, /"level":"(?:warn|error)"/)
    assert.equal(existsSync(join(installation.directory, 'run', 'control.sock')), false)
  })

  test('RFC 9112 §9.6: what comes on an open connection after SIGTERM is still answered, with Connection: close; a new one is refused', async (t) => {
    const installation = await install(t)
    const daemon = await installation.serve()
    const alice = installation.at('127.0.0.2')
    const before = await alice.send('/healthz')
    assert.notEqual(before.headers.connection, 'close')
    daemon.child.kill('SIGTERM')
    await daemon.says(/stopping after SIGTERM/)
    await until(async () => {
      const { status, headers } = await alice.send('/healthz')
      assert.equal(status, 200)
      return headers.connection === 'close'
    })
    await assert.rejects(installation.at('127.0.0.3').send('/healthz'), { code: 'ECONNREFUSED' })
    assert.equal((await daemon.ended).code, 0)
  })

  test('a second daemon on the same state is refused in one line, with exit code 1, and the first one goes on', async (t) => {
    const installation = await install(t)
    await installation.serve()
    const second = await meshidp(t, ['serve', '--config', installation.configFile]).ended
    assert.deepEqual([second.code, second.stderr.trim().split('\n').length], [1, 1])
    assert.match(
      second.stderr,
      /^meshidp: Another meshidp is using .*\/state\. Stop it first, or give this one a state directory of its own\.$/m,
    )
    const status = await installation.run('status')
    assert.equal(status.code, 0)
  })

  test('after kill -9 the next start takes over: the stale control socket is replaced, and is only its owner’s', async (t) => {
    const installation = await install(t)
    const socket = join(installation.directory, 'run', 'control.sock')
    const first = await installation.serve()
    assert.equal(statSync(socket).mode & 0o777, 0o600)
    await first.end('SIGKILL')
    assert.ok(statSync(socket).isSocket(), 'it was left behind')
    await installation.serve()
    assert.equal(statSync(socket).mode & 0o777, 0o600)
    assert.equal((await installation.run('status')).code, 0)
  })

  test('a socket is its owner’s from its first moment, also where a umask of 0 was left to the daemon (S4)', async (t) => {
    const installation = await install(t)
    const { child } = await installation.serve({ under: ['bash', '-c', 'umask 0; exec "$@"', 'bash'] })
    assert.match(readFileSync(`/proc/${child.pid}/status`, 'utf8'), /^Umask:\s*0077$/m)
    assert.equal(statSync(join(installation.directory, 'run', 'control.sock')).mode & 0o777, 0o600)
  })
})
