import assert from 'node:assert/strict'
import { chmodSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Agent, request } from 'undici'
import { createRegistry } from '../../src/observe/instruments.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import { changedPolicy, wiki } from '../support/example_policy.ts'
import { install } from '../support/program.ts'
import { freePort, type Started, start, temporaryDirectory } from '../support/start.ts'

const withAdmin = changedPolicy(({ grants }) => {
  grants.push({ src: ['carol@example.com'], app: { admin: [{ access: 'read' }] } })
})

/** The text of Prometheus → value by name with labels, as it is written. Fails where a line is none of its grammar, or a sample has no type. */
function parsed(text: string): Map<string, number> {
  const samples = new Map<string, number>()
  const types = new Map<string, string>()
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const [, name = '', type = ''] = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram)$/.exec(line) ?? []
    if (name) types.set(name, type)
    if (line.startsWith('#')) {
      assert.match(line, /^# (?:HELP [a-zA-Z_:][\w:]* \S.*|TYPE .*)$/)
      continue
    }
    const [, metric = '', labels = '', value = ''] =
      /^([a-zA-Z_:][\w:]*)((?:\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\n"])*",?)+\})?) (-?[\d.e+-]+|NaN)$/.exec(line) ?? []
    assert.ok(metric, `not a line of the format: ${line}`)
    assert.ok(types.has(metric) || types.get(metric.replace(/_(?:bucket|sum|count)$/, '')) === 'histogram', `no type: ${line}`)
    assert.equal(samples.has(metric + labels), false, `twice: ${metric}${labels}`)
    samples.set(metric + labels, Number(value))
  }
  return samples
}

const metricsOf = async ({ daemon }: Started) => parsed(await daemon.deps.metrics.registry.text())

test('requests are counted by endpoint and outcome, decisions as they are recorded, tokens as they are issued, and what took how long', async (t) => {
  const started = await start(t)
  const { alice, mallory } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, { ...wiki, scope: 'wiki:read openid offline_access' })
  await alice.refresh(client, tokens)
  for (let n = 0; n < 3; n++) await mallory.send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'] } })
  await alice.send('/token', { form: { grant_type: 'refresh_token', refresh_token: 'mir_x', client_id: client.client_id } })
  for (const path of ['/one', '/two?x=y', `/register/${client.client_id}/no`]) await alice.send(path)
  const samples = await metricsOf(started)
  const value = (name: string) => samples.get(name)
  assert.equal(value('meshidp_requests_total{endpoint="/token",outcome="ok"}'), 2)
  assert.equal(value('meshidp_requests_total{endpoint="/token",outcome="invalid_grant"}'), 1)
  assert.equal(value('meshidp_requests_total{endpoint="/register",outcome="access_denied"}'), 3)
  assert.equal(value('meshidp_requests_total{endpoint="none",outcome="not_found"}'), 3, 'no stranger makes a series')
  assert.equal(value('meshidp_decisions_total{entry="register",outcome="denied",reason="no_grant"}'), 3, 'also those that are one row')
  assert.equal(value('meshidp_decisions_total{entry="register",outcome="allowed",reason=""}'), 1)
  assert.equal(value('meshidp_decisions_total{entry="refresh_token",outcome="allowed",reason=""}'), 1)
  assert.equal(value('meshidp_tokens_issued_total{kind="access_token"}'), 2)
  assert.ok((value('meshidp_tokens_issued_total{kind="id_token"}') ?? 0) >= 1)
  assert.equal(value('meshidp_request_seconds_count{endpoint="/token"}'), 3)
  assert.equal(value('meshidp_request_seconds_bucket{le="+Inf",endpoint="/token"}'), 3)
  assert.ok((value('meshidp_request_phase_seconds_count{phase="sign"}') ?? 0) >= 2)
  assert.ok((value('meshidp_whois_seconds_count{outcome="found"}') ?? 0) > 0)
  assert.ok((value('meshidp_commit_seconds_count{outcome="ok"}') ?? 0) > 0)
})

test('how things stand: mesh, policy and its file, keys, database, readiness', async (t) => {
  const started = await start(t)
  const { daemon, setPolicy } = started
  const { hash } = daemon.deps.policyState()
  const before = await metricsOf(started)
  assert.equal(before.get(`meshidp_policy_info{hash="${hash}",source="start"}`), 1)
  assert.equal(before.get('meshidp_policy_problem'), 0)
  assert.equal(before.get('meshidp_ready'), 1)
  assert.equal(before.get('meshidp_trouble{name="store"}'), 0)
  assert.equal(before.get('meshidp_mesh_info{strategy="tun",state="Running"}'), 1)
  assert.ok((before.get('meshidp_database_bytes') ?? 0) > 10_000)
  assert.equal(
    [...before.keys()].filter((name) => name.startsWith('meshidp_key_signs_from_timestamp_seconds{')).length,
    daemon.deps.keys.list().length,
  )
  assert.equal(
    [...before.keys()].some((name) => name.startsWith('meshidp_certificate_')),
    false,
    'plain http has none',
  )
  setPolicy('{ "grants": [{}] }')
  const after = await metricsOf(started)
  assert.deepEqual([after.get('meshidp_policy_problem'), after.get('meshidp_ready')], [1, 0])
})

