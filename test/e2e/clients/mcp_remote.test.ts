import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { browserSession } from '../../support/browser_session.ts'
import { startWithServers } from '../servers.ts'
import { type Laptop, laptopOf } from './laptop.ts'

const program = fileURLToPath(new URL('node_modules/mcp-remote/dist/proxy.js', import.meta.url))

/** What an editor does with `"command": "npx", "args": ["mcp-remote", URL]`. */
async function connected(t: TestContext, { env }: Laptop, url: string, ...more: string[]) {
  const transport = new StdioClientTransport({ command: process.execPath, args: [program, url, ...more], env, stderr: 'pipe' })
  let said = ''
  transport.stderr?.on('data', (text) => {
    said += text
  })
  const client = new Client({ name: 'An editor', version: '1.0.0' })
  t.after(() => client.close())
  await client.connect(transport as never).catch((error) => assert.fail(`${error}\n${said}`))
  const call = async (name: string, args = {}) => {
    const { content } = await client.callTool({ name, arguments: args })
    return (content as { text: string }[])[0]?.text ?? ''
  }
  return { client, call, said: () => said }
}

test('mcp-remote 0.15: RFC 7591 §3, RFC 6749 §6: registers, opens the browser once, calls a tool, refreshes; the next start needs no browser', async (t) => {
  const { started, wiki } = await startWithServers(t)
  const laptop = laptopOf(t)
  const first = await connected(t, laptop, wiki)
  const alice = JSON.parse(await first.call('whoami'))
  assert.match(alice.client_id, /^dcr_/)
  assert.deepEqual(alice, { sub: 'userid:101', client_id: alice.client_id, scopes: ['wiki:read', 'offline_access'] })
  assert.match(await first.call('read_page', { page: 'coffee' }), /descaled on Fridays/)

  started.clock.advance({ minutes: 6 })
  assert.deepEqual(JSON.parse(await first.call('whoami')), alice)
  await first.client.close()
  started.clock.advance({ minutes: 6 })
  const second = await connected(t, laptop, wiki)
  assert.deepEqual(JSON.parse(await second.call('whoami')), alice)
  assert.equal(laptop.opened().length, 1)
})

test('mcp-remote 0.15: RFC 6749 §5.2: a sign-in that was ended is begun anew in the browser, by the same registration', async (t) => {
  const { started, wiki } = await startWithServers(t)
  const laptop = laptopOf(t)
  const { call } = await connected(t, laptop, wiki)
  const alice = JSON.parse(await call('whoami'))
  const browser = browserSession(started.alice)
  await browser.submit(await browser.open(started.issuer))

  started.clock.advance({ minutes: 6 })
  assert.deepEqual(JSON.parse(await call('whoami')), alice)
  assert.equal(laptop.opened().length, 2)
})

test('mcp-remote 0.15: RFC 7591 §3.2.2: whom the policy lets bring no software is told so on its error stream', async (t) => {
  const { started, wiki } = await startWithServers(t)
  started.mesh.change({ browser: 'mallory-laptop' })
  const laptop = laptopOf(t)
  await assert.rejects(connected(t, laptop, wiki), /mallory@other\.com may not register software here/)
  assert.deepEqual(laptop.opened(), [])
})
