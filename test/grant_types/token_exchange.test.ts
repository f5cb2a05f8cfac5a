import assert from 'node:assert/strict'
import { test } from 'node:test'
import { trace } from '../../src/admin/trace.ts'
import { traceAsText } from '../../src/cli/trace.ts'
import { policyClient, wiki } from '../support/example_policy.ts'
import { atWiki, claimsIn, edge, exchange, exchanged, gatewayResource, tokenType, withGateway } from '../support/exchange.ts'
import type { Tokens } from '../support/person.ts'
import { start } from '../support/start.ts'
import { assertRefused, changeMesh } from '../support/token_request.ts'

test('RFC 8693 §2.2.1, §4.1: a gateway swaps its caller’s token for one for the next hop, which says for whom it speaks and who acts', async (t) => {
  const started = await start(t, { policy: withGateway() })
  const { alice, ci, issuer, clock } = started
  const agent = await alice.register()
  const tokens = await alice.signIn(agent, gatewayResource)
  clock.advance({ seconds: 100 })
  const { access_token, ...answer } = await exchanged(ci, policyClient(started, 'gateway'), {
    subject_token: tokens.access_token,
    resource: wiki.resource,
  })
  assert.deepEqual(answer, { issued_token_type: tokenType('access_token'), token_type: 'Bearer', expires_in: 200, scope: 'wiki:read' })
  const { jti, sid, ...claims } = claimsIn(access_token)
  const before = claimsIn(tokens.access_token)
  assert.notEqual(sid, before.sid)
  assert.deepEqual(claims, {
    iss: issuer,
    exp: before.exp,
    aud: wiki.resource,
    sub: 'userid:101',
    iat: clock.now(),
    client_id: 'client:gateway',
    scope: 'wiki:read',
    auth_time: before.auth_time,
    act: { sub: 'client:gateway' },
  })
  const seen = await atWiki(started, access_token)
  assert.deepEqual([seen.active, seen.username, seen.client_id], [true, 'alice@example.com', 'client:gateway'])
  assert.deepEqual(seen.act, { sub: 'client:gateway' })
})

test('RFC 8693 §2.2.2: a subject_token that is none of ours, has ended, or is of another type than said, is invalid_request [threats 247, 248]', async (t) => {
  const started = await start(t, { policy: withGateway() })
  const { alice, ci, clock } = started
  const agent = await alice.register()
  const { access_token, refresh_token, id_token } = await alice.signIn(agent, { ...gatewayResource, scope: 'openid tools:call' })
  const gateway = policyClient(started, 'gateway')
  const ask = (subject_token: string, more: Record<string, string> = {}) =>
    exchange(ci, gateway, { subject_token, resource: wiki.resource, ...more })
  const [head, body, signature] = access_token.split('.')
  const foreign = { ...claimsIn(access_token), iss: 'https://elsewhere.example' }
  const texts = {
    truncated: access_token.slice(0, -2),
    'without signature': `${head}.${body}.`,
    'another payload': `${head}.${Buffer.from(JSON.stringify(foreign)).toString('base64url')}.${signature}`,
    'a refresh token': String(refresh_token),
    'an ID token': String(id_token),
    nonsense: 'x',
    'a long text': 'x'.repeat(20_000),
  }
  for (const [why, text] of Object.entries(texts)) {
    const answer = await ask(text)
    assert.equal(answer.json().error, 'invalid_request', `${why}: ${answer.text}`)
  }
  assertRefused(await ask(access_token, { subject_token_type: tokenType('id_token') }), 'invalid_request')
  assertRefused(await ask(access_token, { subject_token_type: tokenType('refresh_token') }), 'invalid_request')
  assertRefused(await ask(access_token, { subject_token_type: tokenType('saml2') }), 'invalid_request')
  assertRefused(await ask(access_token, { subject_token_type: '' }), 'invalid_request')
  assertRefused(await ask(''), 'invalid_request')
  assert.equal((await ask(access_token, { subject_token_type: tokenType('jwt') })).status, 200)

  await t.test('an opaque token is one too, but no "jwt"', async () => {
    const opaque = withGateway(({ resources }) => void Object.assign(resources['resource:gateway'] ?? {}, { token_format: 'opaque' }))
    assert.ok(started.setPolicy(opaque).ok)
    const token = (await alice.signIn(agent, gatewayResource)).access_token
    assert.match(token, /^mio_/)
    assert.equal((await ask(token)).status, 200)
    assertRefused(await ask(token, { subject_token_type: tokenType('jwt') }), 'invalid_request')
    assert.ok(started.setPolicy(withGateway()).ok)
  })
  await t.test('when it has been revoked, and when it has expired', async () => {
    const other = await alice.signIn(agent, gatewayResource)
    await alice.send('/revoke', { form: { client_id: agent.client_id, token: other.access_token } })
    assertRefused(await ask(other.access_token), 'invalid_request')
    assert.equal((await ask(access_token)).status, 200)
    clock.advance({ seconds: 300 })
    assertRefused(await ask(access_token), 'invalid_request')
  })
})

