import assert from 'node:assert/strict'
import { test } from 'node:test'
import { policyClient, wiki, withRegistration } from '../support/example_policy.ts'
import { ticketOf } from '../support/person.ts'
import { install, secretOf } from '../support/program.ts'
import { assertNoSecretIn, noteSecret, secretsSeen } from '../support/secrets_seen.ts'
import { type LogLine, type Started, start } from '../support/start.ts'

/** The lines of requests since `from`, without what differs from run to run. */
const linesOf = ({ logged }: Started, from = 0): LogLine[] => logged.slice(from).filter(({ fields }) => fields.us !== undefined)

/** Apart: the microseconds of a line, and all else. */
function split({ fields }: LogLine): { times: Record<string, number>; facts: Record<string, unknown> } {
  const isTime = ([name]: [string, unknown]) => /^us(?:_|$)/.test(name)
  const all = Object.entries(fields)
  return {
    times: Object.fromEntries(all.filter(isTime)) as Record<string, number>,
    facts: Object.fromEntries(all.filter((one) => !isTime(one))),
  }
}

test('each request is one line: who, what, which decision, what came of it, and microseconds by phase', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const { code, code_verifier } = await alice.code(client, wiki)
  const from = started.logged.length
  const tokens = await alice.token(client, { grant_type: 'authorization_code', code, code_verifier, redirect_uri: client.redirect_uri })
  const [line, ...more] = linesOf(started, from)
  assert.ok(line && more.length === 0)
  const { times, facts: all } = split(line)
  const { request_id, decision_id, ...facts } = all as { request_id: string; decision_id: string }
  assert.deepEqual([line.level, line.message], ['info', 'POST /token 200'])
  assert.deepEqual(facts, { method: 'POST', endpoint: '/token', status: 200, principal: 'alice@example.com', client_id: client.client_id })
  assert.match(request_id, /^[0-9a-f]{10}-\w+$/)
  const row = await started.daemon.deps.store.decisions.find(decision_id)
  assert.deepEqual([row?.entry, row?.outcome], ['authorization_code', 'allowed'])
  assert.deepEqual(Object.keys(times).sort(), ['us', 'us_policy', 'us_sign', 'us_store', 'us_whois'])
  assert.ok(Object.values(times).every((value) => Number.isInteger(value) && value >= 0))
  assert.ok((times.us ?? 0) >= (times.us_store ?? 0), 'what it waited for is a part of the whole')
  assert.ok(tokens.access_token)
})

test('a refused request is one line too, with the sentence that goes out and the decision', async (t) => {
  const started = await start(t)
  const { mallory } = started
  const { status, json } = await mallory.send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'] } })
  assert.equal(status, 403)
  const [line, ...more] = started.logged.filter(({ fields }) => fields.request_id === json().request_id)
  assert.ok(line && more.length === 0)
  assert.equal(line.message, json().error_description)
  const { request_id: _, ...facts } = split(line).facts
  assert.deepEqual(facts, {
    method: 'POST',
    endpoint: '/register',
    status: 403,
    principal: 'mallory@other.com',
    decision_id: json().decision_id,
    error: 'access_denied',
  })
})

test('what goes back to the client as an error of the authorization endpoint is one line of level info', async (t) => {
  const started = await start(t)
  const { carol } = started
  const from = started.logged.length
  const answer = await carol.authorize(policyClient(started, 'grafana', 'http://localhost:8490/login/generic_oauth'), {
    scope: 'openid',
    prompt: 'none',
    max_age: '0',
  })
  const error = answer.location().get('error')
  assert.ok(error, answer.text)
  assert.deepEqual(
    linesOf(started, from).map(({ level, fields }) => [level, fields.endpoint, fields.status, fields.error]),
    [['info', '/authorize', answer.status, error]],
  )
})

test('what is answered from memory makes no line, unless it is refused; nor does what is not there escape', async (t) => {
  const started = await start(t)
  const { alice } = started
  const from = started.logged.length
  for (const path of ['/.well-known/openid-configuration', '/jwks', '/healthz', '/readyz'])
    assert.equal((await alice.send(path)).status, 200)
  assert.deepEqual(linesOf(started, from), [])
  await alice.send('/jwks', { method: 'DELETE' })
  await alice.send('/no/such/thing?token=x')
  assert.deepEqual(
    linesOf(started, from).map(({ fields }) => [fields.endpoint, fields.status, fields.error]),
    [
      ['/jwks', 405, 'method_not_allowed'],
      ['none', 404, 'not_found'],
    ],
  )
})

test('the process itself writes JSON, a line each, and no secret of a whole run, at the level that tells most [threats 448]', async (t) => {
  const { serve, at, issuer } = await install(t, { policy: withRegistration({ confidential: true }), config: { log_level: 'debug' } })
  const running = await serve()
  const alice = at('127.0.0.2')
  const client = await alice.register({ token_endpoint_auth_method: 'client_secret_basic' })
  const page = await alice.authorize(client, { ...wiki, prompt: 'consent', scope: 'wiki:read openid offline_access' })
  noteSecret(ticketOf(page))
  await alice.answer(page, 'deny')
  const first = await alice.signIn(client, { ...wiki, scope: 'wiki:read openid offline_access' })
  const second = await alice.refresh(client, first)
  await alice.introspect({ client_id: 'client:wiki-server', client_secret: secretOf('wiki-server'), redirect_uri: '' }, second.access_token)
  await alice.send('/userinfo', { headers: { authorization: `Bearer ${second.access_token}` } })
  await alice.send(`/authorize?code=${second.refresh_token}&id_token_hint=${second.id_token}`, { headers: { accept: 'text/html' } })
  await alice.send(`/register/${second.refresh_token}`, { headers: { authorization: `Bearer ${client.registration_access_token}` } })
  await alice.send('/token', {
    form: { grant_type: 'refresh_token', refresh_token: `${first.refresh_token}`, client_id: client.client_id },
  })
  await alice.send('/revoke', { form: { token: `${second.refresh_token}`, client_id: client.client_id } })
  const { stdout } = await running.end()
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.ok(lines.filter(({ us }) => us).length >= 10)
  assert.ok(lines.some(({ principal, endpoint }) => principal === 'alice@example.com' && endpoint === '/token'))
  assert.ok(secretsSeen() > 10, 'secrets were noted')
  assertNoSecretIn(stdout)
  assert.throws(() => assertNoSecretIn(`{"token":"${second.refresh_token}"}`), /a secret is in the log/)
  assert.ok(issuer)
})
