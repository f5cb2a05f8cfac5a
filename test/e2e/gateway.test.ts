import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Agent, connectAgent } from '../../examples/client/agent.ts'
import { signIn } from '../../examples/demo/person.ts'
import { sentenceOf } from '../../examples/said.ts'
import { ask } from '../../src/cli/ask.ts'
import { jwkOf, newPair } from '../support/assertion.ts'
import { spawned } from '../support/program.ts'
import { type Started, temporaryDirectory } from '../support/start.ts'
import { call } from './call.ts'
import { browserOf, startWithServers, type WithServers } from './servers.ts'

const main = fileURLToPath(new URL('../../examples/mcp-gateway/main.ts', import.meta.url))

/** The tagged machine of the development mesh. */
const onTheMachine = ['--from-address', '127.0.0.9']

/** Runs the gateway as its README says; resolves when it listens. */
async function runGateway(t: TestContext, { started: { issuer }, wiki, notes, gateway }: WithServers, ...more: string[]) {
  const upstreams = ['--upstream', `wiki=${wiki}`, '--upstream', `notes=${notes}`]
  const running = spawned(t, process.execPath, [main, '--issuer', issuer, '--resource', gateway, ...upstreams, ...more])
  await running.says(/passes calls on to wiki and notes, as client:gateway/)
  return running
}

/** An agent of whoever sits at this address; `pages`: how often the person was asked. */
async function agentOf(t: TestContext, url: string, address = '127.0.0.2'): Promise<Agent & { pages: unknown[] }> {
  const browser = browserOf(t, address)
  const pages: unknown[] = []
  const agent = await connectAgent({ url, name: 'Agent', openBrowser: async (page) => void pages.push(await signIn(browser, page)) })
  t.after(agent.close)
  return { ...agent, pages }
}

/** What the daemon exchanged so far, by the authorizations that came of it; the newest first. */
async function exchanges({ config }: Started): Promise<string[]> {
  type Decision = { entry: string; authorization_id: string }
  const { decisions } = (await ask(config, 'decisions.list', { outcome: 'allowed' }, undefined)) as { decisions: Decision[] }
  return decisions.filter(({ entry }) => entry === 'token_exchange').map(({ authorization_id }) => authorization_id)
}

const alice = { sub: 'userid:101', client_id: 'client:gateway', act: { sub: 'client:gateway' } }

test('RFC 8693 §4.1: through a gateway on its tagged machine the servers behind see the person and who acts, and a token is exchanged once for each', async (t) => {
  const all = await startWithServers(t)
  const { started, gateway } = all
  const running = await runGateway(t, all, ...onTheMachine)
  const agent = await agentOf(t, gateway)
  assert.deepEqual(JSON.parse(await agent.call('wiki_whoami')), { ...alice, scopes: ['wiki:read'] })
  assert.equal((await exchanges(started)).length, 1)
  assert.match(await agent.call('wiki_read_page', { page: 'coffee' }), /Fridays/)
  assert.equal((await exchanges(started)).length, 1, 'the token that it has is still good')
  assert.deepEqual(JSON.parse(await agent.call('notes_whoami')), { ...alice, scopes: ['notes:read'] })
  assert.equal((await exchanges(started)).length, 2, 'another server, another token')
  assert.equal(agent.pages.length, 1)

  await t.test('restarted it keeps nothing, and nobody has to sign in anew; requests of one moment share an exchange', async (t) => {
    await running.end()
    await runGateway(t, all, ...onTheMachine)
    const pages = await Promise.all([1, 2, 3, 4].map(() => agent.call('wiki_read_page', { page: 'home' })))
    assert.match(pages.join(), /^(Welcome[^,]*,?){4}$/)
    assert.equal((await exchanges(started)).length, 3)
    assert.equal(agent.pages.length, 1)
  })
})

