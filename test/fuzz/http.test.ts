/**
 * Requests that nobody would send, over HTTP: never a 500, never a stack, never a row left behind. `npm test` sends a few thousand; `npm run test:fuzz` 100,000.
 * FUZZ_REQUESTS and FUZZ_SEED repeat a run.
 */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { counts } from '../support/answers.ts'
import { grafanaCallback, policyClient, wiki, withRegistration } from '../support/example_policy.ts'
import type { Answer, Person, Sent } from '../support/person.ts'
import { challengeOf, formText } from '../support/person.ts'
import { start } from '../support/start.ts'

const requests = Number(process.env.FUZZ_REQUESTS ?? 2000)
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))
const atOnce = 16
const unlimited = { rate: 1e9, burst: 1e9 }

type Parameters = Record<string, string>
type Shot = { path: string; sent: Sent }

/** Text that has broken somebody's parser. */
const nasty = fc.oneof(
  fc.constantFrom(
    ...[
      '',
      ' ',
      '\0',
      '%',
      '%00',
      '%zz',
      '\r\nX: y',
      '"><script>',
      "'; DROP TABLE clients;--",
      '__proto__',
      'constructor',
      '../../etc/passwd',
      '\u202e',
      'null',
    ],
    ...[
      '[object Object]',
      '{}',
      '[]',
      '-1',
      '1e400',
      'NaN',
      '9'.repeat(400),
      'x'.repeat(5000),
      'https://evil.example/',
      'javascript:alert(1)',
      'openid '.repeat(200),
    ],
  ),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ maxLength: 200 }),
  fc.webUrl({ withQueryParameters: true, withFragments: true }),
)

/** A form in which some of what was right is changed, doubled, dropped, or joined by something else. */
const mutated = (good: Parameters) =>
  fc
    .array(
      fc.record({
        name: fc.oneof(fc.constantFrom(...Object.keys(good)), nasty),
        value: nasty,
        how: fc.constantFrom('set', 'drop', 'double', 'append'),
      }),
      { maxLength: 4 },
    )
    .map((changes) => {
      const pairs = Object.entries(good)
      for (const { name, value, how } of changes) {
        const at = pairs.findIndex(([known]) => known === name)
        if (how === 'drop' && at >= 0) pairs.splice(at, 1)
        else if (how === 'set' && at >= 0) pairs[at] = [name, value]
        else if (how === 'double' && at >= 0) pairs.push(pairs[at] as [string, string])
        else pairs.push([name, value])
      }
      return pairs
        .map(([name, value]) => `${encodeURIComponent(name.toWellFormed())}=${encodeURIComponent(value.toWellFormed())}`)
        .join('&')
    })

/** Bytes of a form that no encoder would write. */
const broken = fc.oneof(
  fc.string({ maxLength: 300 }),
  fc.constantFrom(
    '%',
    'a=%ff',
    'a=%c0%af',
    'a=b&&&&=',
    '='.repeat(5000),
    Array.from({ length: 300 }, (_, n) => `p${n}=1`).join('&'),
    `a=${'x'.repeat(70_000)}`,
    'a[b]=1&a[]=2',
  ),
)

const json = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc.dictionary(
    fc.oneof(
      fc.constantFrom(
        'redirect_uris',
        'client_name',
        'grant_types',
        'scope',
        'jwks',
        'contacts',
        '__proto__',
        'token_endpoint_auth_method',
        'post_logout_redirect_uris',
      ),
      nasty,
    ),
    fc.oneof(nasty, fc.jsonValue({ maxDepth: 3 }), fc.array(nasty, { maxLength: 5 })),
    { maxKeys: 8 },
  ),
)

const headerValue = fc.string({ maxLength: 80 }).map((text) => text.replaceAll(/[^\x20-\x7e]/g, '~').trim())
const headers = fc.dictionary(
  fc.constantFrom(
    'authorization',
    'accept',
    'origin',
    'cookie',
    'sec-fetch-site',
    'sec-fetch-mode',
    'if-none-match',
    'x-forwarded-for',
    'x-http-method-override',
    'mcp-protocol-version',
  ),
  fc.oneof(
    headerValue,
    fc.constantFrom(
      'Basic',
      'Basic YTpi',
      'Bearer',
      'Bearer x y',
      'null',
      'text/html',
      'navigate',
      'cross-site',
      `meshidp=${'x'.repeat(9000)}`,
    ),
  ),
  { maxKeys: 3 },
)

