/** Reloads while people sign in: no request mixes two policies, and nothing is kept of the old ones. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as breathe, setTimeout as pause } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { rulesOf } from '../../src/janitor.ts'
import { pruneExpired } from '../../src/store/prune.ts'
import { changedPolicy, grafanaCallback, policyClient } from '../support/example_policy.ts'
import type { Person, Tokens } from '../support/person.ts'
import { start, unhurried } from '../support/start.ts'

const reloads = 100

/** What a policy of either kind gives: how long its tokens live, and which group is let out. */
const kinds = [
  { ttl: '60s', expires_in: 60, group: 'group:eng' },
  { ttl: '120s', expires_in: 120, group: 'group:oncall' },
] as const

const policyOf = (kind: (typeof kinds)[number], number: number) =>
  `${changedPolicy(({ groups, grants }) => {
    groups['group:oncall'] = ['alice@example.com', 'bob@example.com']
    for (const { dst, app } of grants) {
      for (const one of app.claims ?? []) one.groups = [kind.group]
      if (dst?.includes('client:grafana')) for (const one of app.authorize ?? []) one.access_token_ttl = kind.ttl
    }
  })}\n// ${number}`

const claimsOf = (jwt = '') => JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>

test('100 reloads while people sign in: each request is decided on one policy whose hash its decision names, and none of the old ones is kept [threats 382]', async (t) => {
  const started = await start(t, {
    policy: policyOf(kinds[0], 0),
    config: { limits: { ...unhurried, per_principal: { rate: 1e9, burst: 1e9 } } },
  })
  const { alice, bob, clock, setPolicy, daemon } = started
  const { store } = daemon.deps
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const kindOf = new Map<string, (typeof kinds)[number]>([[daemon.deps.policy().hash, kinds[0]]])
  const old: WeakRef<object>[] = []
  const answers: { entry: string; tokens: Tokens }[] = []
  let done = false

  async function signsIn(person: Person) {
    while (!done) {
      const tokens = await person.signIn(grafana, { scope: 'openid groups offline_access', nonce: 'n-1' })
      answers.push({ entry: 'authorization_code', tokens }, { entry: 'refresh_token', tokens: await person.refresh(grafana, tokens) })
    }
  }
  const people = [alice, bob, alice, bob].map(signsIn)
  for (let number = 1; number <= reloads; number++) {
    old.push(new WeakRef(daemon.deps.policy()))
    const kind = kinds[(number % 2) as 0 | 1]
    const { ok, hash } = setPolicy(policyOf(kind, number))
    assert.ok(ok)
    kindOf.set(hash, kind)
    for (let turns = number % 17; turns >= 0; turns--) await breathe() // so that each meets the requests at another point
  }
  done = true
  await Promise.all(people)

  const rows = await store.engine.all<{ policy: string; kept: number; entry: string; authorization_id: string }>(
    `SELECT policy, entry, authorization_id, EXISTS (SELECT 1 FROM records WHERE digest = policy) AS kept FROM decisions LIMIT 100000`,
    {},
  )
  for (const { policy, kept } of rows) assert.ok(kindOf.has(policy) && kept === 1)
  const decidedOn = new Map(rows.map(({ entry, authorization_id, policy }) => [`${entry} ${authorization_id}`, policy]))
  for (const { entry, tokens } of answers) {
    const [, authorization_id] = /([0-9A-Z]{26})\./.exec(tokens.refresh_token ?? '') ?? []
    const kind = kindOf.get(decidedOn.get(`${entry} ${authorization_id}`) ?? '')
    const said = { expires_in: tokens.expires_in, groups: claimsOf(tokens.id_token).groups }
    assert.deepEqual(
      said,
      { expires_in: kind?.expires_in, groups: [kind?.group] },
      'what the answer says is of the policy that its decision names',
    )
  }
  assert.ok(new Set(rows.map(({ policy }) => policy)).size > reloads / 4)

  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const alive = () => old.filter((one) => one.deref() !== undefined).length
  // Whom a WeakRef was asked for stays until the end of that turn, so nobody is asked in between.
  for (let round = 0; round < 5; round++) {
    await pause(20)
    gc()
  }
  await pause(20)
  assert.ok(alive() <= 1, `${alive()} of ${reloads} old policies are still in memory`)

  clock.advance({ days: 100 })
  await pruneExpired(store.engine, rulesOf(daemon.deps), clock.now())
  const policies = () => store.engine.all("SELECT digest FROM records WHERE kind = 'policy' LIMIT 1000", {})
  assert.deepEqual(await policies(), [], 'a policy is kept as long as a decision that names it')
  await alice.signIn(grafana, { scope: 'openid', nonce: 'n-1' })
  assert.deepEqual(await policies(), [{ digest: daemon.deps.policy().hash }])
})
