import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { browserSession } from '../../support/browser_session.ts'
import { spawned } from '../../support/program.ts'
import { freePort } from '../../support/start.ts'
import { startWithServers } from '../servers.ts'
import { type Laptop, laptopOf } from './laptop.ts'

const program = fileURLToPath(new URL('node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js', import.meta.url))

/** `mcp-inspector --cli URL …` on that laptop: each time another process. */
async function inspecting(t: TestContext, { env }: Laptop, url: string) {
  const surroundings = {
    group: true,
    env: {
      ...env,
      MCP_AUTO_OPEN_ENABLED: 'true', // it opens a browser though there is no terminal
      MCP_INSPECTOR_SECRET_STORE: 'file', // there is no keychain
      MCP_OAUTH_CALLBACK_URL: `http://127.0.0.1:${await freePort()}/oauth/callback`,
    },
  }
  const inspect = (...args: string[]) =>
    spawned(t, process.execPath, [program, '--cli', url, '--format', 'json', ...args], surroundings).ended
  return {
    inspect,
    async whoami(...args: string[]) {
      const { stdout, stderr } = await inspect('--method', 'tools/call', '--tool-name', 'whoami', ...args)
      assert.ok(stdout, stderr)
      return JSON.parse(JSON.parse(stdout).result.content[0].text)
    },
  }
}

test('@modelcontextprotocol/inspector 2.12 --cli: RFC 7591 §3, RFC 6749 §6: registers, opens the browser once, calls a tool; the next run refreshes', async (t) => {
  const { started, wiki } = await startWithServers(t)
  const laptop = laptopOf(t)
  const { inspect, whoami } = await inspecting(t, laptop, wiki)
  const alice = await whoami()
  assert.match(alice.client_id, /^dcr_/)
  assert.deepEqual(alice, { sub: 'userid:101', client_id: alice.client_id, scopes: ['wiki:read', 'offline_access'] })

  const { stdout } = await inspect('--method', 'tools/list', '--stored-auth-only')
  assert.deepEqual(
    JSON.parse(stdout).result.tools.map(({ name }: { name: string }) => name),
    ['whoami', 'read_page'],
  )
  started.clock.advance({ minutes: 6 })
  assert.deepEqual(await whoami('--stored-auth-only'), alice)
  assert.equal(laptop.opened().length, 1)
})

test('@modelcontextprotocol/inspector 2.12 --cli --relogin: registers anew and revokes nothing (RFC 7009), so the former sign-in is still there for alice to end', async (t) => {
  const { started, wiki } = await startWithServers(t)
  const laptop = laptopOf(t)
  const { whoami } = await inspecting(t, laptop, wiki)
  const before = await whoami()
  const after = await whoami('--relogin')
  assert.notEqual(after.client_id, before.client_id)
  const browser = browserSession(started.alice)
  const home = await browser.open(started.issuer)
  const signIns = ({ text }: { text: string }) => text.match(/aria-label="End: MCP Inspector, Wiki"/g)?.length ?? 0
  assert.equal(signIns(home), 2)
  assert.equal(signIns(await browser.submit(home)), 1)
})

test('@modelcontextprotocol/inspector 2.12 --cli --header: RFC 6750 §2.1: takes a token that other software was given', async (t) => {
  const { started, wiki } = await startWithServers(t)
  const laptop = laptopOf(t)
  const { whoami } = await inspecting(t, laptop, wiki)
  const client = await started.alice.register()
  const { access_token } = await started.alice.signIn(client, { resource: wiki, scope: 'wiki:read' })
  const { client_id } = await whoami('--header', `Authorization: Bearer ${access_token}`)
  assert.equal(client_id, client.client_id)
  assert.deepEqual(laptop.opened(), [])
})
