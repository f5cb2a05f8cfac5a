import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectAgent } from '../../examples/client/agent.ts'
import { inMemory } from '../../examples/client/oauth_provider.ts'
import { signIn } from '../../examples/demo/person.ts'
import { browserOf, documentedApplication, kindsOfClients, noDocuments, startWithServers } from './servers.ts'

test('@modelcontextprotocol/client 2: registers, signs in, refreshes by itself, and goes on with another daemon on the same state', async (t) => {
  const { started, wiki } = await startWithServers(t)
  const browser = browserOf(t)
  const storage = inMemory()
  const pages: unknown[] = []
  const openBrowser = async (url: URL) => void pages.push(await signIn(browser, url))
  const agent = await connectAgent({ url: wiki, name: 'Agent', storage, openBrowser })
  t.after(agent.close)
  const { client_id } = storage.read().client ?? {}
  assert.deepEqual(JSON.parse(await agent.call('whoami')), { sub: 'userid:101', client_id, scopes: ['wiki:read', 'offline_access'] })
  assert.match(await agent.call('read_page', { page: 'home' }), /^Welcome/)

  await started.restart()
  started.clock.advance({ minutes: 6 })
  const before = storage.read().tokens
  assert.match(await agent.call('read_page', { page: 'coffee' }), /Fridays/)
  assert.notEqual(storage.read().tokens?.refresh_token, before?.refresh_token)
  assert.equal(pages.length, 1, 'the person was asked once')
})

test('@modelcontextprotocol/client 2: a Client ID Metadata Document is its registration', { skip: noDocuments }, async (t) => {
  const { client_id, options } = await documentedApplication(t)
  const { started, wiki } = await startWithServers(t, options)
  const browser = browserOf(t)
  const agent = await connectAgent({ url: wiki, name: 'Agent', client_id, openBrowser: async (url) => void (await signIn(browser, url)) })
  t.after(agent.close)
  assert.deepEqual(JSON.parse(await agent.call('whoami')), { sub: 'userid:101', client_id, scopes: ['wiki:read'] })
  assert.deepEqual(await kindsOfClients(started), ['metadata_document'])

  started.clock.advance({ minutes: 6 })
  assert.match(await agent.call('read_page', { page: 'home' }), /^Welcome/)
})

test('@modelcontextprotocol/client 2: a person who says no is heard, and asked again the next time', async (t) => {
  const { wiki } = await startWithServers(t)
  const browser = browserOf(t)
  let decision: 'approve' | 'deny' = 'deny'
  const options = { url: wiki, name: 'Agent', openBrowser: async (url: URL) => void (await signIn(browser, url, decision)) }
  await assert.rejects(connectAgent(options), { code: 'access_denied' })
  decision = 'approve'
  const agent = await connectAgent(options)
  t.after(agent.close)
  assert.match(await agent.call('read_page', { page: 'home' }), /^Welcome/)
})
