import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { repository, spawned } from '../support/program.ts'
import { freePort, temporaryDirectory } from '../support/start.ts'

const shell = promisify(execFile)

// It installs what the package needs from the registry, which takes a while.
test('npm pack: the package, installed into an empty folder, runs from there by npx: version, licences, a daemon of its own', async (t) => {
  const place = temporaryDirectory(t)
  const folder = join(place, 'somewhere')
  mkdirSync(folder)
  const { stdout } = await shell('npm', ['pack', '--json', '--pack-destination', place], { cwd: repository })
  const [{ filename, files }] = JSON.parse(stdout.slice(stdout.indexOf('[\n'))) as [{ filename: string; files: { path: string }[] }]
  assert.deepEqual(
    files.map(({ path }) => path).filter((path) => /\.ts$|^(?:src|test|bench|docs)\//.test(path)),
    [],
    'types are not stripped below node_modules',
  )
  const quiet = ['--omit=optional', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  await shell('npm', ['install', ...quiet, join(place, filename)], { cwd: folder })

  const npx = async (...args: string[]) => (await shell('npx', ['--no', '--', 'meshidp', ...args], { cwd: folder })).stdout
  assert.equal(await npx('--version'), `${JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')).version}\n`)
  assert.match(await npx('licenses'), /^fastify 5/m)

  const port = await freePort()
  const command = ['--no', '--', 'meshidp', 'dev', '--port', String(port), '--state-dir', join(place, 'state')]
  const daemon = spawned(t, 'npx', command, { cwd: folder, group: true })
  await daemon.says(/Stop with Ctrl-C/)
  assert.equal((await fetch(`http://localhost:${port}/readyz`)).status, 200)
  assert.ok(existsSync(join(place, 'state/policy.hujson')), 'the policy to edit is not in the package')
  const list = /^ {7}(meshidp decisions list .*)$/m.exec(daemon.said())?.[1] ?? ''
  await shell('curl', [
    '--interface',
    '127.0.0.5',
    `http://localhost:${port}/register`,
    '--json',
    '{"redirect_uris":["http://127.0.0.1/cb"]}',
  ])
  assert.match(await npx(...list.split(' ').slice(1)), /mallory@other\.com may not register software here/)
  await daemon.end('SIGINT')
  assert.equal(existsSync(join(place, 'state/control.sock')), false, 'it put everything in order')
})
