/** How long refresh tokens live, and what is left of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rulesOf } from '../../src/janitor.ts'
import { pruneExpired } from '../../src/store/prune.ts'
import { grafanaCallback, policyClient, wiki } from '../support/example_policy.ts'
import type { Tokens } from '../support/person.ts'
import { type Started, start, unhurried } from '../support/start.ts'
import { editedPolicy } from '../support/token_request.ts'

const openid = { scope: 'openid' }
const day = 86_400

const rows = async ({ daemon }: Started) => (await daemon.deps.store.engine.all('SELECT digest FROM refresh_tokens LIMIT 5000', {})).length

const prune = ({ daemon: { deps } }: Started) => pruneExpired(deps.store.engine, rulesOf(deps), deps.now())

const reuses = ({ daemon }: Started) => daemon.deps.store.engine.all("SELECT id FROM decisions WHERE reason = 'reuse' LIMIT 10", {})

test('OAuth 2.1 §4.3.3: a refresh token that is not used for 30 days has ended; used, it lives on [threats 148]', async (t) => {
  const started = await start(t)
  const { alice, clock } = started
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const idle = await alice.signIn(grafana, openid)
  const busy = await alice.signIn(grafana, openid)
  clock.advance({ seconds: 30 * day - 1 })
  const used = await alice.refresh(grafana, busy)
  clock.advance({ seconds: 1 })
  await assert.rejects(alice.refresh(grafana, idle), { error: 'invalid_grant' })
  clock.advance({ days: 29 })
  assert.ok(await alice.refresh(grafana, used))

  // Long after, when its row is gone, it has still only ended: nobody is called a thief.
  clock.advance({ days: 3 })
  await prune(started)
  await assert.rejects(alice.refresh(grafana, idle), { error: 'invalid_grant', message: /has ended/ })
  assert.deepEqual(await reuses(started), [])
})

test('OAuth 2.1 §4.3.3: no rotation extends the 90 days of a sign-in, and its last second is whole [threats 148, 149]', async (t) => {
  const started = await start(t)
  const { alice, clock } = started
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const end = clock.now() + 90 * day
  let tokens = await alice.signIn(grafana, openid)
  for (let days = 20; days < 90; days += 20) {
    clock.advance({ days: 20 })
    tokens = await alice.refresh(grafana, tokens)
  }
  for (const left of [301, 300, 299, 2, 1]) {
    clock.advance({ seconds: end - left - clock.now() })
    tokens = await alice.refresh(grafana, tokens)
    assert.equal(tokens.expires_in, Math.min(300, left))
  }
  clock.advance({ seconds: 1 })
  await assert.rejects(alice.refresh(grafana, tokens), { error: 'invalid_grant' })
  const userinfo = await alice.send('/userinfo', { headers: { authorization: `Bearer ${tokens.access_token}` } })
  assert.equal(userinfo.status, 401)
})

test('The lifetimes that a grant names are those of its tokens [threats 148]', async (t) => {
  const started = await start(t, {
    policy: editedPolicy([
      '"clients": ["*"], "consent": "once"',
      '"clients": ["*"], "consent": "once", "access_token_ttl": "1m", "refresh_token_ttl": "1h"',
    ]),
  })
  const { alice, clock } = started
  const client = await alice.register()
  const first = await alice.signIn(client, wiki)
  assert.equal(first.expires_in, 60)
  clock.advance({ minutes: 59 })
  const second = await alice.refresh(client, first)
  clock.advance({ minutes: 60 })
  await assert.rejects(alice.refresh(client, second), { error: 'invalid_grant' })
})

test('A chain of a thousand rotations is one row, and yet its first token, used again, ends the family [threats 152]', async (t) => {
  const started = await start(t, { config: { log_level: 'silent', limits: unhurried } })
  const { alice, clock } = started
  const client = await alice.register()
  const first = await alice.signIn(client, wiki)
  let tokens: Tokens = first
  for (let step = 1; step <= 1000; step++) {
    clock.advance({ minutes: 15 })
    tokens = await alice.refresh(client, tokens)
  }
  assert.equal(await rows(started), 1)

  const [family, , mark] = first.refresh_token?.split('.') ?? []
  const forged = [family, 'A'.repeat(43), mark].join('.')
  await assert.rejects(alice.refresh(client, { refresh_token: forged }), { error: 'invalid_grant', message: /not known here/ })
  const stranger = await alice.register()
  await assert.rejects(alice.refresh(stranger, first), { error: 'invalid_grant', message: /not known here/ })
  tokens = await alice.refresh(client, tokens)

  await assert.rejects(alice.refresh(client, first), { error: 'invalid_grant', message: /used already/ })
  assert.equal((await reuses(started)).length, 1)
  await assert.rejects(alice.refresh(client, tokens), { error: 'invalid_grant' })
})

test('What could still be used, or must still be noticed, is not pruned; what has ended is [threats 152]', async (t) => {
  const started = await start(t)
  const { alice, clock, daemon } = started
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const first = await alice.signIn(grafana, openid)
  const second = await alice.refresh(grafana, first)
  clock.advance({ days: 29 })
  await prune(started)
  assert.equal(await rows(started), 1)
  assert.ok(await alice.refresh(grafana, second))

  const code = await alice.code(grafana, openid)
  await alice.token(grafana, { grant_type: 'authorization_code', ...code })
  clock.advance({ hours: 23 })
  await prune(started)
  await assert.rejects(alice.token(grafana, { grant_type: 'authorization_code', ...code }), {
    error: 'invalid_grant',
    message: /used already/,
  })

  clock.advance({ days: 92 })
  await prune(started)
  const { engine } = daemon.deps.store
  for (const table of ['codes', 'refresh_tokens', 'authorizations'])
    assert.deepEqual(await engine.all(`SELECT * FROM ${table} LIMIT 10`, {}), [], table)
})
