import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../examples/demo/free_ports.ts'
import { signIn } from '../../examples/demo/person.ts'
import { wiki } from '../support/example_policy.ts'
import { start } from '../support/start.ts'
import { browserOf } from './servers.ts'

const suite = fileURLToPath(import.meta.resolve('@modelcontextprotocol/conformance/dist/index.js'))

test('@modelcontextprotocol/conformance: the authorization-server scenarios pass', async (t) => {
  const started = await start(t)
  const browser = browserOf(t)
  const port = await freePorts(1)
  const { client_id } = await started.alice.register({ redirect_uris: ['http://127.0.0.1/callback'] })
  const child = spawn(
    process.execPath,
    [suite, 'authorization', '--url', started.issuer, '--client-id', client_id, '--resource', wiki.resource, '-p', String(port)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.after(() => child.kill())
  const lines: string[] = []
  const closed = once(child, 'close')
  for await (const line of createInterface(child.stdout)) {
    lines.push(line)
    if (line.startsWith(`${started.issuer}/authorize?`)) await signIn(browser, new URL(line))
  }
  const [exitCode] = await closed
  const said = lines.join('\n')
  assert.equal(exitCode, 0, said)
  assert.match(said, /✓ authorization-server-metadata-endpoint: 2 passed, 0 failed/)
  assert.match(said, /✓ authorization-code-grant: 1 passed, 0 failed/)
})
