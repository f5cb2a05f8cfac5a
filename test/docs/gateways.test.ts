/** docs/gateways.md, for those who build on it: its policy, its table of claims and its table of errors are compared with what comes of them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { compile, runTests } from '../../src/policy/index.ts'
import { policyClient, wiki } from '../support/example_policy.ts'
import { atWiki, claimsIn, edge, exchange, exchanged, gatewayResource, tokenType, withGateway } from '../support/exchange.ts'
import { type Started, start } from '../support/start.ts'
import { changeMesh } from '../support/token_request.ts'

const document = readFileSync(new URL('../../docs/gateways.md', import.meta.url), 'utf8')

/** The rows of the table below this heading, without its head. */
function tableBelow(heading: string): string[][] {
  const [, section = ''] = document.split(`\n## ${heading}\n`)
  const rows = (/^\|[\s\S]*?(?=\n\n)/m.exec(section)?.[0] ?? '').split('\n').slice(2)
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

const notes = 'http://localhost:8491/mcp'
const onwards = { actors: ['client:second'], from: ['resource:wiki'], scopes: { 'notes:read': ['wiki:read'] }, max_depth: 2 }

/** A second gateway goes on from the wiki to the notes; the first may hide; tokens for it say who may act. */
const policy = (...edges: Record<string, unknown>[]) =>
  withGateway(
    ({ resources, clients, grants }) => {
      Object.assign(resources['resource:gateway'] ?? {}, { may_act: 'client:gateway' })
      delete resources['resource:notes']?.token_format
      clients['client:second'] = { client_secret_file: 'second' }
      grants.push({ src: ['group:eng'], dst: ['resource:notes'], app: { exchange: [onwards] } })
      grants.push({ src: ['client:agent'], dst: ['resource:wiki'], app: { client_credentials: [{ scopes: ['wiki:read'] }] } })
    },
    ...edges,
  )

/** One token of each column, from left to right. */
async function oneOfEach(started: Started) {
  const { alice, ci } = started
  const [gateway, second] = [policyClient(started, 'gateway'), policyClient(started, 'second')]
  const software = await alice.register()
  const signIn = (await alice.signIn(software, gatewayResource)).access_token
  const own = (await ci.token(policyClient(started, 'agent'), { grant_type: 'client_credentials', ...gatewayResource })).access_token
  const once = (await exchanged(ci, gateway, { subject_token: signIn, resource: wiki.resource })).access_token
  const twice = (await exchanged(ci, second, { subject_token: once, resource: notes })).access_token
  const hidden = (await exchanged(ci, gateway, { subject_token: signIn, resource: wiki.resource, impersonate: 'true' })).access_token
  const actor = { actor_token: own, actor_token_type: tokenType('access_token') }
  const withActor = (await exchanged(ci, gateway, { subject_token: signIn, resource: wiki.resource, ...actor })).access_token
  return { software, tokens: [signIn, own, once, twice, hidden, withActor] }
}

test('docs/gateways.md: its policy compiles, and its tests hold', () => {
  const [, text = ''] = /^```jsonc\n([\s\S]*?)^```$/m.exec(document) ?? []
  const compiled = compile(text)
  assert.ok(compiled.ok, JSON.stringify(compiled))
  assert.deepEqual([...compiled.policy.warnings, ...runTests(compiled.policy)], [])
})

test('docs/gateways.md: RFC 8693 §4, RFC 9068 §2.2: each claim stands in the tokens that the table says, with the value that it shows', async (t) => {
  const started = await start(t, { policy: policy({ ...edge, actors: ['client:gateway', 'client:agent'], impersonate: true }) })
  const { software, tokens } = await oneOfEach(started)
  const all = tokens.map(claimsIn)
  const rows = tableBelow('What the claims say')
  for (const [name = '', ...cells] of rows) {
    const claim = name.replaceAll('`', '')
    assert.equal(cells.length, all.length)
    for (const [at, cell] of cells.entries()) {
      const value = all[at]?.[claim]
      const where = `${claim} of column ${at + 1}`
      assert.equal(value === undefined, cell.startsWith('–'), `${where}: ${JSON.stringify(value)}`)
      const [, shown] = /^`([^`]+)`/.exec(cell) ?? []
      if (shown) assert.equal(typeof value === 'string' ? value : JSON.stringify(value), shown, where)
    }
  }
  const listed = new Set(rows.map(([name = '']) => name.replaceAll('`', '')))
  for (const claims of all)
    assert.deepEqual(
      Object.keys(claims)
        .filter((name) => !listed.has(name))
        .sort(),
      ['iat', 'iss'],
    )

  const [signIn = {}, own = {}, once = {}, twice = {}] = all
  assert.equal(signIn.client_id, software.client_id)
  assert.equal(Number(own.exp) - Number(own.iat), 300)
  assert.equal(new Set(all.map(({ sid }) => sid)).size, all.length)
  for (const { sid, jti } of all) assert.ok(String(jti).startsWith(`${sid}.`))
  for (const claims of [once, twice]) assert.deepEqual([claims.auth_time, claims.exp], [signIn.auth_time, signIn.exp])
  const { active, username, token_type, ...introspected } = await atWiki(started, String(tokens[2]))
  const { sid: _, ...inToken } = once
  assert.deepEqual([active, username, token_type], [true, 'alice@example.com', 'Bearer'])
  assert.deepEqual(introspected, inToken)
})

test('docs/gateways.md: RFC 8693 §2.2.2: each refusal is as the table says', async (t) => {
  const started = await start(t, { policy: policy() })
  const { alice, ci, setPolicy } = started
  const gateway = policyClient(started, 'gateway')
  const agent = await alice.register()
  const { access_token: subject_token } = await alice.signIn(agent, gatewayResource)
  const form = { subject_token, resource: wiki.resource }
  const { access_token: once } = await exchanged(ci, gateway, form)
  const deeper = { subject_token: once, resource: notes }
  const shallow = policy().replace('"max_depth":2', '"max_depth":1')
  const withPolicy = async (text: string, ask: () => ReturnType<typeof exchange>) => {
    assert.ok(setPolicy(text).ok)
    const answer = await ask()
    assert.ok(setPolicy(policy()).ok)
    return answer
  }
  /** What the row begins with → requests that come to it. */
  const requests: Record<string, (() => ReturnType<typeof exchange>)[]> = {
    '`subject_token` is no': [
      () => exchange(ci, gateway, { ...form, subject_token: `${subject_token}x` }),
      () => exchange(ci, gateway, { ...form, subject_token_type: tokenType('id_token') }),
    ],
    'no edge': [
      () => withPolicy(policy({ ...edge, actors: ['client:other'] }), () => exchange(ci, gateway, form)),
      () =>
        withPolicy(policy({ ...edge, from: ['resource:notes'], scopes: { 'wiki:read': ['notes:read'] } }), () =>
          exchange(ci, gateway, form),
        ),
      () => withPolicy(shallow, () => exchange(ci, policyClient(started, 'second'), deeper)),
    ],
    'an `actor_token`': [
      async () => {
        const own = { grant_type: 'client_credentials', resource: wiki.resource, scope: 'wiki:read' }
        const { access_token: actor_token } = await ci.token(policyClient(started, 'agent'), own)
        const both = policy({ ...edge, actors: ['client:gateway', 'client:agent'] })
        return withPolicy(both, () => exchange(ci, gateway, { ...form, actor_token, actor_token_type: tokenType('access_token') }))
      },
    ],
    '`impersonate`': [() => exchange(ci, gateway, { ...form, impersonate: 'true' })],
    'the token in your hands says by `may_act`': [() => exchange(ci, policyClient(started, 'other'), form)],
    'no target': [
      () => exchange(ci, gateway, { subject_token }),
      () => exchange(ci, gateway, { subject_token, resource: [wiki.resource, notes] }),
      () => exchange(ci, gateway, { subject_token, resource: 'https://elsewhere.example' }),
    ],
    'a scope': [
      () => exchange(ci, gateway, { ...form, scope: 'wiki:write' }),
      () => exchange(ci, gateway, { ...form, scope: 'wiki:read wiki:write' }),
    ],
    'the client is public': [() => exchange(alice, agent, form)],
    'the client is not proven': [() => exchange(ci, { ...gateway, client_secret: 'another one that is long enough' }, form)],
    'the mesh cannot': [
      async () => {
        await changeMesh(started, { state: 'Stopped' })
        const answer = await exchange(ci, gateway, form)
        await changeMesh(started, { state: 'Running' })
        return answer
      },
    ],
  }
  for (const [what = '', status, error] of tableBelow('Errors')) {
    const begins = Object.keys(requests).find((begin) => what.startsWith(begin))
    assert.ok(begins, what)
    for (const [at, request] of (requests[begins] ?? []).entries()) {
      const answer = await request()
      assert.deepEqual([String(answer.status), `\`${answer.json().error}\``], [status, error], `${what}, ${at + 1}: ${answer.text}`)
    }
    delete requests[begins]
  }
  assert.deepEqual(Object.keys(requests), [])
  assert.equal((await exchange(ci, gateway, form)).status, 200)
})

test('docs/gateways.md: with refresh_token the gateway goes on after the token that it was shown, and not after the sign-in', async (t) => {
  const started = await start(t, { policy: policy({ ...edge, refresh_token: true }) })
  const { alice, ci, clock } = started
  const gateway = policyClient(started, 'gateway')
  const agent = await alice.register()
  const signedIn = await alice.signIn(agent, gatewayResource)
  const first = await exchanged(ci, gateway, { subject_token: signedIn.access_token, resource: wiki.resource })
  clock.advance({ minutes: 10 })
  const second = await ci.refresh(gateway, first)
  assert.deepEqual(claimsIn(second.access_token).act, { sub: 'client:gateway' })
  assert.equal((await atWiki(started, second.access_token)).active, true)
  await alice.send('/revoke', { form: { client_id: agent.client_id, token: String(signedIn.refresh_token) } })
  assert.equal((await atWiki(started, second.access_token)).active, false)
  await assert.rejects(ci.refresh(gateway, second), { error: 'invalid_grant' })
})
