import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { examplePorts, uriAt } from '../../examples/demo/example_policy.ts'
import { inTerminal } from '../../examples/demo/narrate.ts'
import { playDemo } from '../../examples/demo/story.ts'
import { executable } from '../support/executable.ts'

test('npm run demo: the whole story in two acts, with a daemon that is killed and with a gateway, also where the ports of the example policy are taken', async (t) => {
  const taken = createServer().listen(examplePorts.wiki, '127.0.0.1')
  // Where somebody else has the port, that serves as well; `once` would reject at the error.
  await new Promise((resolve) => taken.once('listening', resolve).once('error', resolve))
  t.after(() => taken.close())

  let told = ''
  const narrate = inTerminal((text) => {
    told += text
  }, false)
  await playDemo({ narrate, program: executable === undefined ? undefined : [executable] })

  const chapters = told.split('\n').filter((line) => /^\S/.test(line))
  assert.equal(chapters.length, 11, told)
  assert.match(told, /the wiki says +\{"sub":"userid:101"/)
  assert.match(told, /kill -9 +http:\/\/localhost:\d+\n/)
  assert.match(told, /refused +mallory@other\.com may not register software here\..*mention decision [0-9A-Z]{26}/)
  assert.match(told, /meshidp authorizations revoke [0-9A-Z]{26}\n/)

  const [first = '', second = ''] = told.split('\nAct two: ')
  assert.ok(!first.includes('tag:mcp-gateway'))
  assert.match(second, /Through others, also Tool gateway may act for you at Wiki: Read every page/)
  assert.match(
    second,
    /the wiki says +\{"sub":"userid:101","client_id":"client:gateway","scopes":\["wiki:read"\],"act":\{"sub":"client:gateway"\}\}\n/,
  )
  assert.match(second, /refused +No grant lets anybody act for bob@example\.com at resource:wiki\..*mention decision [0-9A-Z]{26}\.\n/)
  assert.match(
    second,
    /meshidp tokens trace [0-9A-Z]{26}\n +alice@example\.com \(userid:101\)\n.*dcr_.*\n(?:.*\n)*.*client:gateway, acting → /,
  )
  assert.match(second, /meshidp authorizations revoke [0-9A-Z]{26}\n.*\n +POST → 401 +localhost:\d+\/mcp\n/)
  assert.ok(!told.includes(uriAt(examplePorts.wiki)), 'somebody else listens there')
  assert.ok(!told.includes('\x1b'), 'no colours but on a terminal')
})

test('npm run demo: exits with another code than 0 where a step fails, and says which', () => {
  const main = fileURLToPath(new URL('../../examples/demo/main.ts', import.meta.url))
  const { status, stderr } = spawnSync(process.execPath, [main], { env: { ...process.env, TMPDIR: '/nowhere/at/all' }, encoding: 'utf8' })
  assert.equal(status, 1)
  assert.match(stderr, /The demo failed\..*\/nowhere\/at\/all/s)
})