const paths = [
  '/authorize',
  '/consent',
  '/token',
  '/introspect',
  '/revoke',
  '/userinfo',
  '/end_session',
  '/register',
  '/register/x',
  '/jwks',
  '/',
  '/healthz',
  '/readyz',
  '/.well-known/openid-configuration',
]

/** All requests that this fuzzer knows to spoil; what they are made of is right. */
function shots(right: Record<'authorize' | 'redeem' | 'refresh' | 'inspect' | 'answer' | 'logout', Parameters>, basic: string) {
  const form = (path: string, good: Parameters, more: Record<string, string> = {}) =>
    fc.tuple(fc.oneof({ weight: 4, arbitrary: mutated(good) }, broken), headers).map(
      ([body, other]): Shot => ({
        path,
        sent: { method: 'POST', raw: body, headers: { 'content-type': 'application/x-www-form-urlencoded', ...more, ...other } },
      }),
    )
  return fc.oneof(
    fc
      .tuple(mutated(right.authorize), headers)
      .map(([query, other]): Shot => ({ path: `/authorize?${query.slice(0, 12_000)}`, sent: { headers: other } })),
    form('/authorize', right.authorize),
    form('/token', right.redeem, { authorization: basic }),
    form('/token', right.refresh, { authorization: basic }),
    form('/introspect', right.inspect, { authorization: basic }),
    form('/revoke', right.inspect),
    form('/consent', right.answer, { 'sec-fetch-site': 'same-origin' }),
    form('/end_session', right.logout),
    fc.tuple(json, headers).map(([value, other]): Shot => ({ path: '/register', sent: { json: value, headers: other } })),
    fc
      .tuple(broken, fc.constantFrom('application/json', 'text/plain', 'application/json; charset=utf-7', 'multipart/form-data'))
      .map(([raw, type]): Shot => ({ path: '/register', sent: { method: 'POST', raw, headers: { 'content-type': type } } })),
    fc
      .tuple(fc.constantFrom(...paths), fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'), headers)
      .map(([path, method, other]): Shot => ({ path, sent: { method, headers: other } })),
    fc.tuple(fc.constantFrom(...paths), fc.string({ maxLength: 40 })).map(
      ([path, tail]): Shot => ({
        path: `${path}/${encodeURIComponent(tail.toWellFormed())}?${encodeURIComponent(tail.toWellFormed())}`,
        sent: {},
      }),
    ),
  )
}

/** What a client sends that speaks no HTTP, or only half of it. */
const rawShots = (host: string) =>
  fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.constantFrom(
      `GET / HTTP/1.1\r\nHost: ${host}\r\nHost: evil\r\n\r\n`,
      `POST /token HTTP/1.0\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na=b`,
      `GET / HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n`,
      `POST /token HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      `POST /token HTTP/1.1\r\nHost: ${host}\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc`,
      'GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n',
      `TRACE / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    ),
  )

function spoken(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.end(text, 'latin1'))
    socket.setTimeout(2000, () => socket.destroy())
    socket.setEncoding('latin1').on('data', (more) => {
      answer += more
    })
    socket.on('error', () => undefined).on('close', () => resolve(answer))
  })
}

