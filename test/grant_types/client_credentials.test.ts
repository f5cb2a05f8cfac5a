import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runAction } from '../../src/admin/actions.ts'
import { changedPolicy, policyClient, wiki } from '../support/example_policy.ts'
import { claimsIn } from '../support/exchange.ts'
import { start } from '../support/start.ts'
import { assertRefused, changeMesh } from '../support/token_request.ts'

/** A workload with a secret, and one that is proven by its machine's tag; the wiki's server looks at their tokens. */
const policy = changedPolicy(({ clients, grants }) => {
  clients['client:reporter'] = { client_secret_file: 'reporter' }
  clients['client:ci'] = { node: ['tag:ci'] }
  clients['client:ci-too'] = { node: ['tag:ci'] }
  grants.push({ src: ['client:reporter'], dst: ['resource:wiki'], app: { client_credentials: [{ scopes: ['wiki:read'] }] } })
})

const grant_type = 'client_credentials'

test('RFC 6749 §4.4: a workload gets a token of its own, whose subject is the client itself (RFC 9068 §2.2), and no refresh token', async (t) => {
  const started = await start(t, { policy })
  const { ci, issuer, clock } = started
  const { client_id, client_secret } = policyClient(started, 'reporter')
  const answer = await ci.send('/token', { form: { grant_type, client_id, client_secret, ...wiki } })
  assert.equal(answer.headers['cache-control'], 'no-store')
  const { access_token, ...rest } = answer.json()
  assert.deepEqual(rest, { token_type: 'Bearer', expires_in: 300, scope: 'wiki:read' })
  const { jti, sid, ...claims } = claimsIn(String(access_token))
  const now = clock.now()
  assert.deepEqual(claims, { iss: issuer, exp: now + 300, aud: wiki.resource, sub: client_id, iat: now, client_id, scope: 'wiki:read' })
  assert.equal(String(jti).split('.')[0], sid)

  const seen = await ci.introspect(policyClient(started, 'wiki-server'), String(access_token))
  assert.deepEqual([seen.active, seen.sub, seen.username, seen.scope], [true, client_id, undefined, 'wiki:read'])
  const [decision] = await started.daemon.deps.store.decisions.page({ since: 0, before: null, limit: 1 })
  assert.deepEqual(
    [decision?.entry, decision?.outcome, decision?.client_id, decision?.granted, decision?.authorization_id],
    [grant_type, 'allowed', client_id, 'wiki:read', sid],
  )
})

test('RFC 6749 §4.4: a tagged machine is the credential; its token is worth what today’s tag and today’s policy give (RFC 7662 §2.2)', async (t) => {
  const started = await start(t, { policy })
  const { ci, alice, setPolicy } = started
  const form = { grant_type, client_id: 'client:ci', ...wiki }
  const token = String((await ci.send('/token', { form })).json().access_token)
  const ask = async () => (await alice.introspect(policyClient(started, 'wiki-server'), token)).active
  assert.equal(await ask(), true)

  await t.test('not from another machine, and not in a browser of that machine', async () => {
    assertRefused(await alice.send('/token', { form }), 'invalid_client', 401)
    const page = await ci.send('/token', { form, headers: { origin: 'https://evil.example' } })
    assert.deepEqual([page.status, page.json().error], [403, 'forbidden'])
  })
  await t.test('a machine without the tag has no token any more, and is well again with it', async () => {
    await changeMesh(started, { machines: { 'ci-runner': { tags: ['tag:else'] } } })
    assert.equal(await ask(), false)
    await changeMesh(started, { machines: { 'ci-runner': { tags: ['tag:ci'] } } })
    assert.equal(await ask(), true)
  })
  await t.test('nor where the policy has no grant for it any more', async () => {
    assert.ok(setPolicy(policy.replace('"client_credentials":[{"scopes":["wiki:read"],"access_token_ttl":"10m"}]', '"introspect":[{}]')).ok)
    assert.equal(await ask(), false)
    assert.ok(setPolicy(policy).ok)
  })
  await t.test('while the mesh is dark: 503, and nothing is said of the token', async () => {
    await changeMesh(started, { state: 'Stopped' })
    const { client_id, client_secret } = policyClient(started, 'wiki-server')
    const dark = await alice.send('/introspect', { form: { client_id, client_secret, token } })
    assert.deepEqual([dark.status, dark.json().error], [503, 'temporarily_unavailable'])
    assert.equal((await ci.send('/token', { form })).status, 503)
  })
})

test('RFC 6749 §5.2: what the policy does not give is refused whole, each with its own error and a decision', async (t) => {
  const started = await start(t, { policy })
  const { ci, alice } = started
  const { client_id, client_secret } = policyClient(started, 'reporter')
  const ask = (more: Record<string, string | string[]>) =>
    ci.send('/token', { form: { grant_type, client_id, client_secret, ...wiki, ...more } })
  assertRefused(await ask({ scope: 'wiki:read wiki:write' }), 'invalid_scope')
  assertRefused(await ask({ scope: 'wiki:write' }), 'invalid_scope')
  assertRefused(await ask({ scope: 'openid' }), 'invalid_scope')
  assertRefused(await ask({ resource: 'http://localhost:8490/mcp-evil' }), 'invalid_target')
  assertRefused(await ask({ resource: [wiki.resource, 'http://localhost:8491/mcp'] }), 'invalid_target')
  assertRefused(await ask({ resource: '' }), 'invalid_target')
  assertRefused(await ask({ resource: 'http://localhost:8491/mcp', scope: '' }), 'unauthorized_client')
  assert.equal((await ask({ scope: '' })).json().scope, 'wiki:read', 'RFC 6749 §3.3: nothing asked is all that the policy gives')
  assert.equal((await ask({ resource: '', audience: 'resource:wiki' })).status, 200)

  const open = await alice.register()
  assertRefused(await alice.send('/token', { form: { grant_type, client_id: open.client_id, ...wiki } }), 'unauthorized_client')
})

test('RFC 7009 §2: a workload revokes its own token; an admin ends all that it came from', async (t) => {
  const started = await start(t, { policy })
  const { ci } = started
  const { client_id, client_secret } = policyClient(started, 'reporter')
  const own = { client_id, client_secret }
  const token = async () => String((await ci.send('/token', { form: { grant_type, ...own, ...wiki } })).json().access_token)
  const [one, two] = [await token(), await token()]
  assert.equal((await ci.send('/revoke', { form: { ...own, token: one } })).status, 200)
  const active = async (text: string) => (await ci.introspect(policyClient(started, 'wiki-server'), text)).active
  assert.deepEqual([await active(one), await active(two)], [false, true])
})

test('meshidp authorizations list: what workloads get for themselves hides nobody’s sign-in; it is there where it is asked for', async (t) => {
  const started = await start(t, { policy })
  const { ci, alice, daemon } = started
  const reporter = policyClient(started, 'reporter')
  await alice.signIn(await alice.register(), wiki)
  for (let at = 0; at < 3; at++) await ci.token(reporter, { grant_type, ...wiki })
  const listed = async (filter: object = {}) => {
    const { authorizations } = (await runAction(daemon.deps, 'authorizations.list', filter)) as { authorizations: { login: string }[] }
    return authorizations.map(({ login }) => login)
  }
  const three = Array(3).fill(reporter.client_id)
  assert.deepEqual(await listed(), ['alice@example.com'])
  assert.deepEqual([await listed({ client_id: reporter.client_id }), await listed({ login: reporter.client_id })], [three, three])
})
