/** The story that identity is for: an agent of alice's, MCP servers on a tagged machine, the provider on a third; directly, and behind "tailscale serve". */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { listenForRedirect } from '../../examples/client/loopback_redirect.ts'
import { createProvider, inMemory } from '../../examples/client/oauth_provider.ts'
import { type Machine as Browser, machineBy } from '../../examples/demo/from_address.ts'
import { Refused, signIn } from '../../examples/demo/person.ts'
import type { ConfigInput } from '../../src/config.ts'
import { eventually } from '../support/eventually.ts'
import { repository, spawned } from '../support/program.ts'
import { freePort, temporaryDirectory } from '../support/start.ts'
import { type Machine, type Mesh, mesh } from './mesh.ts'
import { provider } from './provider.ts'

const document = {
  people: {
    'alice@example.com': { id: 101, name: 'Alice Example' },
    'bob@example.com': { id: 102, name: 'Bob Example' },
  },
  machines: {
    idp: { tags: ['tag:idp'] },
    'alice-laptop': { person: 'alice@example.com' },
    'bob-laptop': { person: 'bob@example.com' },
    'wiki-server': { tags: ['tag:wiki-server'] },
  },
}

/** How long an access token lives, and how long an answer of introspection is used again. Seconds; shorter than usual, as nobody waits for minutes here. */
const lifetime = 20
const cacheSeconds = 3

/** One server verifies tokens by itself, one asks about each. */
async function resources({ host }: Machine) {
  const uri = async () => `http://${host}:${await freePort()}/mcp`
  return { wiki: await uri(), notes: await uri() }
}
type Resources = Awaited<ReturnType<typeof resources>>

const policyOf = ({ wiki, notes }: Resources) => ({
  resources: {
    'resource:wiki': { uri: wiki, scopes: ['wiki:read'], allow_unverified_clients: true },
    'resource:notes': { uri: notes, scopes: ['notes:read'], allow_unverified_clients: true, token_format: 'opaque', check: 'introspect' },
  },
  clients: { 'client:notes-server': { node: ['tag:wiki-server'] } },
  grants: [
    { src: ['*'], app: { register: [{}] } },
    {
      src: ['alice@example.com'],
      dst: ['resource:wiki', 'resource:notes'],
      app: { authorize: [{ scopes: ['wiki:read', 'notes:read'], clients: ['*'] }] },
    },
    { src: ['client:notes-server'], dst: ['resource:notes'], app: { introspect: [{}] } },
  ],
})

/** The example server, unmodified, as a process of `machine`: what it asks goes through that machine's tailscaled. Resolves when it listens. */
async function serves(t: TestContext, machine: Machine, ca: string, issuer: string, ...options: string[]): Promise<void> {
  const env = { NODE_USE_ENV_PROXY: '1', HTTPS_PROXY: machine.proxy, NODE_EXTRA_CA_CERTS: ca }
  const args = [join(repository, 'examples/mcp-server/main.ts'), '--issuer', issuer, ...options]
  await spawned(t, process.execPath, args, { env }).says(/takes access tokens of/)
}

/** An agent with the unmodified SDK, on `browser`'s machine: connects, signs in, and can call tools. */
async function agentOf(t: TestContext, browser: Browser, url: string) {
  const storage = inMemory()
  const redirect = await listenForRedirect((state) => oauth.takesState(state))
  t.after(redirect.close)
  const oauth = createProvider({
    name: 'Agent on the mesh',
    redirect_uri: redirect.redirect_uri,
    storage,
    openBrowser: async (page) => void (await signIn(browser, page)),
  })
  const transport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider: oauth as never, fetch: browser.fetch })
  const client = new Client({ name: 'test', version: '1.0.0' })
  t.after(() => client.close())
  const answer = redirect.answer()
  const first = transport()
  await assert.rejects(client.connect(first as never), (error) => {
    if (error instanceof UnauthorizedError) return true
    throw error
  })
  await first.finishAuth(String((await answer).get('code')))
  await client.connect(transport() as never)
  return {
    storage,
    async whoami() {
      const { content } = await client.callTool({ name: 'whoami' })
      return JSON.parse((content as { text: string }[])[0]?.text ?? '') as { sub: string; client_id: string }
    },
  }
}

