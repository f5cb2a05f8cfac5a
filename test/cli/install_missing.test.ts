import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { spawned } from '../support/program.ts'
import { temporaryDirectory } from '../support/start.ts'

const script = fileURLToPath(new URL('../../scripts/install_missing.mjs', import.meta.url))
const here = `node-${process.platform}-${process.arch}`
const packages = {
  '': {},
  'node_modules/fastify': { version: '5.0.0' },
  'node_modules/other-platform': { version: '1.0.0', optional: true, os: ['plan9'] },
  'node_modules/optional-thing': { version: '1.0.0', optional: true },
  [`node_modules/${here}`]: { version: '24.0.0', optional: true },
}
const asInstalled = { 'node_modules/fastify': { version: '5.0.0' }, [`node_modules/${here}`]: { version: '24.0.0' } }

/** Runs the script in a checkout where so much is installed, with an npm that only writes down how it was called. */
async function install(t: TestContext, installed: object | null, npmSucceeds = true) {
  const cwd = temporaryDirectory(t)
  mkdirSync(join(cwd, 'node_modules'))
  mkdirSync(join(cwd, 'bin'))
  writeFileSync(join(cwd, 'package-lock.json'), JSON.stringify({ packages }))
  if (installed) writeFileSync(join(cwd, 'node_modules', '.package-lock.json'), JSON.stringify({ packages: installed }))
  const npm = join(cwd, 'bin', 'npm')
  writeFileSync(
    npm,
    `#!/bin/sh\necho "$@" > called\nenv | grep -c '^npm_config_prefix=\\|^npm_config_workspace=' >> called\nexit ${npmSucceeds ? 0 : 1}\n`,
  )
  chmodSync(npm, 0o755)
  const env = { PATH: `${join(cwd, 'bin')}:${process.env.PATH}`, npm_config_prefix: '/elsewhere', npm_config_workspace: 'other' }
  const { code, stdout, stderr } = await spawned(t, process.execPath, [script], { cwd, env }).ended
  const called = join(cwd, 'called')
  return { code, stdout, stderr, called: existsSync(called) ? readFileSync(called, 'utf8') : null }
}

test('npm start installs nothing, and says nothing, where all that this machine can use is there', async (t) => {
  assert.deepEqual(await install(t, asInstalled), { code: 0, stdout: '', stderr: '', called: null })
})

test('npm start installs what is missing, or of another version, once, and says so; settings of the outer npm do not reach the inner one', async (t) => {
  const { [`node_modules/${here}`]: _, ...withoutNode } = asInstalled
  for (const installed of [null, {}, { ...asInstalled, 'node_modules/fastify': { version: '4.0.0' } }, withoutNode]) {
    const { code, stdout, stderr, called } = await install(t, installed)
    assert.deepEqual([code, stdout], [0, ''])
    assert.match(called ?? '', /^ci --ignore-scripts .*\n0\n$/, 'what the lock file names, and no script of it')
    assert.match(stderr, /^meshidp: installing what is missing \(npm ci\)/)
  }
})

test('where npm cannot install, a sentence says what to look at, and nothing is started', async (t) => {
  const { code, stderr } = await install(t, null, false)
  assert.equal(code, 1)
  assert.match(
    stderr,
    /npm could not install the packages\. Its own words are above; mostly the registry cannot be reached\. Then run the same command again\.\n$/,
  )
})
