import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
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

test('@modelcontextprotocol/inspector 2.12 --cli --relogin: RFC 7009 §2: what it forgets is revoked first', async (t) => {
  const { started, wiki } = await startWithServers(t)
  const laptop = laptopOf(t)
  const { whoami } = await inspecting(t, laptop, wiki)
  const { client_id } = await whoami()
  const [refresh_token = ''] = /mir_[\w.-]+/.exec(readFileSync(join(laptop.home, '.mcp-inspector/secrets.json'), 'utf8')) ?? []
  await whoami('--relogin')
  assert.equal(laptop.opened().length, 2)
  await assert.rejects(started.alice.refresh({ client_id, redirect_uri: '' }, { refresh_token }), { error: 'invalid_grant' })
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
