/** Opaque access tokens (policy: `"token_format": "opaque"`), which the example policy has for the notes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rulesOf } from '../../src/janitor.ts'
import { pruneExpired } from '../../src/store/prune.ts'
import { changedPolicy, policyClient } from '../support/example_policy.ts'
import { type Started, start } from '../support/start.ts'
import { changeMesh, inParallel, nearTwins } from '../support/token_request.ts'

const notes = { resource: 'http://localhost:8491/mcp', scope: 'notes:read' } as const

async function signedIn(started: Started, params: Record<string, string> = {}) {
  const client = await started.alice.register()
  const tokens = await started.alice.signIn(client, { ...notes, ...params })
  return { client, tokens, server: policyClient(started, 'notes-server') }
}

const rows = async ({ daemon }: Started) =>
  (await daemon.deps.store.engine.all<{ n: number }>('SELECT count(*) AS n FROM access_tokens', {}))[0]?.n

test('RFC 6749 §1.4, RFC 7662 §2.2: an opaque token says nothing, and introspection all that a JWT would [threats 446]', async (t) => {
  const started = await start(t)
  const began = started.clock.now()
  const { client, tokens, server } = await signedIn(started)
  assert.match(tokens.access_token, /^mio_[0-9A-Z]{26}\.[\w-]{43}$/)
  const { jti, ...seen } = await started.alice.introspect(server, tokens.access_token)
  assert.match(String(jti), /^[0-9A-Z]+\.[\w-]{16}$/)
  assert.deepEqual(seen, {
    active: true,
    scope: 'notes:read',
    client_id: client.client_id,
    username: 'alice@example.com',
    sub: 'userid:101',
    iss: started.issuer,
    token_type: 'Bearer',
    aud: notes.resource,
    exp: began + 300,
    iat: began,
    auth_time: began,
  })
  assert.deepEqual(await started.alice.introspect(policyClient(started, 'wiki-server'), tokens.access_token), { active: false })
  const answer = await started.alice.send('/userinfo', { headers: { authorization: `Bearer ${tokens.access_token}` } })
  assert.equal(answer.status, 401, 'it is for the notes, not for this server')
  started.clock.advance({ seconds: 299 })
  assert.equal((await started.alice.introspect(server, tokens.access_token)).active, true)
  started.clock.advance({ seconds: 1 })
  assert.deepEqual(await started.alice.introspect(server, tokens.access_token), { active: false })
})

test('RFC 6750 §5.2: no near twin of an opaque token is one, nor is what the database holds of it [threats 121, 122, 469]', async (t) => {
  const started = await start(t)
  const { tokens, server } = await signedIn(started)
  const other = (await signedIn(started)).tokens.access_token
  const [, secret = ''] = tokens.access_token.split('.')
  const swapped = `${other.split('.')[0]}.${secret}`
  const stored = await started.daemon.deps.store.engine.all<Record<string, string>>('SELECT * FROM access_tokens', {})
  const values = stored.flatMap((row) => Object.values(row).map(String))
  assert.ok(values.length > 0 && !values.some((value) => value.includes(secret)))
  for (const twin of [
    ...nearTwins(tokens.access_token),
    swapped,
    ...values,
    ...stored.map((row) => `mio_${row.authorization_id}.${row.digest}`),
  ])
    if (twin.trim() !== '') assert.deepEqual(await started.alice.introspect(server, twin), { active: false }, twin)
})

test('RFC 7009 §2.1: a revoked opaque token is dead and no other; with its sign-in all die; both outlive a restart [threats 302]', async (t) => {
  const started = await start(t)
  const { client, tokens, server } = await signedIn(started)
  const { alice } = started
  const second = await alice.refresh(client, tokens)
  const revoke = (token: string) => alice.send('/revoke', { form: { client_id: client.client_id, token } })
  const other = await alice.register()
  assert.equal((await alice.send('/revoke', { form: { client_id: other.client_id, token: tokens.access_token } })).status, 200)
  assert.equal((await alice.introspect(server, tokens.access_token)).active, true, 'not its own')
  assert.equal((await revoke(tokens.access_token)).status, 200)
  assert.deepEqual(await alice.introspect(server, tokens.access_token), { active: false })
  assert.equal((await alice.introspect(server, second.access_token)).active, true)
  await revoke(String(second.refresh_token))
  const again = await started.restart()
  for (const { access_token } of [tokens, second]) assert.deepEqual(await again.alice.introspect(server, access_token), { active: false })
})

test('RFC 7662 §2.2: an opaque token is worth what mesh and policy give its person now [threats 299]', async (t) => {
  const started = await start(t)
  const { tokens, server } = await signedIn(started)
  const active = async () => (await started.alice.introspect(server, tokens.access_token)).active
  await changeMesh(started, { machines: { 'alice-laptop': { expired: true }, 'alice-phone': { expired: true } } })
  assert.equal(await active(), false)
  await changeMesh(started, { machines: { 'alice-laptop': { expired: false }, 'alice-phone': { expired: false } } })
  assert.equal(await active(), true)
  const withoutEngineers = changedPolicy(({ grants }) => {
    for (const grant of grants) if (grant.src.includes('group:eng')) grant.src = ['carol@example.com']
  })
  assert.ok(started.setPolicy(withoutEngineers).ok)
  assert.equal(await active(), false)
})

test('OAuth 2.1 §4.1.3: a code that comes back ends the opaque tokens that it gave; of fifty at once one gives a token [threats 91, 94]', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const { code, code_verifier } = await alice.code(client, notes)
  const redeem = () => alice.token(client, { grant_type: 'authorization_code', code, code_verifier })
  const answers = await inParallel(50, () => redeem().catch(() => undefined))
  const [tokens, ...more] = answers.filter((one) => one !== undefined)
  assert.deepEqual([more.length, await rows(started)], [0, 1])
  await assert.rejects(redeem(), { error: 'invalid_grant' })
  assert.deepEqual(await alice.introspect(policyClient(started, 'notes-server'), tokens?.access_token ?? ''), { active: false })
})

test('Rows of opaque tokens go an hour after their end, and with their authorization', async (t) => {
  const started = await start(t)
  const { clock, daemon, alice } = started
  const { client, tokens } = await signedIn(started)
  const prune = () => pruneExpired(daemon.deps.store.engine, rulesOf(daemon.deps), clock.now())
  clock.advance({ minutes: 30 })
  await alice.refresh(client, tokens)
  await prune()
  assert.equal(await rows(started), 2)
  clock.advance({ minutes: 36 })
  await prune()
  assert.equal(await rows(started), 1)
})

test('A resource whose tokens change their format takes the old ones until they end', async (t) => {
  const started = await start(t)
  const { client, tokens, server } = await signedIn(started)
  const jwt = changedPolicy(({ resources }) => {
    if (resources['resource:notes']) resources['resource:notes'].token_format = 'jwt'
  })
  assert.ok(started.setPolicy(jwt).ok)
  assert.equal((await started.alice.introspect(server, tokens.access_token)).active, true)
  const next = await started.alice.refresh(client, tokens)
  assert.match(next.access_token, /^ey/)
  assert.equal((await started.alice.introspect(server, next.access_token)).active, true)
})