test('RFC 8693 §2.2.2, RFC 8707 §2: only a resource of the policy is a target, by its whole name, and one a time [threats 250, 265, 266]', async (t) => {
  const started = await start(t, { policy: withGateway() })
  const { alice, ci } = started
  const { access_token } = await alice.signIn(await alice.register(), gatewayResource)
  const ask = (target: Record<string, string | string[]>) =>
    exchange(ci, policyClient(started, 'gateway'), { subject_token: access_token, ...target })
  const uris = [
    'https://api.internal/admin',
    `${wiki.resource}-evil`,
    `${wiki.resource}/..`,
    `${wiki.resource}/../mcp`,
    wiki.resource.toUpperCase(),
  ]
  for (const uri of [
    ...uris,
    'http://localhost:8490/MCP',
    'http://LOCALHOST:8490/mcp',
    `${wiki.resource}?x`,
    `${wiki.resource}#x`,
    `${wiki.resource}//`,
  ])
    for (const name of ['resource', 'audience']) assert.equal((await ask({ [name]: uri })).json().error, 'invalid_target', `${name} ${uri}`)
  assertRefused(await ask({ resource: [wiki.resource, 'https://api.internal/admin'] }), 'invalid_target')
  assertRefused(await ask({ resource: wiki.resource, audience: 'resource:notes' }), 'invalid_target')
  assertRefused(await ask({ audience: ['resource:wiki', 'resource:notes'] }), 'invalid_target')
  assertRefused(await ask({}), 'invalid_target')
  assert.equal((await ask({ resource: wiki.resource, audience: 'resource:wiki' })).status, 200)
  assert.equal((await ask({ audience: ['resource:wiki', wiki.resource] })).status, 200)
  assert.equal((await ask({ resource: `${wiki.resource}/` })).status, 200, 'a slash at the end makes no other resource')
})

test('RFC 8693 §5: scope is never more than the held scopes lead to, nor than the person may, unless the edge says so [threats 251]', async (t) => {
  const started = await start(t, {
    policy: withGateway(() => {}, { ...edge, scopes: { 'wiki:read': ['tools:list'], 'wiki:write': ['tools:call', 'tools:list'] } }),
  })
  const { alice, ci, setPolicy } = started
  const agent = await alice.register()
  const { access_token: subject_token } = await alice.signIn(agent, gatewayResource)
  const ask = (scope: string) => exchange(ci, policyClient(started, 'gateway'), { subject_token, resource: wiki.resource, scope })
  assertRefused(await ask('wiki:read'), 'invalid_scope')
  assertRefused(await ask('wiki:write wiki:read'), 'invalid_scope')
  assertRefused(await ask('openid'), 'invalid_scope')
  assert.equal((await ask('')).json().scope, 'wiki:write', 'nothing asked is what the edge gives')

  const lessFor = (beyond_subject: boolean) =>
    withGateway(
      ({ grants }) => {
        for (const { dst, app } of grants)
          if (dst?.includes('resource:wiki') && app.authorize) app.authorize = [{ scopes: ['wiki:read', 'notes:read'], clients: ['*'] }]
      },
      { ...edge, scopes: { 'wiki:write': ['tools:call'] }, beyond_subject },
    )
  assert.ok(setPolicy(lessFor(false)).ok)
  assertRefused(await ask('wiki:write'), 'invalid_scope')
  assert.ok(setPolicy(lessFor(true)).ok)
  assert.equal((await ask('wiki:write')).json().scope, 'wiki:write')
})

test('A request of which the policy gives only a part gets nothing, and a decision tells why (RFC 6749 §5.2)', async (t) => {
  const started = await start(t, { policy: withGateway() })
  const { alice, ci, daemon } = started
  const { access_token: subject_token } = await alice.signIn(await alice.register(), gatewayResource)
  const gateway = policyClient(started, 'gateway')
  const agent = policyClient(started, 'agent')
  const own = {
    grant_type: 'client_credentials',
    client_id: agent.client_id,
    client_secret: String(agent.client_secret),
    ...gatewayResource,
  }
  const answers = [
    await exchange(ci, gateway, { subject_token, resource: wiki.resource, scope: 'wiki:read wiki:write' }),
    await ci.send('/token', { form: { ...own, scope: 'tools:call tools:list' } }),
  ]
  for (const answer of answers) {
    assertRefused(answer, 'invalid_scope')
    const row = await daemon.deps.store.decisions.find(String(answer.json().decision_id))
    assert.deepEqual([row?.outcome, row?.reason], ['denied', 'scope'])
  }
})

test('RFC 6749 §3.3: what can be no scope is refused before anything is asked about it [threats 52]', async (t) => {
  const started = await start(t, { policy: withGateway() })
  const { alice, ci, daemon } = started
  const { access_token: subject_token } = await alice.signIn(await alice.register(), gatewayResource)
  const before = await daemon.deps.store.decisions.page({ since: 0, before: null, limit: 100 })
  const odd = ['wiki:read\twiki:write', '"wiki:read"', 'wiki:read\u0001', 'wïki', 'x'.repeat(4097), 'a '.repeat(101)]
  for (const scope of [...odd, Array.from({ length: 101 }, (_, at) => `s${at}`).join(' ')]) {
    if (scope.startsWith('a ')) continue
    const answer = await exchange(ci, policyClient(started, 'gateway'), { subject_token, resource: wiki.resource, scope })
    assertRefused(answer, 'invalid_scope')
    assert.ok(answer.text.length < 500, answer.text)
  }
  assert.equal((await daemon.deps.store.decisions.page({ since: 0, before: null, limit: 100 })).length, before.length)
})

