/** What a SPIFFE workload does with being known: tokens of its own, and tokens that it gets on behalf of people. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asserted, jwtSpiffe } from '../support/assertion.ts'
import { changedPolicy, wiki } from '../support/example_policy.ts'
import { claimsIn, tokenExchange, tokenType } from '../support/exchange.ts'
import { startHttpsSite } from '../support/https_site.ts'
import { start } from '../support/start.ts'
import { assertRefused, post } from '../support/token_request.ts'
import { startTrustDomain } from '../support/trust_domain.ts'

const path = '/ns/ci/sa/builder'
const spiffe_id = `spiffe://example.org${path}`
const notes = 'http://localhost:8491/mcp'

test('RFC 6749 §4.4: a workload that nobody registered gets tokens of its own, decided by its SPIFFE ID now and at each look at them', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const policyWith = (src: string) =>
    changedPolicy(({ grants }) => {
      grants.push({ src: [src], dst: ['resource:wiki'], app: { client_credentials: [{ scopes: ['wiki:read'] }] } })
      grants.push({ src: ['spiffe://example.org/wiki'], dst: ['resource:wiki'], app: { introspect: [{}] } })
    })
  const config = { spiffe: { trust_domains: { 'example.org': td.source } } }
  const started = await start(t, { policy: policyWith('spiffe://example.org/ns/*/sa/builder'), config })
  const { alice, issuer, clock, setPolicy, daemon } = started
  const by = (who: string) => asserted(td.svid(who, { aud: issuer, exp: clock.now() + 300 }), jwtSpiffe)
  const ask = (who: string, more: Record<string, string> = {}) =>
    post(alice, { grant_type: 'client_credentials', ...wiki, ...by(who), ...more })

  const answer = await ask(path)
  assert.equal(answer.status, 200, answer.text)
  const { access_token, scope, refresh_token } = answer.json()
  assert.deepEqual([scope, refresh_token], ['wiki:read', undefined])
  assertRefused(await ask('/ns/ci/sa/builder-evil'), 'unauthorized_client')
  assertRefused(await ask(path, { client_id: 'spiffe://example.org/ns/x/sa/builder' }), 'invalid_client', 401)

  const look = async (who: string) => (await alice.send('/introspect', { form: { token: String(access_token), ...by(who) } })).json()
  for (const who of [path, '/wiki']) {
    const { active, sub, client_id } = await look(who)
    assert.deepEqual({ active, sub, client_id }, { active: true, sub: spiffe_id, client_id: spiffe_id }, who)
  }
  assert.deepEqual(await look('/other'), { active: false })
  const [row] = await daemon.deps.store.engine.all<{ client_id: string; question: string }>(
    "SELECT client_id, question FROM decisions WHERE entry = 'client_credentials' AND outcome = 'allowed' LIMIT 1",
    {},
  )
  assert.equal(row?.client_id, spiffe_id)
  assert.equal(JSON.parse(String(row?.question)).client.spiffe_id, spiffe_id)

  assert.equal(setPolicy(policyWith('spiffe://example.org/ns/*/sa/deployer')).ok, true)
  assert.deepEqual(await look('/wiki'), { active: false })
})

test('RFC 8693: a workload acts for a person where an edge of the policy names its SPIFFE ID, and only there', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const policy = changedPolicy(({ grants, resources }) => {
    resources['resource:notes'] = { ...resources['resource:notes'], token_format: 'jwt' }
    grants.push({
      src: ['alice@example.com'],
      dst: ['resource:notes'],
      app: {
        exchange: [
          {
            actors: ['spiffe://example.org/ns/*/sa/builder'],
            from: ['resource:wiki'],
            scopes: { 'notes:read': ['wiki:read'] },
            beyond_subject: true,
          },
        ],
      },
    })
  })
  const { alice, issuer, clock } = await start(t, { policy, config: { spiffe: { trust_domains: { 'example.org': td.source } } } })
  const { access_token } = await alice.signIn(await alice.register(), wiki)
  const exchange = (who: string) =>
    post(alice, {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: access_token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource: notes,
      scope: 'notes:read',
      ...asserted(td.svid(who, { aud: issuer, exp: clock.now() + 300 }), jwtSpiffe),
    })
  const answer = await exchange(path)
  assert.equal(answer.status, 200, answer.text)
  const { sub, act, aud, client_id } = JSON.parse(
    Buffer.from(String(answer.json().access_token).split('.')[1] ?? '', 'base64url').toString(),
  )
  assert.deepEqual({ sub, act: act.sub, aud, client_id }, { sub: 'userid:101', act: spiffe_id, aud: notes, client_id: spiffe_id })
  assert.equal((await exchange('/ns/ci/sa/other')).status, 400)
})

test('RFC 6749 §6: where an edge gives a refresh token, a workload refreshes too, by its SVID; one whose document does not say so gets none', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const ownGrants = ['client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange']
  const documents = {
    silent: { grant_types: undefined, gives: true },
    whole: { grant_types: [...ownGrants, 'refresh_token'], gives: true },
    less: { grant_types: ownGrants, gives: false },
  }
  const site = await startHttpsSite(t, (request, response) => {
    const { grant_types } = documents[String(request.url).slice(1) as keyof typeof documents]
    const body = {
      client_id: `${site.origin}${request.url}`,
      client_name: 'Workloads',
      spiffe_id: 'spiffe://example.org/client/*',
      grant_types,
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  const policy = changedPolicy(({ clients, grants, resources }) => {
    resources['resource:notes'] = { ...resources['resource:notes'], token_format: 'jwt' }
    for (const name of Object.keys(documents)) clients[`client:${name}`] = { client_id: `${site.origin}/${name}` }
    const actors = [spiffe_id, ...Object.keys(documents).map((name) => `client:${name}`)]
    const edge = { actors, from: ['resource:wiki'], scopes: { 'notes:read': ['wiki:read'] }, refresh_token: true }
    grants.push({ src: ['alice@example.com'], dst: ['resource:notes'], app: { exchange: [edge] } })
  })
  const { alice, issuer, clock } = await start(t, {
    policy,
    config: { spiffe: { trust_domains: { 'example.org': td.source } } },
    fetch: { ca: site.cert, lookup: async () => ['127.0.0.1'] },
  })
  const { access_token } = await alice.signIn(await alice.register(), wiki)
  const by = (who: string) => asserted(td.svid(who, { aud: issuer, exp: clock.now() + 300 }), jwtSpiffe)
  const exchange = async (who: Record<string, string>) => {
    const form = { subject_token: access_token, subject_token_type: tokenType('access_token'), resource: notes, ...who }
    const answer = await post(alice, { grant_type: tokenExchange, ...form })
    assert.equal(answer.status, 200, answer.text)
    return answer.json()
  }
  const { refresh_token, expires_in } = await exchange(by(path))
  assert.equal(expires_in, 300)
  clock.advance({ seconds: 200 })
  const refresh = (who: string) => post(alice, { grant_type: 'refresh_token', refresh_token: String(refresh_token), ...by(who) })
  assertRefused(await refresh('/ns/ci/sa/other'), 'invalid_grant')
  const later = await refresh(path)
  assert.equal(later.status, 200, later.text)
  assert.deepEqual([later.json().expires_in, claimsIn(String(later.json().access_token)).act], [300, { sub: spiffe_id }])

  for (const [name, { gives }] of Object.entries(documents)) {
    const answer = await exchange({ client_id: `${site.origin}/${name}`, ...by('/client/1') })
    assert.equal('refresh_token' in answer, gives, name)
  }
})