test("a state directory that others can enter is what the doctor finds, so the daemon is not ready; strangers read no more than the check's name [threats 514]", async (t) => {
  const started = await start(t)
  chmodSync(started.config.state_directory, 0o755)
  const { status, text, json } = await started.alice.send('/readyz')
  assert.deepEqual([status, json().doctor], [503, ['state_directory']])
  assert.equal(text.includes(started.config.state_directory), false)
  chmodSync(started.config.state_directory, 0o700)
})

test('in the mesh the metrics are for admins of the policy, and for machines with a tag of the configuration; others are told why not', async (t) => {
  const started = await start(t, { policy: withAdmin, config: { metrics: { tags: ['tag:ci'] } } })
  const { carol, ci, mallory } = started
  for (const person of [carol, ci]) {
    const { status, text, headers } = await person.send('/metrics')
    assert.equal(status, 200, text)
    assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
    assert.ok(parsed(text).size > 30)
  }
  const refused = await mallory.send('/metrics')
  assert.equal(refused.status, 403)
  const row = await started.daemon.deps.store.decisions.find(String(refused.json().decision_id))
  assert.deepEqual([row?.entry, row?.outcome, row?.principal], ['admin', 'denied', 'mallory@other.com'])
  const without = await start(t, { policy: withAdmin })
  assert.equal((await without.ci.send('/metrics')).status, 403)
})

test('with a listener of their own the metrics are there and nowhere else, and nothing else is there; no other name leads there [threats 511]', async (t) => {
  const port = await freePort()
  const started = await start(t, { policy: withAdmin, config: { metrics: { listen: `127.0.0.1:${port}` } } })
  const at = (path: string, host = `127.0.0.1:${port}`, method: 'GET' | 'POST' = 'GET') =>
    request(`http://127.0.0.1:${port}${path}`, { method, headers: { host } })
  const answer = await at('/metrics')
  assert.equal(answer.statusCode, 200)
  assert.ok(parsed(await answer.body.text()).has('meshidp_ready'))
  for (const path of ['/', '/healthz', '/token', '/jwks', '/.well-known/openid-configuration', '/metrics/', '/metrics?x'])
    assert.equal((await at(path)).statusCode, 404, path)
  assert.equal((await at('/metrics', 'attacker.example')).statusCode, 421)
  assert.equal((await at('/metrics', undefined, 'POST')).statusCode, 405)
  assert.equal((await started.carol.send('/metrics')).status, 404)
})

test('the listener of the metrics may be a unix socket, for nobody but the user of the daemon', async (t) => {
  const listen = join(temporaryDirectory(t), 'metrics.sock')
  await start(t, { config: { metrics: { listen } } })
  assert.equal(statSync(listen).mode & 0o777, 0o600)
  const dispatcher = new Agent({ connect: { socketPath: listen } })
  t.after(() => dispatcher.destroy())
  assert.equal((await request('http://metrics/metrics', { dispatcher })).statusCode, 200)
})

test('the daemon as a process tells its memory and processor time, too', async (t) => {
  const port = await freePort()
  const { serve } = await install(t, { config: { metrics: { listen: `127.0.0.1:${port}` } } })
  await serve()
  const samples = parsed(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
  assert.ok((samples.get('process_resident_memory_bytes') ?? 0) > 10_000_000)
  assert.ok((samples.get('process_cpu_seconds_total') ?? 0) > 0)
  assert.ok(Math.abs((samples.get('process_start_time_seconds') ?? 0) - Date.now() / 1000) < 120)
})

test('the text format: labels are escaped, buckets add up, and a gauge that cannot be read is left out', async () => {
  const { counter, histogram, gauge, text } = createRegistry()
  counter('a_total', 'A\\B', ['x', 'y']).add(2, 'a"b\\c\nd', '')
  const seconds = histogram('b_seconds', 'b')
  for (const value of [0.0002, 0.0002, 0.3, 100]) seconds.observe(value)
  gauge('c', 'c', [], () => Promise.reject(new Error('no')))
  const all = await text()
  assert.match(all, /^# HELP a_total A\\\\B\n# TYPE a_total counter\na_total\{x="a\\"b\\\\c\\nd",y=""\} 2$/m)
  const samples = parsed(all)
  assert.deepEqual(
    ['0.0001', '0.00025', '0.25', '0.5', '5', '+Inf'].map((le) => samples.get(`b_seconds_bucket{le="${le}"}`)),
    [0, 2, 2, 3, 3, 4],
  )
  assert.equal(samples.get('b_seconds_count'), 4)
  assert.equal(all.includes('\nc '), false)
})

test('docs/alerts.yaml: each rule asks of metrics and labels that there are, and says what to do', async (t) => {
  const text = readFileSync(new URL('../../docs/alerts.yaml', import.meta.url), 'utf8')
  const { daemon } = await start(t)
  const names = new Set([...createMetrics().registry.names(), ...daemon.deps.metrics.registry.names()])
  const rules = text.split(/^ {6}- alert: /m).slice(1)
  assert.ok(rules.length >= 10)
  for (const rule of rules) {
    const [, expression = ''] = /^ {8}expr: (.*)$/m.exec(rule) ?? []
    const asked = [...expression.matchAll(/\b(?:meshidp|process)_\w+/g)].map(([name]) => name.replace(/_(?:bucket|sum|count)$/, ''))
    assert.ok(asked.length > 0, rule)
    for (const name of asked) assert.ok(names.has(name), `${name} is no metric`)
    assert.match(rule, /^ {10}summary: ".*\."$/m)
    assert.match(rule, /^ {10}description: ".*\."$/m)
  }
})