test('RFC 8693 §5: only a client that proves itself exchanges, and only one that the edge names [threats 254, 259]', async (t) => {
  const started = await start(t, { policy: withGateway() })
  const { alice, ci } = started
  const agent = await alice.register()
  const { access_token: subject_token } = await alice.signIn(agent, gatewayResource)
  const form = { subject_token, resource: wiki.resource }
  assertRefused(await exchange(alice, agent, form), 'unauthorized_client')
  assertRefused(
    await exchange(ci, { ...policyClient(started, 'gateway'), client_secret: 'a wrong secret of length' }, form),
    'invalid_client',
    401,
  )
  for (const name of ['other', 'wiki-server', 'gateway-server']) {
    const answer = await exchange(ci, policyClient(started, name), form)
    assertRefused(answer, 'invalid_request')
    assert.match(String(answer.json().error_description), new RegExp(`client:${name} may not act for alice@example.com at resource:wiki`))
  }

  await t.test('an actor_token of another client does not make it one that the edge names, nor its bearer', async () => {
    const own = policyClient(started, 'agent')
    const actor_token = String(
      (
        await ci.send('/token', {
          form: { grant_type: 'client_credentials', client_id: own.client_id, client_secret: own.client_secret, ...gatewayResource },
        })
      ).json().access_token,
    )
    const actor = { actor_token, actor_token_type: tokenType('access_token') }
    assertRefused(await exchange(ci, policyClient(started, 'gateway'), { ...form, ...actor }), 'invalid_request')
    assertRefused(await exchange(ci, policyClient(started, 'other'), { ...form, ...actor }), 'invalid_request')
    assertRefused(await exchange(ci, policyClient(started, 'gateway'), { ...form, actor_token }), 'invalid_request')
    assertRefused(
      await exchange(ci, policyClient(started, 'gateway'), { ...form, ...actor, actor_token: subject_token }),
      'invalid_request',
    )
    assertRefused(
      await exchange(ci, policyClient(started, 'gateway'), { ...form, ...actor, actor_token_type: tokenType('jwt') }),
      'invalid_request',
    )

    const both = { ...edge, actors: ['client:gateway', 'client:agent'] }
    assert.ok(started.setPolicy(withGateway(() => {}, both)).ok)
    const { access_token } = await exchanged(ci, policyClient(started, 'gateway'), { ...form, ...actor })
    const claims = claimsIn(access_token)
    assert.deepEqual(
      [claims.client_id, claims.act, claims.sub],
      ['client:gateway', { sub: 'client:gateway', act: { sub: 'client:agent' } }, 'userid:101'],
    )
    assertRefused(await exchange(ci, policyClient(started, 'other'), { ...form, ...actor }), 'invalid_request')
    assert.equal((await atWiki(started, access_token)).active, true)
    assert.ok(started.setPolicy(withGateway()).ok)
    assert.equal((await atWiki(started, access_token)).active, false, 'the edge names the agent no more')
  })
})

test('RFC 8693 §1.1: who acts is always said, unless the edge lets it pass for the person and it asks to [threats 256]', async (t) => {
  const started = await start(t, { policy: withGateway() })
  const { alice, ci, setPolicy } = started
  const { access_token: subject_token } = await alice.signIn(await alice.register(), gatewayResource)
  const gateway = policyClient(started, 'gateway')
  const form = { subject_token, resource: wiki.resource }
  assertRefused(await exchange(ci, gateway, { ...form, impersonate: 'true' }), 'invalid_request')
  assert.ok(setPolicy(withGateway(() => {}, { ...edge, impersonate: true })).ok)
  assert.deepEqual(claimsIn((await exchanged(ci, gateway, form)).access_token).act, { sub: 'client:gateway' })
  const hidden = (await exchanged(ci, gateway, { ...form, impersonate: 'true' })).access_token
  assert.equal(claimsIn(hidden).act, undefined)
  assert.equal((await atWiki(started, hidden)).active, true)
  assert.ok(setPolicy(withGateway()).ok)
  assert.equal((await atWiki(started, hidden)).active, false)
})

test('RFC 8693 §2.1: no other type can be asked for than is there [threats 260]', async (t) => {
  const started = await start(t, { policy: withGateway() })
  const { alice, ci } = started
  const { access_token: subject_token } = await alice.signIn(await alice.register(), gatewayResource)
  const ask = (type: string) =>
    exchange(ci, policyClient(started, 'gateway'), { subject_token, resource: wiki.resource, requested_token_type: type })
  for (const name of ['refresh_token', 'id_token', 'saml2', 'jwt', 'id-jag']) assertRefused(await ask(tokenType(name)), 'invalid_request')
  assertRefused(await ask('access_token'), 'invalid_request')
  assert.equal((await ask(tokenType('access_token'))).status, 200)
})

