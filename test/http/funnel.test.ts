/** What comes from the public internet, through Tailscale Funnel: refused, but for a client that a grant lets in. tailscaled says so in a header, which it alone sets. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { Agent } from 'undici'
import { ask } from '../../src/cli/ask.ts'
import { compile, runTests } from '../../src/policy/index.ts'
import { decisionOf } from '../support/answers.ts'
import { changedPolicy, grafanaCallback, policyClient } from '../support/example_policy.ts'
import { personBy } from '../support/person.ts'
import { start } from '../support/start.ts'

const withFunnel = (...src: string[]) =>
  changedPolicy(({ grants }) => {
    if (src.length > 0) grants.push({ src, app: { funnel: [{}] } })
  })

/** A daemon, the clients of its policy, and whoever asks it from the public internet. */
async function withInternet(t: TestContext, policy: string) {
  const started = await start(t, { policy })
  const agent = new Agent({ localAddress: '127.0.0.2' })
  t.after(() => agent.destroy())
  const funnelled = agent.compose((dispatch) => (options, handler) => {
    return dispatch({ ...options, headers: { ...(options.headers as Record<string, string>), 'tailscale-funnel-request': '?1' } }, handler)
  })
  const internet = personBy(
    funnelled,
    started.issuer,
    '127.0.0.2',
    ({ port, pathname, search }) => `http://127.0.0.1:${port}${pathname}${search}`,
  )
  const [grafana, wikiServer] = [policyClient(started, 'grafana', grafanaCallback), policyClient(started, 'wiki-server')]
  return { started, alice: started.alice, internet, grafana, wikiServer }
}

const sentence = /This request came from the public internet through Funnel/

test('Funnel is refused at every address, whoever asks: a client with a good secret and a good token too', async (t) => {
  const { started, alice, internet, grafana } = await withInternet(t, withFunnel())
  const { access_token } = await alice.signIn(grafana, { scope: 'openid offline_access' })
  const authorization = `Basic ${Buffer.from(`client:grafana:${grafana.client_secret}`).toString('base64')}`
  const form = { token: access_token, grant_type: 'refresh_token', refresh_token: 'x' }
  const paths = ['/', '/jwks', '/.well-known/openid-configuration', '/authorize', '/healthz', '/readyz', '/metrics', '/nothing']
  for (const path of paths) {
    const answer = await internet.send(path)
    assert.equal(answer.status, 403, path)
    assert.match(answer.text, sentence, path)
  }
  for (const path of ['/token', '/introspect', '/revoke', '/consent', '/end_session'])
    assert.equal((await internet.send(path, { form, headers: { authorization } })).status, 403, path)
  assert.equal((await internet.send('/register', { json: { redirect_uris: ['http://127.0.0.1:9/'] } })).status, 403)
  assert.equal((await internet.send('/userinfo', { headers: { authorization: `Bearer ${access_token}` } })).status, 403)
  assert.equal((await started.alice.introspect(grafana, access_token)).active, true)
})

test('a grant lets a client come through Funnel: it redeems, refreshes, asks, introspects and revokes; people and registration stay outside', async (t) => {
  const { alice, internet, grafana } = await withInternet(t, withFunnel('client:grafana'))
  assert.equal((await internet.send('/.well-known/openid-configuration')).status, 200)
  assert.equal((await internet.send('/jwks')).status, 200)
  const { code, code_verifier } = await alice.code(grafana, { scope: 'openid offline_access' })
  const redeem = { grant_type: 'authorization_code', code, code_verifier, redirect_uri: grafanaCallback }
  const tokens = await internet.token(grafana, redeem)
  const { access_token } = await internet.refresh(grafana, tokens)
  assert.equal((await internet.send('/userinfo', { headers: { authorization: `Bearer ${access_token}` } })).status, 200)
  assert.equal((await internet.introspect(grafana, access_token)).active, true)
  const authorization = `Basic ${Buffer.from(`client:grafana:${grafana.client_secret}`).toString('base64')}`
  assert.equal((await internet.send('/revoke', { form: { token: access_token }, headers: { authorization } })).status, 200)
  assert.equal((await alice.introspect(grafana, access_token)).active, false)

  for (const path of ['/', '/authorize', '/healthz', '/metrics']) assert.equal((await internet.send(path)).status, 403, path)
  await assert.rejects(internet.register(), { status: 403 })
})

test('through Funnel another client is refused with a decision id, also with the token of one that may; a tagged machine is nobody there', async (t) => {
  const { started, alice, internet, grafana, wikiServer } = await withInternet(t, withFunnel('client:wiki-server'))
  const tokens = await alice.signIn(grafana, { scope: 'openid offline_access' })
  const refused = /client:grafana may not come from the public internet, through Funnel\. Ask an admin, and mention decision /
  await assert.rejects(internet.refresh(grafana, tokens), { status: 403, error: 'access_denied', message: refused })
  const userinfo = await internet.send('/userinfo', { headers: { authorization: `Bearer ${tokens.access_token}` } })
  assert.equal(userinfo.status, 403)
  assert.match(userinfo.text, refused)
  await assert.rejects(internet.token({ client_id: 'client:gateway', redirect_uri: '' }, { grant_type: 'client_credentials' }), {
    status: 401,
    error: 'invalid_client',
    message: sentence,
  })
  assert.equal((await internet.introspect(wikiServer, tokens.access_token)).active, false, 'not its own, so it sees nothing')
  assert.ok((await alice.refresh(grafana, tokens)).access_token, 'over the mesh it goes on')
  const { decisions } = (await ask(started.config, 'decisions.list', { outcome: 'denied' }, undefined)) as {
    decisions: Record<string, unknown>[]
  }
  const row = decisions.find(({ id }) => id === decisionOf(userinfo.text))
  assert.deepEqual([row?.entry, row?.client_id], ['funnel', 'client:grafana'])
})

test('a grant for Funnel ends at its date, and so does what everybody may see there', async (t) => {
  const expires = new Date(Date.now() + 10 * 86_400_000).toISOString()
  const policy = changedPolicy(({ grants }) => void grants.push({ src: ['client:grafana'], app: { funnel: [{}] }, expires } as never))
  const { started, internet } = await withInternet(t, policy)
  assert.equal((await internet.send('/jwks')).status, 200)
  started.clock.advance({ days: 11 })
  assert.equal((await internet.send('/jwks')).status, 403)
})

test('docs/tailscale.md: its policy for Funnel is one, and its test passes', () => {
  const page = readFileSync(new URL('../../docs/tailscale.md', import.meta.url), 'utf8')
  const [, text = ''] = /^### Funnel\n[\s\S]*?^```jsonc\n([\s\S]*?)^```$/m.exec(page) ?? []
  const compiled = compile(text)
  assert.ok(compiled.ok, text)
  assert.deepEqual([...compiled.policy.warnings, ...runTests(compiled.policy)], [])
})