/** Never inside of us: no failure that nobody foresaw, no stack, no file, no SQL. */
function assertHarmless({ status, text }: Pick<Answer, 'status' | 'text'>, what: unknown): void {
  const about = () => `${status} ${text.slice(0, 500)} ← ${JSON.stringify(what).slice(0, 1500)} (FUZZ_SEED=${seed})`
  assert.ok(status < 500 || status === 501, about()) // 501 (RFC 9110 §15.6.2): a method that no address has
  assert.doesNotMatch(text, /\n\s+at |node:internal|\.ts:\d|SQLITE|SELECT |INSERT INTO|\/src\//, about())
}

test(`CWE-20: ${requests} requests that nobody would send are refused in words, leave nothing behind, and the daemon goes on [threats 419, 421, 422, 425, 427, 428, 430, 431, 433, 439, 440]`, {
  timeout: 1_200_000,
}, async (t) => {
  const started = await start(t, {
    policy: withRegistration({ max_clients: 1_000_000 }),
    config: { limits: { per_address: unlimited, per_principal: unlimited, connecting: unlimited } },
  })
  const { alice, mallory, daemon, issuer, logged } = started
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const client = await alice.register()
  const tokens = await alice.signIn(grafana, { scope: 'openid offline_access' })
  const { code, code_verifier } = await alice.code(grafana, { scope: 'openid' })
  await alice.authorize(client, wiki)
  const arbitrary = shots(
    {
      authorize: {
        response_type: 'code',
        client_id: grafana.client_id,
        redirect_uri: grafanaCallback,
        scope: 'openid',
        state: 's',
        code_challenge: challengeOf(code_verifier),
        code_challenge_method: 'S256',
        nonce: 'n',
        prompt: 'none',
        claims: '{"userinfo":{"email":null}}',
        response_mode: 'form_post',
        max_age: '99999',
        acr_values: 'x',
        id_token_hint: tokens.id_token ?? '',
      },
      redeem: { grant_type: 'authorization_code', code: `${code}x`, code_verifier, redirect_uri: grafanaCallback },
      refresh: { grant_type: 'refresh_token', refresh_token: `${tokens.refresh_token}x`, scope: 'openid' },
      inspect: { token: tokens.access_token, token_type_hint: 'access_token' },
      answer: { ticket: 'mit_x', decision: 'approve' },
      logout: {
        id_token_hint: `${tokens.id_token}x`,
        client_id: grafana.client_id,
        state: 's',
        post_logout_redirect_uri: 'https://x.example/',
      },
    },
    `Basic ${Buffer.from(`${encodeURIComponent(grafana.client_id)}:${grafana.client_secret}`).toString('base64')}`,
  )
  const raw = rawShots(new URL(issuer).host)
  const port = Number(new URL(issuer).port)
  const before = await counts(started)
  const grants = { authorizations: 0, clients: 0, tickets: 0 }

  // mallory may do nothing here, so whatever is written in her name is a row too many; alice may, so hers are counted by what was answered.
  async function shoot(who: Person, { path, sent }: Shot): Promise<void> {
    const answer = await who.send(path, sent)
    assertHarmless(answer, { path, sent })
    if (answer.status === 201) grants.clients++
    if (answer.text.includes('name="ticket"')) grants.tickets++
    const location = String(answer.headers.location ?? '')
    if (/[?&]code=mic_/.test(location) || /name="code" value="mic_/.test(answer.text)) grants.authorizations++
  }
  for (let done = 0; done < requests; done += 1000) {
    const many = Math.min(1000, requests - done)
    const batch = fc.sample(arbitrary, { numRuns: many, seed: seed + done })
    const lanes = Array.from({ length: atOnce }, async (_, lane) => {
      for (let at = lane; at < batch.length; at += atOnce) await shoot(at % 3 === 0 ? mallory : alice, batch[at] as Shot)
    })
    await Promise.all(lanes)
    for (const text of fc.sample(raw, { numRuns: many / 50, seed: seed + done })) {
      const answer = await spoken(port, text)
      assertHarmless({ status: Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0), text: answer }, text)
    }
    if (done % 10_000 === 9000) t.diagnostic(`${done + many} of ${requests} requests, seed ${seed}`)
  }

  const after = await counts(started)
  assert.deepEqual(
    [
      after.authorizations - before.authorizations,
      after.codes - before.codes,
      after.clients - before.clients,
      after.refresh_tokens,
      after.tickets - before.tickets,
    ],
    [grants.authorizations, grants.authorizations, grants.clients, before.refresh_tokens, grants.tickets],
    `rows that nobody was told of (FUZZ_SEED=${seed})`,
  )
  assert.deepEqual(logged.filter(({ level }) => level === 'error').slice(0, 3), [], `FUZZ_SEED=${seed}`)
  t.diagnostic(`${JSON.stringify(grants)} were rightly made; seed ${seed}`)
  assert.equal((await alice.introspect(grafana, tokens.access_token)).active, true)
  assert.equal(daemon.deps.identity.status().running, true)
  assert.equal((Object.prototype as Record<string, unknown>).polluted, undefined)
  assert.equal((await mallory.send(`/authorize?${formText({ client_id: client.client_id })}`)).status, 400)
})