test('Subject, edge and policy are those of today: at the exchange, and at every introspection after it (RFC 7662 §2.2) [threats 257]', async (t) => {
  const started = await start(t, { policy: withGateway() })
  const { alice, ci, setPolicy, clock } = started
  const agent = await alice.register()
  const gateway = policyClient(started, 'gateway')
  const first = (await alice.signIn(agent, gatewayResource)).access_token
  const ask = () => exchange(ci, gateway, { subject_token: first, resource: wiki.resource })
  const { access_token } = (await ask()).json() as { access_token: string }
  const alive = async () => (await atWiki(started, access_token)).active
  assert.equal(await alive(), true)

  const without: Record<string, string> = {
    'she left the group': withGateway(({ groups }) => void Object.assign(groups, { 'group:eng': ['bob@example.com'] })),
    'the edge is gone': withGateway(() => {}, { ...edge, actors: ['client:other'] }),
    'she may not use the gateway any more': withGateway(({ grants }) => {
      for (const grant of grants) if (grant.dst?.includes('resource:gateway') && grant.app.authorize) grant.src = ['bob@example.com']
    }),
    'she may not use the wiki any more': withGateway(({ grants }) => {
      for (const grant of grants) if (grant.dst?.includes('resource:wiki') && grant.app.authorize) grant.src = ['bob@example.com']
    }),
    'the gateway is gone': withGateway(({ clients, grants }) => {
      delete clients['client:gateway']
      for (const grant of grants) if (grant.app.exchange) grant.app.exchange = [{ ...edge, actors: ['client:other'] }]
    }),
  }
  for (const [why, policy] of Object.entries(without)) {
    assert.ok(setPolicy(policy).ok, why)
    assert.match(String((await ask()).json().error), /^invalid_(request|client)$/, why)
    assert.equal(await alive(), false, why)
  }
  assert.ok(setPolicy(withGateway()).ok)
  assert.equal(await alive(), true, 'a mistake undone heals')

  await t.test('while the mesh is dark it is 503, and nothing is made', async () => {
    await changeMesh(started, { state: 'Stopped' })
    const dark = await ask()
    assert.deepEqual([dark.status, dark.json().error], [503, 'temporarily_unavailable'])
    await changeMesh(started, { state: 'Running' })
    assert.equal((await ask()).status, 200)
  })
  await t.test('a person who is gone from the mesh takes it all along', async () => {
    await changeMesh(started, { machines: { 'alice-laptop': { removed: true }, 'alice-phone': { removed: true } } })
    assertRefused(await ask(), 'invalid_request')
    assert.equal(await alive(), false)
    clock.advance({ seconds: 1 })
  })
})

test('RFC 7009 §2.1: with what it came from, a token that was exchanged dies; its end ends nothing else', async (t) => {
  const started = await start(t, { policy: withGateway() })
  const { alice, ci } = started
  const agent = await alice.register()
  const gateway = policyClient(started, 'gateway')
  const tokens = await alice.signIn(agent, gatewayResource)
  const make = async (subject_token: string) => (await exchanged(ci, gateway, { subject_token, resource: wiki.resource })).access_token
  const active = async (token: string) => (await atWiki(started, token)).active
  const [one, two] = [await make(tokens.access_token), await make(tokens.access_token)]

  await ci.send('/revoke', { form: { client_id: gateway.client_id, client_secret: gateway.client_secret, token: one } })
  assert.deepEqual([await active(one), await active(two)], [false, true])

  const refreshed = await alice.refresh(agent, tokens)
  const three = await make(refreshed.access_token)
  await alice.send('/revoke', { form: { client_id: agent.client_id, token: tokens.access_token } })
  assert.deepEqual([await active(two), await active(three)], [false, true], 'of the access token, what it was exchanged for')

  await alice.send('/revoke', { form: { client_id: agent.client_id, token: String(refreshed.refresh_token) } })
  assert.equal(await active(three), false)
  assertRefused(await exchange(ci, gateway, { subject_token: refreshed.access_token, resource: wiki.resource }), 'invalid_request')
})

test('RFC 7009 §2.1: an access token that has expired is revoked all the same: what it was exchanged for ends', async (t) => {
  for (const token_format of ['jwt', 'opaque']) {
    const policy = withGateway(({ resources }) => void Object.assign(resources['resource:gateway'] ?? {}, { token_format }), {
      ...edge,
      refresh_token: true,
    })
    const started = await start(t, { policy })
    const { alice, ci, clock } = started
    const [agent, stranger] = [await alice.register(), await alice.register()]
    const gateway = policyClient(started, 'gateway')
    const { access_token: subject_token } = await alice.signIn(agent, gatewayResource)
    const swapped = await exchanged(ci, gateway, { subject_token, resource: wiki.resource })
    clock.advance({ seconds: 301 })
    const later = await ci.refresh(gateway, swapped)
    const revoke = (client_id: string, token: string) => alice.send('/revoke', { form: { client_id, token } })
    assert.equal((await revoke(stranger.client_id, subject_token)).status, 200)
    assert.equal((await revoke(agent.client_id, `${subject_token}x`)).status, 200)
    assert.equal((await atWiki(started, later.access_token)).active, true, token_format)
    assert.equal((await revoke(agent.client_id, subject_token)).status, 200)
    assert.equal((await atWiki(started, later.access_token)).active, false, token_format)
    await assert.rejects(ci.refresh(gateway, later), { error: 'invalid_grant' })
  }
})

