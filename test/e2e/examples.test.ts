import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { examplePolicyAt, portsFrom, uriAt } from '../../examples/demo/example_policy.ts'
import { freePorts } from '../../examples/demo/free_ports.ts'
import { signIn } from '../../examples/demo/person.ts'
import { start, temporaryDirectory } from '../support/start.ts'
import { browserOf } from './servers.ts'

/** Runs an example as its README says. */
function run(t: TestContext, example: string, args: string[]) {
  const main = fileURLToPath(new URL(`../../examples/${example}/main.ts`, import.meta.url))
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => child.kill())
  return child
}

test('the example server and the example client run from the command line, and the second run needs no browser', async (t) => {
  const ports = portsFrom(await freePorts(3))
  const { issuer, config } = await start(t, { policy: examplePolicyAt(ports) })
  const notes = uriAt(ports.notes)
  const secret = [
    '--check',
    'introspect',
    '--client-id',
    'client:notes-server',
    '--secret-file',
    join(config.secrets_directory, 'notes-server'),
  ]
  const server = run(t, 'mcp-server', ['--issuer', issuer, '--resource', notes, '--scope', 'notes:read', ...secret])
  const [said] = await once(server.stdout.setEncoding('utf8'), 'data')
  assert.equal(said, `${notes} takes access tokens of ${issuer}. Stop with Ctrl-C.\n`)

  const browser = browserOf(t)
  const client = async (...call: string[]) => {
    const child = run(t, 'client', ['--url', notes, '--state', state, ...call])
    let printed = ''
    let browsers = 0
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
    const closed = once(child, 'close')
    for await (const line of createInterface(child.stderr)) {
      if (!line.includes('/authorize?')) continue
      browsers++
      await signIn(browser, new URL(line.trim()))
    }
    assert.deepEqual(await closed, [0, null])
    return { printed, browsers }
  }
  const state = join(temporaryDirectory(t), 'client.json')
  const first = await client()
  assert.equal(first.browsers, 1)
  const { sub, scopes } = JSON.parse(first.printed) as { sub: string; scopes: string[] }
  assert.deepEqual({ sub, scopes }, { sub: 'userid:101', scopes: ['notes:read', 'offline_access'] })
  assert.deepEqual(await client('read_page', '{"page":"home"}'), { printed: 'Welcome. Ask for "on-call" or "coffee".\n', browsers: 0 })
})