test('RFC 7523 §2.2: elsewhere a gateway proves itself by its key, at introspection and at the exchange', async (t) => {
  const pair = newPair('Ed25519')
  const jwks = { keys: [jwkOf(pair)] }
  const all = await startWithServers(t, {
    policy: (text) => text.replace('"node": ["tag:mcp-gateway"]', `"jwks": ${JSON.stringify(jwks)}`),
  })
  const file = join(temporaryDirectory(t), 'gateway.pem')
  writeFileSync(file, pair.privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
  await runGateway(t, all, '--key-file', file)
  const agent = await agentOf(t, all.gateway)
  assert.deepEqual(JSON.parse(await agent.call('wiki_whoami')), { ...alice, scopes: ['wiki:read'] })
  assert.match(await agent.call('notes_read_page', { page: 'home' }), /^Welcome/)

  await t.test('a file that holds no such key is said so at the start', async (t) => {
    const { privateKey } = newPair('ES384')
    const bad: [text: string | Buffer, says: RegExp][] = [
      ['no key', /holds no private key in PEM/],
      [
        privateKey.export({ format: 'pem', type: 'pkcs8' }),
        /holds a key of the kind secp384r1\. It has to be one of ed25519, prime256v1, rsa\.\n$/,
      ],
    ]
    for (const [text, says] of bad) {
      writeFileSync(file, text)
      const { code, stderr } = await spawned(t, process.execPath, [main, '--key-file', file]).ended
      assert.equal(code, 1)
      assert.match(stderr, says)
    }
  })
})

test('a gateway whose machine or key is not that of the policy is 503 for its callers, who cannot mend it', async (t) => {
  const all = await startWithServers(t)
  const running = await runGateway(t, all, '--from-address', '127.0.0.6')
  const { alice } = all.started
  const { access_token } = await alice.signIn(await alice.register(), { resource: all.gateway, scope: 'tools:call' })
  const { status, retryAfter } = await call(all.gateway, access_token, 'wiki_whoami')
  assert.deepEqual([status, retryAfter], [503, '5'])
  await running.says(/This client is proven by its machine, which has tag:mcp-gateway\. ci-runner[^ ]* has tag:ci\./)
})

test('RFC 8693 §2.2.2: whom no edge leads on is told so in a sentence, on a call and on the list of tools', async (t) => {
  const all = await startWithServers(t)
  const { started, gateway, wiki } = all
  await runGateway(t, all, ...onTheMachine)
  const agent = await agentOf(t, gateway, '127.0.0.3')
  const refusal = await agent.call('wiki_whoami').then(String, sentenceOf)
  assert.match(
    refusal,
    /^No grant lets anybody act for bob@example\.com at resource:wiki\..*in group:pilot\. Ask an admin, and mention decision [0-9A-Z]{26}\.$/,
  )
  assert.equal((await exchanges(started)).length, 0)

  const { bob, alice } = started
  const { access_token } = await bob.signIn(await bob.register(), { resource: gateway, scope: 'tools:call' })
  const list = await call(gateway, access_token, { method: 'tools/list' })
  assert.equal(list.status, 200)
  assert.match(JSON.stringify(list.body.error), /"No grant lets anybody act for bob@example\.com at resource:wiki\./)

  await t.test('she whom one leads on sees the tools of all servers, each below its name', async () => {
    const her = await alice.signIn(await alice.register(), { resource: gateway, scope: 'tools:call' })
    const { result } = (await call(gateway, her.access_token, { method: 'tools/list' })).body as { result: { tools: { name: string }[] } }
    assert.deepEqual(
      result.tools.map(({ name }) => name),
      ['wiki_whoami', 'wiki_read_page', 'notes_whoami', 'notes_read_page'],
    )
    const { body } = await call(gateway, her.access_token, 'mail_send')
    assert.deepEqual(body.result, { content: [{ type: 'text', text: 'There is no tool mail_send.' }], isError: true })
  })
  await t.test('RFC 8707 §2, RFC 6750 §3: a token for a server behind is none for the gateway, nor is none at all', async () => {
    const direct = await alice.signIn(await alice.register(), { resource: wiki, scope: 'wiki:read' })
    for (const token of [undefined, direct.access_token]) {
      const { status, challenge } = await call(gateway, token, 'wiki_whoami')
      assert.equal(status, 401)
      assert.ok(challenge.includes(`resource_metadata="${new URL('/.well-known/oauth-protected-resource/mcp', gateway).href}"`), challenge)
    }
  })
  await t.test('RFC 6750 §3.1: without the scope of the gateway it is 403, before anything is exchanged', async () => {
    const client = await alice.register()
    const { access_token } = await alice.signIn(client, { resource: gateway, scope: 'openid' })
    const { status, challenge } = await call(gateway, access_token, 'wiki_whoami')
    assert.equal(status, 403)
    assert.match(challenge, /^Bearer error="insufficient_scope", .*scope="tools:call"/)
  })
})

test('RFC 6750 §3.1: what a server behind refuses is a sentence too, for no client can mend the token of a gateway', async (t) => {
  // The edge gives another scope than the one that opens pages.
  const policy = (text: string) =>
    text.replace('"wiki:read": ["tools:call"]', '"wiki:write": ["tools:call"]').replace(/^ {2}"tests".*^ {2}\],\n/ms, '')
  const all = await startWithServers(t, { policy })
  await runGateway(t, all, ...onTheMachine)
  const agent = await agentOf(t, all.gateway)
  assert.deepEqual(JSON.parse(await agent.call('wiki_whoami')), { ...alice, scopes: ['wiki:write'] })
  await assert.rejects(agent.call('wiki_read_page', { page: 'home' }), { message: 'wiki: This needs the scope wiki:read.' })
  await assert.rejects(agent.call('notes_read_page', { page: 'nowhere' }), { message: 'There is no page "nowhere".' })
})

test('RFC 7009 §2.1: revoked, she is refused at the gateway, and by a server behind that asks, even where the gateway has not noticed', async (t) => {
  const all = await startWithServers(t)
  const { started, gateway } = all
  const { alice } = started
  const client = await alice.register()
  const signedIn = () => alice.signIn(client, { resource: gateway, scope: 'tools:call' })
  const revoke = async ({ refresh_token = '' }: { refresh_token?: string }) => {
    assert.equal((await alice.send('/revoke', { form: { client_id: client.client_id, token: refresh_token } })).status, 200)
  }

  await t.test('401 at the gateway, on which a client signs in anew', async (t) => {
    const running = await runGateway(t, all, ...onTheMachine, '--cache-seconds', '0')
    const tokens = await signedIn()
    assert.equal((await call(gateway, tokens.access_token, 'wiki_whoami')).status, 200)
    await revoke(tokens)
    const { status, challenge } = await call(gateway, tokens.access_token, 'wiki_whoami')
    assert.equal(status, 401)
    assert.match(challenge, /^Bearer error="invalid_token"/)
    await running.end()
  })
  await t.test('what was exchanged is dead with it: the notes refuse it, and there is no other', async () => {
    await runGateway(t, all, ...onTheMachine, '--cache-seconds', '3600')
    const tokens = await signedIn()
    const read = () => call(gateway, tokens.access_token, 'notes_read_page', { page: 'home' })
    assert.match(JSON.stringify((await read()).body.result), /Welcome/)
    const before = await exchanges(started)
    await revoke(tokens)
    started.clock.advance({ seconds: 15 }) // for so long the notes keep an answer
    const { body } = await read()
    assert.deepEqual(body.result, {
      content: [
        { type: 'text', text: 'The subject_token is not a living token of this server, or not of the type that it is said to be.' },
      ],
      isError: true,
    })
    assert.deepEqual(await exchanges(started), before)
  })
  await t.test('where only what was exchanged is revoked, the gateway exchanges once more', async () => {
    const tokens = await signedIn()
    const read = () => call(gateway, tokens.access_token, 'notes_read_page', { page: 'home' })
    assert.match(JSON.stringify((await read()).body.result), /Welcome/)
    const [made] = await exchanges(started)
    await ask(started.config, 'authorizations.revoke', { id: made }, undefined)
    started.clock.advance({ seconds: 15 })
    assert.match(JSON.stringify((await read()).body.result), /Welcome/)
    assert.notEqual((await exchanges(started))[0], made)
  })
})

test('an outage is 503 with Retry-After, never a refusal: of the authorization server, and of a server behind', async (t) => {
  const all = await startWithServers(t)
  const { started, gateway, servers } = all
  await runGateway(t, all, ...onTheMachine, '--cache-seconds', '3600')
  const { alice } = started
  const { access_token } = await alice.signIn(await alice.register(), { resource: gateway, scope: 'tools:call' })
  const whoami = async (server: string) => {
    const { status, retryAfter, challenge, body } = await call(gateway, access_token, `${server}_whoami`)
    return status === 503 ? [status, retryAfter, challenge, body.error] : status
  }
  assert.equal(await whoami('wiki'), 200)
  await started.close()
  const away = [503, '5', '', 'temporarily_unavailable']
  assert.deepEqual(await whoami('notes'), away, 'it cannot exchange')
  assert.equal(await whoami('wiki'), 200, 'it has a token for the wiki, which checks signatures itself')
  await started.restart()
  assert.equal(await whoami('notes'), 200)

  await servers[0]?.close()
  assert.deepEqual(await whoami('wiki'), away)
  assert.equal(await whoami('notes'), 200)
})