test('RFC 8693 §2.1: an ID token is a subject_token for the client that it was issued to, and for nobody else', async (t) => {
  const portalEdge = { actors: ['client:grafana'], from: ['client:grafana'], scopes: { 'wiki:read': ['openid'] } }
  const started = await start(t, { policy: withGateway(() => {}, portalEdge, edge) })
  const { alice, ci, clock } = started
  const callback = 'http://localhost:3000/login/generic_oauth'
  const grafana = policyClient(started, 'grafana', callback)
  const { id_token, access_token } = await alice.signIn(grafana, { scope: 'openid email' })
  const form = { subject_token: String(id_token), subject_token_type: tokenType('id_token'), resource: wiki.resource }
  const { access_token: swapped } = await exchanged(ci, grafana, form)
  const claims = claimsIn(swapped)
  assert.deepEqual([claims.sub, claims.act, claims.aud], ['userid:101', { sub: 'client:grafana' }, wiki.resource])
  assert.equal((await atWiki(started, swapped)).active, true)
  assertRefused(await exchange(ci, policyClient(started, 'gateway'), form), 'invalid_request')

  await t.test('an access token for this server itself leads nowhere [threats 263]', async () => {
    assertRefused(await exchange(ci, grafana, { subject_token: access_token, resource: wiki.resource }), 'invalid_request')
  })
  await t.test('the sign-in ends, and so does it', async () => {
    const { sid } = claimsIn(String(id_token)) as { sid: string }
    const { runAction } = await import('../../src/admin/actions.ts')
    await runAction(started.daemon.deps, 'authorizations.revoke', { id: sid })
    assert.equal((await atWiki(started, swapped)).active, false)
    assertRefused(await exchange(ci, grafana, form), 'invalid_request')
  })
  clock.advance({ hours: 2 })
})

test('RFC 8693 §4.2: an ID token of a refresh for fewer scopes holds no more than those, whatever its sign-in has', async (t) => {
  const portalEdge = { actors: ['client:grafana'], from: ['client:grafana'], scopes: { 'wiki:read': ['email'], 'wiki:write': ['openid'] } }
  const started = await start(t, { policy: withGateway(() => {}, portalEdge) })
  const { alice, ci } = started
  const grafana = policyClient(started, 'grafana', 'http://localhost:3000/login/generic_oauth')
  const tokens = await alice.signIn(grafana, { scope: 'openid email offline_access' })
  const narrow = await ci.refresh(grafana, tokens, { scope: 'openid' })
  const whole = await ci.refresh(grafana, narrow)
  const ask = ({ id_token }: { id_token?: string }, scope: string) =>
    exchange(ci, grafana, {
      subject_token: String(id_token),
      subject_token_type: tokenType('id_token'),
      resource: wiki.resource,
      ...(scope && { scope }),
    })
  assert.equal(claimsIn(String(narrow.id_token)).scope, 'openid')
  for (const one of [tokens, whole]) {
    assert.equal(claimsIn(String(one.id_token)).scope, 'openid email offline_access')
    assert.equal((await ask(one, 'wiki:read')).status, 200)
  }
  assertRefused(await ask(narrow, 'wiki:read'), 'invalid_scope')
  const less = await ask(narrow, '')
  assert.equal(less.json().scope, 'wiki:write', less.text)
  assert.equal((await atWiki(started, String(less.json().access_token))).active, true)
})

test('RFC 8693 §4.4: a resource whose tokens say who may act lets nobody else exchange them', async (t) => {
  const saying = (may_act: string) =>
    withGateway(({ resources }) => void Object.assign(resources['resource:gateway'] ?? {}, { may_act }), {
      ...edge,
      actors: ['client:gateway', 'client:other'],
    })
  const started = await start(t, { policy: saying('client:gateway') })
  const { alice, ci } = started
  const { access_token: subject_token } = await alice.signIn(await alice.register(), gatewayResource)
  assert.deepEqual(claimsIn(subject_token).may_act, { sub: 'client:gateway' })
  const form = { subject_token, resource: wiki.resource }
  assertRefused(await exchange(ci, policyClient(started, 'other'), form), 'invalid_request')
  assert.equal((await exchange(ci, policyClient(started, 'gateway'), form)).status, 200)
})

test('RFC 8693 §4.4: who may act is said by today’s policy too, for tokens that are out already and for what came of them', async (t) => {
  const saying = (may_act?: string) =>
    withGateway(({ resources }) => void Object.assign(resources['resource:gateway'] ?? {}, may_act && { may_act }), {
      ...edge,
      actors: ['client:gateway', 'client:other'],
      refresh_token: true,
    })
  const started = await start(t, { policy: saying() })
  const { alice, ci, setPolicy } = started
  const gateway = policyClient(started, 'gateway')
  const { access_token: subject_token } = await alice.signIn(await alice.register(), gatewayResource)
  const form = { subject_token, resource: wiki.resource }
  const swapped = await exchanged(ci, gateway, form)
  const isActive = async () => (await atWiki(started, swapped.access_token)).active

  assert.ok(setPolicy(saying('client:other')).ok)
  const refused = await exchange(ci, gateway, form)
  assertRefused(refused, 'invalid_request')
  assert.match(refused.text, /With tokens for resource:gateway client:other may act, and nobody else/)
  assert.equal(await isActive(), false)
  await assert.rejects(ci.refresh(gateway, swapped), { error: 'invalid_grant' })
  assert.equal((await exchange(ci, policyClient(started, 'other'), form)).status, 200)

  assert.ok(setPolicy(saying('client:gateway')).ok)
  assert.equal(await isActive(), true, 'a mistake undone heals')
  await ci.refresh(gateway, swapped)
})

