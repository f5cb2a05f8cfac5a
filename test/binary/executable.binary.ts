import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { chmodSync, copyFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { repository, spawned } from '../support/program.ts'
import { freePort, temporaryDirectory } from '../support/start.ts'
import { connectedTo, nodeName, pairAt, shownAt, startTailscaled } from '../support/tls_node.ts'

const built = join(repository, `dist/meshidp-linux-${process.arch}`)
const build = fileURLToPath(new URL('../../scripts/build_binary.mjs', import.meta.url))
const withoutRoot = process.getuid?.() !== 0 && 'To change the user and what is mounted takes root.'

/** Runs it in an empty environment. */
const run = (...args: string[]) => spawnSync(built, args, { env: {}, encoding: 'utf8' })

/** A development daemon of it in an empty environment, whose state is in `directory`. Resolves when it serves. */
async function served(t: TestContext, directory: string, env = {}) {
  const port = await freePort()
  const daemon = spawned(t, built, ['dev', '--port', String(port), '--state-dir', join(directory, 'state')], { bare: true, env, cwd: '/' })
  await daemon.says(/"msg":"listening on 127\.0\.0\.1:/)
  const answer = await fetch(`http://localhost:${port}/readyz`)
  assert.equal(answer.status, 200, await answer.text())
  return daemon
}

suite('the single executable', () => {
  test('is the same byte for byte, built again in another folder, and smaller than 125 MiB', (t) => {
    const again = join(temporaryDirectory(t), 'meshidp')
    execFileSync(process.execPath, [build, `--out=${again}`], { cwd: '/', stdio: 'pipe' })
    assert.ok(readFileSync(again).equals(readFileSync(built)))
    assert.ok(statSync(built).size < 125 * 2 ** 20, `${statSync(built).size} bytes`)
    assert.deepEqual(JSON.parse(readFileSync(`${again}.map`, 'utf8')).version, 3, 'beside it is the source map, for traces')
  })

  test('holds nothing of the machine that built it', () => {
    const bytes = readFileSync(built)
    assert.equal(bytes.indexOf(repository), -1)
  })

  test('says its version, and the licences of all that is inside', () => {
    assert.equal(run('--version').stdout, `${JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')).version}\n`)
    const { stdout } = run('licenses')
    const inside = [
      'meshidp',
      'better-sqlite3 13',
      'fastify 5',
      'jose 6',
      'pino 10',
      'pino-pretty 13',
      'undici 8',
      'zod 4',
      'SQLite',
      `Node ${process.versions.node}`,
    ]
    for (const name of inside) assert.match(stdout, new RegExp(`^─+\n${name.replaceAll('.', '\\.')}.*\n─+$`, 'm'), name)
    assert.match(stdout, /V8, located at deps\/v8/, 'and of what is inside of Node')
  })

  test('is not ruled by NODE_OPTIONS, and SIGUSR1 opens no inspector', async (t) => {
    const directory = temporaryDirectory(t)
    const daemon = await served(t, directory, { NODE_OPTIONS: '--inspect-brk --no-such-option' })
    daemon.child.kill('SIGUSR1')
    await pause(300)
    assert.doesNotMatch(daemon.said(), /Debugger|inspector/i)
    const { code } = await daemon.end()
    assert.equal(code, 0)
  })

  test('what is loaded only when it is asked for is inside: the doctor signs in to itself, a backup is encrypted', async (t) => {
    const directory = temporaryDirectory(t)
    await served(t, directory)
    const config = ['--config', join(directory, 'state/config.hujson')]
    assert.match(
      run('doctor', ...config).stdout,
      /a whole sign-in against itself +registered, .*removed, in \d+ ms\.\n\n.*It is well\.\n$/s,
    )
    const [keys, backup] = [join(directory, 'keys'), join(directory, 'backup')]
    assert.equal(run('backup', 'keygen', keys).status, 0)
    writeFileSync(`${keys}.recipients`, `${/age1\w+/.exec(readFileSync(keys, 'utf8'))?.[0]}\n`)
    const made = run('backup', backup, '--recipient-file', `${keys}.recipients`, ...config)
    assert.equal(made.status, 0, made.stderr)
    assert.match(readFileSync(backup, 'latin1'), /^age-encryption\.org\/v1\n/)
  })

  test('the doctor says that this user may not look at the state, rather than that there is none', { skip: withoutRoot }, async (t) => {
    const directory = temporaryDirectory(t)
    await (await served(t, directory)).end()
    chmodSync(directory, 0o755)
    const state = join(directory, 'state')
    for (const name of ['config.hujson', 'policy.hujson']) writeFileSync(join(directory, name), readFileSync(join(state, name)))
    const mine = join(directory, 'meshidp')
    copyFileSync(built, mine)
    const config = ['--config', join(directory, 'config.hujson'), '--policy-file', join(directory, 'policy.hujson')]
    const { stdout } = spawnSync(mine, ['doctor', ...config], { env: {}, uid: 65534, gid: 65534, cwd: '/', encoding: 'utf8' })
    assert.match(stdout, new RegExp(`✗ the database +\\S+ may not enter ${state}\\.$`, 'm'))
    assert.match(stdout, new RegExp(`✗ the keys +\\S+ may not enter ${state}\\.$`, 'm'))
  })

  test('speaks https on a mesh address, with the certificate of tailscaled', async (t) => {
    const pair = pairAt(Math.floor(Date.now() / 1000))
    const { socket } = await startTailscaled(t, { gives: () => pair })
    const [directory, port] = [temporaryDirectory(t), await freePort()]
    writeFileSync(join(directory, 'policy.hujson'), '{}')
    const config = {
      policy_file: join(directory, 'policy.hujson'),
      state_directory: join(directory, 'state'),
      listen: { port },
      mesh: { socket },
    }
    writeFileSync(join(directory, 'config.hujson'), JSON.stringify({ ...config, runtime_directory: join(directory, 'run') }))
    const daemon = spawned(t, built, ['serve', '--config', join(directory, 'config.hujson')], { bare: true, cwd: '/' })
    await daemon.says(/"msg":"meshidp serves https:/)
    assert.equal(await shownAt(port), new X509Certificate(pair.cert).fingerprint256)
    const connection = await connectedTo(port)
    connection.end(`GET /healthz HTTP/1.1\r\nHost: ${nodeName}:${port}\r\nConnection: close\r\n\r\n`)
    assert.match((await connection.setEncoding('utf8').toArray()).join(''), /^HTTP\/1\.1 200 OK\r\n.*\{"status":"ok"\}/s)
  })

  test('dev leaves an example policy in the state directory, which stays as somebody edits it', async (t) => {
    const directory = temporaryDirectory(t)
    const first = await served(t, directory)
    await first.end()
    const policy = join(directory, 'state/policy.hujson')
    assert.equal(readFileSync(policy, 'utf8'), readFileSync(join(repository, 'policy/example.hujson'), 'utf8'))
    writeFileSync(policy, `// mine\n${readFileSync(policy, 'utf8')}`)
    await served(t, directory)
    assert.match(readFileSync(policy, 'utf8'), /^\/\/ mine\n/)
  })

  const mounts = {
    'as anybody, from a folder that is not its own': '',
    'on a read-only root': 'mount --bind / /; mount -o remount,bind,ro /; mount -t tmpfs -o ro tmpfs /dev/shm',
    'where neither /dev/shm nor /tmp lets anything be executed':
      'mount -t tmpfs -o noexec,mode=1777 tmpfs /dev/shm; mount -t tmpfs -o noexec,mode=1777 tmpfs /tmp',
    'without /proc': 'umount -l /proc',
  }
  for (const [what, mount] of Object.entries(mounts))
    test(`runs ${what}: as another user, with a state directory and nothing else, and leaves no file of its own`, {
      skip: withoutRoot,
    }, async (t) => {
      const place = temporaryDirectory(t)
      const script = `set -e
        place=$1; shift; exec 3<${built}
        ${mount}
        mkdir -p "$place"; mount -t tmpfs -o mode=755 tmpfs "$place"; cd "$place"
        cat <&3 >meshidp; exec 3<&-; chmod 755 meshidp
        mkdir -m 700 state; chown 65534 state
        exec setpriv --reuid=65534 --regid=65534 --clear-groups env -i ./meshidp "$@"`
      const port = await freePort()
      const command = ['dev', '--port', String(port), '--state-dir', join(place, 'state')]
      const daemon = spawned(t, 'unshare', ['--mount', '--propagation', 'private', 'bash', '-c', script, 'bash', place, ...command])
      await daemon.says(/"msg":"listening on 127\.0\.0\.1:/)
      const answer = await fetch(`http://localhost:${port}/readyz`)
      assert.equal(answer.status, 200, await answer.text())
      assert.doesNotMatch(readdirSync(`/proc/${daemon.child.pid}/root${place}/state`).join(), /\.meshidp-/)
    })

  test('says in words what a Node is that it cannot be built with', () => {
    const refused = (node: string) => spawnSync(process.execPath, [build, `--node=${node}`], { encoding: 'utf8' }).stderr
    assert.match(refused('/nowhere/node'), /There is no Node at \/nowhere\/node\./)
    assert.match(refused('/etc/hostname'), /\/etc\/hostname is no Node for Linux on x64 or arm64\./)
    assert.match(refused('/bin/true'), /\/bin\/true does not say which version of Node it is\./)
  })
})
