import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { listenForRedirect } from '../../examples/client/loopback_redirect.ts'
import { createProvider, inMemory } from '../../examples/client/oauth_provider.ts'
import { signIn } from '../../examples/demo/person.ts'
import { browserOf, documentedApplication, kindsOfClients, noDocuments, startWithServers } from './servers.ts'

/** Connects as that SDK's documentation says: a first try, the browser, `finishAuth`, a second try. */
async function connected(t: TestContext, url: string, client_id?: string) {
  const browser = browserOf(t)
  const storage = inMemory()
  const redirect = await listenForRedirect((state) => provider.takesState(state))
  t.after(redirect.close)
  const provider = createProvider({
    name: 'Agent of the first generation',
    redirect_uri: redirect.redirect_uri,
    storage,
    openBrowser: async (page) => void (await signIn(browser, page)),
    ...(client_id !== undefined && { client_id }),
  })
  const newTransport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider: provider as never })
  const client = new Client({ name: 'test', version: '1.0.0' })
  t.after(() => client.close())
  const answer = redirect.answer()
  const first = newTransport()
  await assert.rejects(client.connect(first as never), UnauthorizedError)
  await first.finishAuth(String((await answer).get('code')))
  await client.connect(newTransport() as never)
  const whoami = async () => {
    const { content } = await client.callTool({ name: 'whoami' })
    return JSON.parse((content as { text: string }[])[0]?.text ?? '') as unknown
  }
  return { storage, whoami }
}

test('@modelcontextprotocol/sdk 1: registers, signs in, calls a tool, and refreshes by itself when the token has expired', async (t) => {
  const { started, wiki } = await startWithServers(t)
  const { storage, whoami } = await connected(t, wiki)
  const { client_id } = storage.read().client ?? {}
  assert.match(String(client_id), /^dcr_/)
  const alice = { sub: 'userid:101', client_id, scopes: ['wiki:read'] }
  assert.deepEqual(await whoami(), alice)

  const before = storage.read().tokens
  started.clock.advance({ minutes: 6 })
  assert.deepEqual(await whoami(), alice)
  const after = storage.read().tokens
  assert.notEqual(after?.access_token, before?.access_token)
  assert.notEqual(after?.refresh_token, before?.refresh_token)
})

test('@modelcontextprotocol/sdk 1: a Client ID Metadata Document is its registration', { skip: noDocuments }, async (t) => {
  const { client_id, options } = await documentedApplication(t)
  const { started, wiki } = await startWithServers(t, options)
  const { whoami } = await connected(t, wiki, client_id)
  assert.deepEqual(await whoami(), { sub: 'userid:101', client_id, scopes: ['wiki:read'] })
  assert.deepEqual(await kindsOfClients(started), ['metadata_document'])
})