test('RFC 8693 §5, RFC 6749 §4.4: what a client got by proving itself is worth nothing while the policy takes anybody for it', async (t) => {
  const gatewayIs = (entry: Record<string, unknown>, agentIs: Record<string, unknown> = { client_secret_file: 'agent' }) =>
    withGateway(({ clients }) => Object.assign(clients, { 'client:gateway': entry, 'client:agent': agentIs }), {
      ...edge,
      refresh_token: true,
    })
  const confidential = gatewayIs({ client_secret_file: 'gateway' })
  const open = { redirect_uris: ['http://127.0.0.1/cb'] }
  const started = await start(t, { policy: confidential })
  const { alice, ci, setPolicy } = started
  const gateway = policyClient(started, 'gateway')
  const { access_token: subject_token } = await alice.signIn(await alice.register(), gatewayResource)
  const swapped = await exchanged(ci, gateway, { subject_token, resource: wiki.resource })
  const own = await ci.token(policyClient(started, 'agent'), { grant_type: 'client_credentials', ...gatewayResource })
  const atGateway = () => ci.introspect(policyClient(started, 'gateway-server'), own.access_token)
  assert.deepEqual([(await atWiki(started, swapped.access_token)).active, (await atGateway()).active], [true, true])

  assert.ok(setPolicy(gatewayIs(open, open)).ok)
  assert.deepEqual([(await atWiki(started, swapped.access_token)).active, (await atGateway()).active], [false, false])
  const stolen = { client_id: gateway.client_id, redirect_uri: '' }
  await assert.rejects(ci.refresh(stolen, swapped), { error: 'invalid_grant' })

  assert.ok(setPolicy(confidential).ok)
  assert.deepEqual([(await atWiki(started, swapped.access_token)).active, (await atGateway()).active], [true, true])
  await ci.refresh(gateway, swapped)
})

test('An edge may give a refresh token: then the exchange goes on after the token that was shown, as long as its sign-in and every edge do', async (t) => {
  const started = await start(t, { policy: withGateway(() => {}, { ...edge, refresh_token: true }) })
  const { alice, ci, clock, setPolicy } = started
  const agent = await alice.register()
  const gateway = policyClient(started, 'gateway')
  const tokens = await alice.signIn(agent, gatewayResource)
  clock.advance({ seconds: 200 })
  const swapped = await exchanged(ci, gateway, { subject_token: tokens.access_token, resource: wiki.resource })
  assert.equal(swapped.expires_in, 100, 'no longer than the token that was shown')
  clock.advance({ seconds: 200 })
  const later = await ci.refresh(gateway, swapped)
  assert.deepEqual([later.expires_in, claimsIn(later.access_token).act], [300, { sub: 'client:gateway' }])
  assert.equal((await atWiki(started, later.access_token)).active, true)

  assert.ok(setPolicy(withGateway(() => {}, { ...edge, actors: ['client:other'] })).ok)
  await assert.rejects(ci.refresh(gateway, later), { error: 'invalid_grant' })
  assert.ok(setPolicy(withGateway(() => {}, { ...edge, refresh_token: true })).ok)
  const again = await ci.refresh(gateway, later)

  assert.ok(setPolicy(withGateway()).ok)
  await assert.rejects(ci.refresh(gateway, again), { error: 'invalid_grant' }, 'the edge gives no refresh token any more')
  assert.equal((await atWiki(started, again.access_token)).active, true, 'and still lets the gateway exchange')
  assert.ok(setPolicy(withGateway(() => {}, { ...edge, refresh_token: true })).ok)

  await alice.send('/revoke', { form: { client_id: agent.client_id, token: String(tokens.refresh_token) } })
  await assert.rejects(ci.refresh(gateway, again), { error: 'invalid_grant' })
  assert.equal((await atWiki(started, again.access_token)).active, false)
})

test('A sign-in that is bound to its machine stays bound through an exchange [threats 262]', async (t) => {
  const bound = withGateway(({ grants }) => {
    for (const { app } of grants) for (const one of app.authorize ?? []) if (one.clients) one.bind = 'node'
  })
  const started = await start(t, { policy: bound })
  const { alice, ci } = started
  const { access_token: subject_token } = await alice.signIn(await alice.register(), gatewayResource)
  const { access_token } = await exchanged(ci, policyClient(started, 'gateway'), { subject_token, resource: wiki.resource })
  assert.equal((await atWiki(started, access_token)).active, true)
  await changeMesh(started, { machines: { 'alice-laptop': { removed: true } } })
  assert.equal((await atWiki(started, access_token)).active, false, 'her other machine is still there')
  assertRefused(await exchange(ci, policyClient(started, 'gateway'), { subject_token, resource: wiki.resource }), 'invalid_request')
})

