import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { freePorts } from '../../examples/demo/free_ports.ts'
import { personAt, type TestClient } from '../support/person.ts'
import { meshidp, repository, spawned } from '../support/program.ts'
import { temporaryDirectory } from '../support/start.ts'

const shell = promisify(execFile)

test('npm start: a newcomer finds the issuer, a page and three things to try, which do what they say; tokens outlive Ctrl-C', async (t) => {
  const port = await freePorts(2)
  const directory = join(temporaryDirectory(t), 'state')
  const issuer = `http://localhost:${port}`
  const begin = async () => {
    const running = spawned(t, 'npm', ['start', '--', '--port', String(port), '--state-dir', directory], { group: true })
    await running.says(/Stop with Ctrl-C/)
    return running
  }
  const first = await begin()
  const said = first.said()
  assert.match(said, new RegExp(`^ {2}issuer {7}${issuer}$`, 'm'))
  const page = await fetch(/^ {15}(http:\S+)/m.exec(said)?.[1] ?? '')
  assert.match(await page.text(), /alice/)

  // The lines below the numbered ones are what to type.
  const tries = [...said.matchAll(/^ {7}(\S.*)$/gm)].map(([, command = '']) => command)
  assert.deepEqual(
    tries.map((command) => command.split(' ').slice(0, 2).join(' ')),
    ['npm run', 'curl --interface', 'curl --interface', 'npm run'],
  )
  const [demo, whoBobIs = '', registration = '', list = ''] = tries
  assert.equal(demo, 'npm run demo') // test/e2e/demo.test.ts plays it
  const type = async (command: string) => (await shell('sh', ['-c', command], { cwd: repository })).stdout
  assert.match(await type(whoBobIs), /You are <strong>bob@example\.com<\/strong>/)
  const { error, decision_id } = JSON.parse(await type(registration)) as Record<string, string>
  assert.equal(error, 'access_denied')
  assert.match(await type(list), new RegExp(`^${decision_id} .* denied .* mallory@other\\.com may not register software here\\.`, 'm'))

  const alice = personAt(t, issuer, '127.0.0.2')
  const tool: TestClient = await alice.register()
  const held = await alice.signIn(tool, { resource: 'http://localhost:8490/mcp', scope: 'wiki:read' })

  // A second one on the same state must not take the first one's mesh away.
  const second = await meshidp(t, ['dev', '--port', String(port), '--state-dir', directory]).ended
  assert.deepEqual([second.code, second.stdout], [1, ''])
  assert.match(second.stderr, /^meshidp: Another meshidp is using .*\. Stop it first, or give this one a state directory of its own\.\n$/)
  assert.equal((await alice.send('/readyz')).status, 200)

  await first.end('SIGINT')
  assert.equal(existsSync(join(directory, 'control.sock')), false, 'it put everything in order')
  const again = await begin()
  assert.ok((await alice.refresh(tool, held)).refresh_token)
  await again.end('SIGINT')
})
