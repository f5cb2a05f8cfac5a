/** Sockets that two programs were given: neither takes that of the other. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, existsSync, rmSync, statSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, type TestContext, test } from 'node:test'
import type { ConfigInput } from '../../src/config.ts'
import { eventually } from '../support/eventually.ts'
import { install, meshidp } from '../support/program.ts'
import { temporaryDirectory } from '../support/start.ts'

/** Two installations with the same directory for the control socket. */
async function neighbours(t: TestContext) {
  const runtime_directory = temporaryDirectory(t)
  const [one, other] = await Promise.all([install(t, { config: { runtime_directory } }), install(t, { config: { runtime_directory } })])
  return { one, other, socket: join(runtime_directory, 'control.sock') }
}

/** A start that is refused; one that is not ends all the same. */
async function refusedStart(t: TestContext, configFile: string, ...options: readonly string[]) {
  const running = meshidp(t, ['serve', '--config', configFile, ...options])
  return Promise.race([running.ended, running.says(/"msg":"meshidp serves /).then(() => running.end())])
}

suite('sockets that two programs were given', { concurrency: true }, () => {
  test('a second daemon on one runtime directory is refused in one line, which names the key, and commands go on to the first', async (t) => {
    const { one, other, socket } = await neighbours(t)
    await one.serve()
    const before = statSync(socket).ino
    const { code, stderr } = await refusedStart(t, other.configFile)
    assert.equal(stderr, `meshidp: Another program listens on ${socket}. Stop that one, or give this daemon another "runtime_directory".\n`)
    assert.equal(code, 1)
    assert.equal(statSync(socket).ino, before)
    assert.equal((await one.run('status')).code, 0)
  })

  test('no socket is made in a folder that everybody can write in, sticky or not: somebody else could listen there for what is meant for the daemon', async (t) => {
    const { one, socket } = await neighbours(t)
    const [open, own] = [dirname(socket), temporaryDirectory(t)]
    for (const mode of [0o777, 0o1777]) {
      chmodSync(open, mode)
      for (const [key, path, ...options] of [
        ['runtime_directory', socket],
        ['metrics.listen', join(open, 'metrics.sock'), '--runtime-directory', own, '--metrics-listen', join(open, 'metrics.sock')],
      ] as const) {
        const { code, stderr } = await refusedStart(t, one.configFile, ...options)
        assert.equal(
          stderr,
          `meshidp: Everybody on this machine can write in ${open}, and so listen in the place of ${path}. Choose another "${key}", in a folder that only this user can write in.\n`,
        )
        assert.deepEqual([code, existsSync(path)], [1, false])
      }
    }
    chmodSync(open, 0o755)
    await one.serve()
  })

  test('a command for one state that reaches the daemon of another is refused, and nothing is done', async (t) => {
    const { one, other, socket } = await neighbours(t)
    await one.serve()
    rmSync(socket)
    await other.serve()
    const keys = await other.run('keys', 'list')
    for (const command of [['keys', 'retire', 'succession'], ['keys', 'list'], ['status']]) {
      const { code, stdout, stderr } = await one.run(...command)
      assert.deepEqual([code, stdout], [1, ''])
      assert.match(
        stderr,
        /^meshidp: The daemon behind this control socket keeps its state in .*\/state, and the command was for another one\./,
      )
      assert.ok(stderr.includes(join(other.directory, 'state')), stderr)
    }
    assert.equal((await other.run('keys', 'list')).stdout, keys.stdout)
  })

  test('a daemon that stops leaves the control socket that another one has made in the place of its own', async (t) => {
    const { one, other, socket } = await neighbours(t)
    const first = await one.serve()
    rmSync(socket)
    await other.serve()
    const before = statSync(socket).ino
    assert.equal((await first.end()).code, 0)
    assert.equal(statSync(socket).ino, before)
    assert.equal((await other.run('status')).code, 0)
  })

  const placed: Record<string, (path: string) => Partial<ConfigInput>> = {
    'metrics.listen': (listen) => ({ metrics: { listen } }),
    'listen.socket': (socket) => ({ mesh: { identity: 'serve' }, development: false, listen: { socket } }),
  }
  for (const [key, configured] of Object.entries(placed)) {
    test(`the socket of another program as "${key}": refused, and that program goes on`, async (t) => {
      const path = join(temporaryDirectory(t), 'other.sock')
      const theirs = createServer((connection) => connection.on('error', () => undefined).end('theirs'))
      await new Promise<void>((done) => theirs.listen(path, done))
      t.after(() => theirs.close())
      const { configFile } = await install(t, { config: configured(path) })
      const { code, stderr } = await refusedStart(t, configFile)
      assert.equal(stderr, `meshidp: Another program listens on ${path}. Stop that one, or give this daemon another "${key}".\n`)
      assert.equal(code, 1)
      assert.equal(await text(createConnection(path)), 'theirs')
    })

    test(`a socket that a killed daemon left behind as "${key}" is replaced`, async (t) => {
      const path = join(temporaryDirectory(t), 'own.sock')
      const installation = await install(t, { config: configured(path) })
      const first = await installation.serve()
      await first.end('SIGKILL')
      assert.ok(statSync(path).isSocket(), 'it was left behind')
      const second = await installation.serve()
      const connection = createConnection(path)
      await once(connection, 'connect')
      connection.destroy()
      await second.end()
      assert.equal(statSync(path, { throwIfNoEntry: false }), undefined, 'it is removed at the end')
    })
  }

  test('a socket for "tailscale serve" that somebody removed is made anew, for this user alone', async (t) => {
    const path = join(temporaryDirectory(t), 'own.sock')
    const daemon = await (
      await install(t, { config: { mesh: { identity: 'serve' }, development: false, listen: { socket: path } } })
    ).serve()
    rmSync(path)
    await daemon.says(/own\.sock was removed, so it is made anew/)
    await eventually('it is there', () => statSync(path, { throwIfNoEntry: false })?.mode === 0o140600)
    const connection = createConnection(path)
    await once(connection, 'connect')
    connection.destroy()
    const { code } = await daemon.end()
    assert.equal(code, 0)
    assert.equal(statSync(path, { throwIfNoEntry: false }), undefined, 'it is removed at the end')
  })
})