test('A target that is bound to the machine of the sign-in stays so, whether it was bound before the exchange or after it [threats 262]', async (t) => {
  const withBound = (bind: 'user' | 'node') =>
    withGateway(({ grants }) => {
      for (const { dst, app } of grants) if (dst?.includes('resource:wiki')) for (const one of app.authorize ?? []) one.bind = bind
    })
  const started = await start(t, { policy: withBound('user') })
  const { alice, ci, setPolicy } = started
  const { access_token: subject_token } = await alice.signIn(await alice.register(), gatewayResource)
  const ask = () => exchange(ci, policyClient(started, 'gateway'), { subject_token, resource: wiki.resource })
  const before = String((await ask()).json().access_token)
  await changeMesh(started, { machines: { 'alice-laptop': { removed: true } } })
  assert.equal((await ask()).status, 200, 'her other machine is still there')
  assert.equal((await atWiki(started, before)).active, true)
  assert.ok(setPolicy(withBound('node')).ok)
  assertRefused(await ask(), 'invalid_request')
  assert.equal((await atWiki(started, before)).active, false)
})

test('RFC 8693 §2.1: a workload’s token is exchanged too, for what it could get itself', async (t) => {
  const policy = withGateway(({ grants }) => {
    grants.push({ src: ['client:agent'], dst: ['resource:wiki'], app: { client_credentials: [{ scopes: ['wiki:read'] }] } })
  })
  const started = await start(t, { policy })
  const { ci, setPolicy } = started
  const own = policyClient(started, 'agent')
  const { access_token: subject_token } = await ci.token(own, { grant_type: 'client_credentials', ...gatewayResource })
  const { access_token } = await exchanged(ci, policyClient(started, 'gateway'), { subject_token, resource: wiki.resource })
  const claims = claimsIn(access_token)
  assert.deepEqual(
    [claims.sub, claims.client_id, claims.act, claims.auth_time],
    ['client:agent', 'client:gateway', { sub: 'client:gateway' }, undefined],
  )
  assert.equal((await atWiki(started, access_token)).active, true)
  assert.ok(setPolicy(withGateway()).ok)
  assert.equal((await atWiki(started, access_token)).active, false)
  assertRefused(await exchange(ci, policyClient(started, 'gateway'), { subject_token, resource: wiki.resource }), 'invalid_request')
})

test('A gateway that is proven by its machine acts as long as that machine proves it, by whatever name the edge knows it (RFC 7662 §2.2)', async (t) => {
  const policy = withGateway(({ clients }) => void Object.assign(clients, { 'client:gateway': { node: ['tag:ci'] } }))
  const started = await start(t, { policy })
  const { alice, ci } = started
  const { access_token: subject_token } = await alice.signIn(await alice.register(), gatewayResource)
  const { access_token } = await exchanged(
    ci,
    { client_id: 'client:gateway', redirect_uri: '' },
    { subject_token, resource: wiki.resource },
  )
  const active = async () => (await alice.introspect(policyClient(started, 'wiki-server'), access_token)).active
  const machine = (change: object) => changeMesh(started, { machines: { 'ci-runner': change } })
  assert.equal(await active(), true)
  await machine({ tags: ['tag:else'] })
  assert.equal(await active(), false, 'its tag is another one')
  await machine({ tags: ['tag:ci'] })
  assert.equal(await active(), true, 'a mistake undone heals')
  await machine({ removed: true })
  assert.equal(await active(), false, 'it is gone')
})

test('RFC 8693 §2.1: an actor_token is asked about like any other: who has it must be there, and still be given it, then and later', async (t) => {
  const withActor = (change: Parameters<typeof withGateway>[0] = () => {}) =>
    withGateway(
      (policy) => {
        policy.clients['client:agent'] = { node: ['tag:ci'] }
        change(policy)
      },
      { ...edge, actors: ['client:gateway', 'tag:ci'] },
    )
  const started = await start(t, { policy: withActor() })
  const { alice, ci, setPolicy } = started
  const { access_token: subject_token } = await alice.signIn(await alice.register(), gatewayResource)
  const own = await ci.token({ client_id: 'client:agent', redirect_uri: '' }, { grant_type: 'client_credentials', ...gatewayResource })
  const actor = { actor_token: own.access_token, actor_token_type: tokenType('access_token') }
  const ask = () => exchange(alice, policyClient(started, 'gateway'), { subject_token, resource: wiki.resource, ...actor })

  const first = await ask()
  assert.equal(first.status, 200, first.text)
  const token = String(first.json().access_token)
  assert.deepEqual(
    claimsIn(token).act,
    { sub: 'client:gateway', act: { sub: 'client:agent' } },
    'the edge names it by the tag of its machine',
  )
  const active = async () => (await alice.introspect(policyClient(started, 'wiki-server'), token)).active
  assert.equal(await active(), true)

  const without = withActor((policy) => {
    policy.grants = policy.grants.filter(({ dst, app }) => !(dst?.includes('resource:gateway') && app.client_credentials))
  })
  assert.ok(setPolicy(without).ok)
  const refused = await ask()
  assertRefused(refused, 'invalid_request')
  assert.ok(refused.json().decision_id)
  assert.ok(setPolicy(withActor()).ok)

  await changeMesh(started, { machines: { 'ci-runner': { removed: true } } })
  assertRefused(await ask(), 'invalid_request')
  assert.equal(await active(), false)
})