/** What a server answers to whoever has this token, wherever they ask from. */
const statusOf = async ({ fetch }: Machine, url: string, access_token = '') => {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
  })
  await answer.text()
  return answer.status
}

type Scene = { lab: Mesh; alice: Machine; bob: Machine; server: Machine; issuer: string; uris: Resources; ca: string }

async function story(t: TestContext, { lab, alice, bob, server, issuer, uris, ca }: Scene): Promise<void> {
  await serves(t, server, ca, issuer, '--resource', uris.wiki, '--scope', 'wiki:read')
  const asks = ['--check', 'introspect', '--client-id', 'client:notes-server', '--cache-seconds', String(cacheSeconds)]
  await serves(t, server, ca, issuer, '--resource', uris.notes, '--scope', 'notes:read', ...asks)
  const browser = machineBy(alice.dispatcher)

  const [reader, writer] = [await agentOf(t, browser, uris.wiki), await agentOf(t, browser, uris.notes)]
  for (const agent of [reader, writer]) assert.equal((await agent.whoami()).sub, 'userid:101')
  await assert.rejects(agentOf(t, machineBy(bob.dispatcher), uris.wiki), (error: Error) => {
    assert.ok(error instanceof Refused, error.message)
    assert.match(error.message, /bob@example\.com may not use/)
    return true
  })

  const held = { wiki: reader.storage.read().tokens?.access_token, notes: writer.storage.read().tokens?.access_token }
  assert.deepEqual([await statusOf(bob, uris.wiki, held.wiki), await statusOf(bob, uris.notes, held.notes)], [200, 200])
  const began = Date.now()
  await lab.change(({ machines }) => Object.assign(machines['alice-laptop'] as object, { expired: true }))
  const out = (url: string, token: string | undefined) =>
    eventually(`alice is out at ${url}`, async () => (await statusOf(bob, url, token)) === 401, 60_000).then(
      () => (Date.now() - began) / 1000,
    )
  const [introspecting, local] = await Promise.all([out(uris.notes, held.notes), out(uris.wiki, held.wiki)])
  assert.ok(introspecting < 60)
  assert.ok(local <= lifetime + 10)
  t.diagnostic(`alice was out after ${introspecting.toFixed(1)} s where it is asked, after ${local.toFixed(1)} s where it is not`)

  await lab.change(({ machines }) => Object.assign(machines['alice-laptop'] as object, { expired: false }))
  const before = [reader, writer].map(({ storage }) => storage.read().client?.client_id)
  for (const agent of [reader, writer])
    assert.equal((await eventually('alice is back', () => agent.whoami().catch(() => null), 30_000)).sub, 'userid:101')
  assert.deepEqual(
    [reader, writer].map(({ storage }) => storage.read().client?.client_id),
    before,
    'she need not register anew',
  )
}

test('the story on a real mesh', async (t) => {
  const lab = await mesh(t, document)
  const [idp, alice, bob, server] = (['idp', 'alice-laptop', 'bob-laptop', 'wiki-server'] as const).map(lab.machine) as [
    Machine,
    Machine,
    Machine,
    Machine,
  ]
  const told = async (t: TestContext, config: Partial<ConfigInput>) => {
    const uris = await resources(server)
    const { issuer } = await provider(t, idp, { policy: policyOf(uris), config: { lifetimes: { access_token: lifetime }, ...config } })
    await story(t, { lab, alice, bob, server, issuer, uris, ca: idp.certificate.cert })
  }

  await t.test(
    'directly: an agent signs in by the MCP SDK, a tagged machine introspects without a secret, bob is refused, who expires is out, and back',
    (t) => told(t, {}),
  )

  await t.test('the same behind "tailscale serve --https", with a certificate from the node', async (t) => {
    const socket = join(temporaryDirectory(t), 'meshidp.sock')
    await idp.tailscale('serve', '--bg', '--https=443', `unix:${socket}`)
    t.after(() => idp.tailscale('serve', 'reset'))
    await told(t, { issuer: `https://${idp.host}`, listen: { socket }, mesh: { socket: idp.socket, identity: 'serve' } })
  })
})