test('RFC 8693 §4.1, §4.4: who asks is the outermost actor and the one that may_act names; a token that a server was sent makes it nobody else [threats 254]', async (t) => {
  const elsewhere = { resource: 'http://localhost:8493/mcp', scope: 'other:use' } as const
  const withOther = (may_act?: string) =>
    withGateway(
      ({ resources, grants }) => {
        Object.assign(resources['resource:gateway'] ?? {}, may_act && { may_act })
        resources['resource:other'] = { uri: elsewhere.resource, scopes: ['other:use'] }
        grants.push(
          { src: ['client:gateway'], dst: ['resource:other'], app: { client_credentials: [{ scopes: ['other:use'] }] } },
          { src: ['client:gateway'], dst: ['resource:gateway'], app: { client_credentials: [{ scopes: ['tools:call'] }] } },
        )
      },
      { ...edge, actors: ['client:gateway', 'client:other'] },
    )
  const started = await start(t, { policy: withOther('client:gateway') })
  const { alice, ci, setPolicy } = started
  const [gateway, other] = [policyClient(started, 'gateway'), policyClient(started, 'other')]
  const own = async (form: Record<string, string>) => {
    const { access_token } = await ci.token(gateway, { grant_type: 'client_credentials', ...form })
    return { actor_token: access_token, actor_token_type: tokenType('access_token') }
  }
  const [atOther, atGateway] = [await own(elsewhere), await own(gatewayResource)]
  const software = await alice.register()
  const subjectToken = async () => (await alice.signIn(software, gatewayResource)).access_token
  const form = { subject_token: await subjectToken(), resource: wiki.resource }
  assertRefused(await exchange(ci, other, form), 'invalid_request')
  for (const actor of [atOther, atGateway]) {
    assertRefused(await exchange(ci, other, { ...form, ...actor }), 'invalid_request')
    const { access_token } = await exchanged(ci, gateway, { ...form, ...actor })
    assert.deepEqual(claimsIn(access_token).act, { sub: 'client:gateway' }, 'one of its own changes nothing')
  }

  assert.ok(setPolicy(withOther()).ok)
  const free = { ...form, subject_token: await subjectToken() }
  assertRefused(await exchange(ci, other, { ...free, ...atOther }), 'invalid_request')
  const { access_token } = await exchanged(ci, other, { ...free, ...atGateway })
  const { client_id, act } = claimsIn(access_token)
  assert.deepEqual([client_id, act], ['client:other', { sub: 'client:other', act: { sub: 'client:gateway' } }])
})

test('RFC 8693 §2.1: what was exchanged with an actor_token ends no later than that, and with it, whether it is revoked, ended or not given any more', async (t) => {
  const policyWith = (change: Parameters<typeof withGateway>[0] = () => {}) =>
    withGateway(change, { ...edge, actors: ['client:gateway', 'client:agent'], refresh_token: true })
  const started = await start(t, { policy: policyWith() })
  const { alice, ci, clock, daemon, setPolicy } = started
  const [gateway, agent] = [policyClient(started, 'gateway'), policyClient(started, 'agent')]
  const software = await alice.register()
  /** Exchanged with an actor_token of a moment ago; `actor`: that. */
  const make = async () => {
    const actor = await ci.token(agent, { grant_type: 'client_credentials', ...gatewayResource })
    clock.advance({ seconds: 100 })
    const { access_token: subject_token } = await alice.signIn(software, gatewayResource)
    const actor_token = { actor_token: actor.access_token, actor_token_type: tokenType('access_token') }
    return { actor: actor.access_token, tokens: await exchanged(ci, gateway, { subject_token, resource: wiki.resource, ...actor_token }) }
  }
  const active = async ({ access_token }: { access_token: string }) => (await atWiki(started, access_token)).active
  const isDead = async (tokens: Tokens, why: string) => {
    assert.equal(await active(tokens), false, why)
    await assert.rejects(ci.refresh(gateway, tokens), { error: 'invalid_grant' }, why)
  }

  const one = await make()
  assert.equal(one.tokens.expires_in, 200)
  assert.equal(claimsIn(one.tokens.access_token).exp, claimsIn(one.actor).exp)
  const refreshed = await ci.refresh(gateway, one.tokens)
  assert.deepEqual([await active(refreshed), refreshed.expires_in], [true, 200])
  clock.advance({ seconds: 200 })
  await isDead(refreshed, 'the actor_token expired')

  const two = await make()
  const { tree } = await trace(daemon.deps, String(claimsIn(two.tokens.access_token).sid))
  assert.match(traceAsText(tree, false), / client:gateway, acting with a token of client:agent → http:\/\/localhost:8490\/mcp /)
  const { client_id, client_secret } = agent
  assert.equal((await ci.send('/revoke', { form: { client_id, client_secret, token: two.actor } })).status, 200)
  await isDead(two.tokens, 'the actor_token was revoked')

  const three = await make()
  const { runAction } = await import('../../src/admin/actions.ts')
  await runAction(daemon.deps, 'authorizations.revoke', { id: String(claimsIn(three.actor).sid) })
  await isDead(three.tokens, 'its authorization was ended')

  const four = await make()
  const without = policyWith((policy) => {
    policy.grants = policy.grants.filter(({ app }) => !app.client_credentials)
  })
  assert.ok(setPolicy(without).ok)
  assert.equal(await active(four.tokens), false, 'the policy gives it to the agent no more')
  assert.ok(setPolicy(policyWith()).ok)
  assert.equal(await active(four.tokens), true, 'a mistake undone heals')
})
