/** People who are gone from the mesh, found by comparing tables: no request of theirs is needed. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Authorization } from '../src/store/authorizations.ts'
import type { Decision } from '../src/store/decisions.ts'
import { endSuspended, startSweep, sweep } from '../src/sweep.ts'
import { eventually } from './support/eventually.ts'
import { grafanaCallback, policyClient, wiki } from './support/example_policy.ts'
import { type Started, start } from './support/start.ts'
import { changeMesh } from './support/token_request.ts'

/** Both of alice's machines. */
const hers = (change: object) => ({ machines: { 'alice-laptop': change, 'alice-phone': change } })

const rows = ({ daemon }: Started) => daemon.deps.store.engine.all<Authorization>('SELECT * FROM authorizations ORDER BY user_id, id', {})

const audit = async ({ daemon }: Started) =>
  (await daemon.deps.store.engine.all<Decision>("SELECT * FROM decisions WHERE entry = 'sweep' ORDER BY at, id", {})).map(
    ({ outcome, principal, authorization_id, sentence }) => ({ outcome, principal, authorization_id, sentence }),
  )

const all = { ...wiki, scope: 'wiki:read offline_access' }

/** Two sign-ins of alice's, one of bob's. */
async function threeSignIns(started: Started) {
  const { alice, bob } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, all)
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  await alice.signIn(grafana, { scope: 'openid' })
  await bob.signIn(await bob.register(), all)
  return { client, tokens }
}

test('Who is gone is suspended without having asked for anything: by one list of peers, no whois, and the audit says so; bob stays [threats 142]', async (t) => {
  const started = await start(t)
  const { mesh, clock, daemon } = started
  await threeSignIns(started)
  const [first, second, bobs] = await rows(started)
  const since = clock.now()
  await changeMesh(started, hers({ removed: true }))
  const whoisBefore = ['127.0.0.2', '127.0.0.8', '127.0.0.3'].map((address) => mesh.asked(`whois ${address}`))
  const listsBefore = mesh.asked('status peers=true')

  assert.equal(await sweep(daemon.deps), since + 30)
  clock.advance({ seconds: 29 })
  await sweep(daemon.deps)
  assert.deepEqual(
    (await rows(started)).map((row) => [row.missing_since, row.suspended_at]),
    [
      [since, null],
      [since, null],
      [null, null],
    ],
  )
  assert.deepEqual(await audit(started), [])

  clock.advance({ seconds: 1 })
  assert.equal(await sweep(daemon.deps), null)
  assert.deepEqual(
    (await rows(started)).map((row) => row.suspended_at),
    [since + 30, since + 30, null],
  )
  assert.deepEqual(
    (await audit(started)).map(({ outcome, principal, authorization_id }) => [outcome, principal, authorization_id]),
    [first, second].map((row) => ['denied', 'alice@example.com', row?.id]),
  )
  assert.match(
    String((await audit(started))[0]?.sentence),
    /^alice@example\.com is gone from the mesh, so this sign-in is suspended\. Unless they are back before, it ends on .* UTC\.$/,
  )
  assert.equal(bobs?.login, 'bob@example.com')
  assert.deepEqual(
    ['127.0.0.2', '127.0.0.8', '127.0.0.3'].map((address) => mesh.asked(`whois ${address}`)),
    whoisBefore,
  )
  assert.equal(mesh.asked('status peers=true'), listsBefore + 3)

  await sweep(daemon.deps)
  assert.equal((await audit(started)).length, 2, 'said once')
})

test('A mistake undone heals at the next round, and the audit says so; within the 30 s there is nothing to say', async (t) => {
  const started = await start(t)
  const { alice, clock, daemon } = started
  const { client, tokens } = await threeSignIns(started)
  await changeMesh(started, hers({ removed: true }))
  await sweep(daemon.deps)
  await changeMesh(started, hers({ removed: false }))
  await sweep(daemon.deps)
  assert.ok((await rows(started)).every((row) => row.missing_since === null && row.suspended_at === null))
  assert.deepEqual(await audit(started), [])

  await changeMesh(started, hers({ removed: true }))
  await sweep(daemon.deps)
  clock.advance({ seconds: 30 })
  await sweep(daemon.deps)
  await changeMesh(started, { machines: { 'alice-phone': { removed: false } } })
  await sweep(daemon.deps)
  assert.ok((await rows(started)).every((row) => row.missing_since === null && row.suspended_at === null))
  assert.deepEqual(
    (await audit(started)).slice(2).map(({ outcome, sentence }) => [outcome, sentence]),
    Array(2).fill(['allowed', 'alice@example.com is back in the mesh, so this sign-in goes on.']),
  )
  clock.advance({ hours: 48 })
  await endSuspended(daemon.deps)
  assert.ok(await alice.refresh(client, tokens))
})

test('After removal_grace it ends, unless the mesh, asked once more, knows them again; the audit says so', async (t) => {
  const started = await start(t, { config: { lifetimes: { removal_grace: 3600 } } })
  const { clock, daemon } = started
  await threeSignIns(started)
  await changeMesh(started, hers({ removed: true }))
  await sweep(daemon.deps)
  clock.advance({ seconds: 30 })
  await sweep(daemon.deps)
  clock.advance({ hours: 1 })
  await endSuspended(daemon.deps)
  assert.ok((await rows(started)).every((row) => row.ended_at === null))
  clock.advance({ seconds: 1 })
  await endSuspended(daemon.deps)
  assert.deepEqual(
    (await rows(started)).map((row) => [row.ended_at, row.end_reason]),
    [
      [clock.now(), 'alice@example.com is gone from the mesh'],
      [clock.now(), 'alice@example.com is gone from the mesh'],
      [null, null],
    ],
  )
  assert.match(String((await audit(started)).at(-1)?.sentence), /^alice@example\.com has been gone .* has ended\.$/)
})

test('A mesh that is away ends nothing, suspends nothing, and notes nobody (S7) [threats 319]', async (t) => {
  const started = await start(t)
  const { mesh, clock, daemon } = started
  await threeSignIns(started)
  const before = await rows(started)
  const dark = () => assert.rejects(sweep(daemon.deps), { code: 'temporarily_unavailable' })
  for (const state of ['Stopped', 'NoState', 'NeedsLogin', 'Starting']) {
    await changeMesh(started, { state, ...hers({ removed: true }) })
    await dark()
    clock.advance({ seconds: 31 })
  }
  await mesh.stop()
  await assert.rejects(daemon.deps.identity.refresh())
  await dark()
  assert.deepEqual(await rows(started), before)
})

test('What is bound to a machine is gone with that machine; all else of its person goes on [threats 367]', async (t) => {
  const started = await start(t)
  const { alicePhone, clock, daemon } = started
  await threeSignIns(started)
  const client = await alicePhone.register()
  await alicePhone.signIn(client, all)
  await daemon.deps.store.engine.commit([
    { sql: "UPDATE authorizations SET bind = 'node' WHERE client_id = $client_id", params: { client_id: client.client_id } },
  ])
  await changeMesh(started, { machines: { 'alice-phone': { removed: true } } })
  await sweep(daemon.deps)
  clock.advance({ seconds: 30 })
  await sweep(daemon.deps)
  const suspended = (await rows(started)).filter((row) => row.suspended_at !== null)
  assert.deepEqual(
    suspended.map((row) => [row.client_id, row.bind]),
    [[client.client_id, 'node']],
  )
})

test('Who is not there: expired (S6), tagged, another user id at the machine [threats 326, 331, 332]', async (t) => {
  const cases = {
    expired: hers({ expired: true }),
    'expired by the clock': hers({ key_expiry: '2026-01-01T00:00:00Z' }),
    tagged: hers({ owner: undefined, tags: ['tag:ci'] }),
    'another user id': { people: { 'alice@example.com': { id: '999' } } },
  }
  for (const [why, change] of Object.entries(cases)) {
    const started = await start(t)
    await threeSignIns(started)
    await changeMesh(started, change)
    await sweep(started.daemon.deps)
    assert.deepEqual(
      (await rows(started)).map((row) => row.missing_since !== null),
      [true, true, false],
      why,
    )
    await started.close()
  }
})

test('Whom the list names and whois does not, is gone all the same: a machine that is not signed, or shared in [threats 328, 361]', async (t) => {
  for (const change of [{ unsigned: true }, { shared: true }]) {
    const started = await start(t)
    const { alice, clock, daemon } = started
    const { client, tokens } = await threeSignIns(started)
    await changeMesh(started, hers(change))
    await assert.rejects(alice.refresh(client, tokens), { error: 'invalid_grant' })
    clock.advance({ seconds: 30 })
    await sweep(daemon.deps)
    assert.deepEqual((await rows(started)).map((row) => row.suspended_at !== null).filter(Boolean), [true])
    await started.close()
  }
})

test('The daemon looks by itself: after a word of the bus, and again when somebody may be gone for sure', async (t) => {
  const started = await start(t)
  const { clock, daemon, mesh } = started
  await threeSignIns(started)
  const sweeping = startSweep(daemon.deps, 5, 0)
  t.after(() => sweeping.stop())
  const count = async (column: 'missing_since' | 'suspended_at') => (await rows(started)).filter((row) => row[column] !== null).length
  await eventually('the first round', async () => mesh.asked('status peers=true') > 0)
  const first = mesh.asked('status peers=true')
  clock.advance({ minutes: 10 })
  await sleep(50)
  assert.equal(mesh.asked('status peers=true'), first, 'the mesh said nothing, so nobody asks it')

  await changeMesh(started, hers({ removed: true }))
  await eventually('noted', async () => (await count('missing_since')) === 2)
  assert.equal(await count('suspended_at'), 0)
  clock.advance({ seconds: 30 })
  await eventually('suspended', async () => (await count('suspended_at')) === 2)
  await changeMesh(started, hers({ removed: false }))
  await eventually('healed', async () => (await count('suspended_at')) === 0)
})

test('After a clock that was ahead is set right, who is removed is noticed as before, and who was noted by it is not waited for [threats 491, 493]', async (t) => {
  const started = await start(t)
  const { clock, daemon } = started
  await threeSignIns(started)
  const count = async (column: 'missing_since' | 'suspended_at') => (await rows(started)).filter((row) => row[column] !== null).length
  clock.advance({ days: 3 })
  const sweeping = startSweep(daemon.deps, 5, 0)
  t.after(sweeping.stop)
  await changeMesh(started, { people: { 'bob@example.com': { id: '999' } } })
  await eventually('one is noted', async () => (await count('missing_since')) === 1)
  clock.advance({ days: -3 })
  await changeMesh(started, hers({ removed: true }))
  await eventually('both are', async () => (await rows(started)).every(({ missing_since }) => missing_since === clock.now()))
  clock.advance({ seconds: 30 })
  await eventually('suspended', async () => (await count('suspended_at')) === 3)
})

/** Alice was gone for longer than `removal_grace`, and that was noticed. */
async function longGone(t: TestContext) {
  const started = await start(t, { config: { lifetimes: { removal_grace: 3600 } } })
  const { clock, daemon } = started
  const signedIn = await threeSignIns(started)
  await changeMesh(started, hers({ removed: true }))
  await sweep(daemon.deps)
  clock.advance({ seconds: 30 })
  await sweep(daemon.deps)
  clock.advance({ seconds: 3601 })
  return { ...started, ...signedIn }
}

test('Who comes back after the table of those who are there was read, is not ended: the mesh is asked for them once more [threats 142]', async (t) => {
  const started = await longGone(t)
  const { alice, daemon, client, tokens } = started
  const table = await daemon.deps.identity.present()
  await changeMesh(started, hers({ removed: false }))
  await endSuspended({ ...daemon.deps, identity: { ...daemon.deps.identity, present: async () => table } })
  assert.ok((await rows(started)).every(({ ended_at, suspended_at }) => ended_at === null && suspended_at === null))
  assert.ok(await alice.refresh(client, tokens))
})

test('Who comes back and refreshes between the answer of the mesh and the end, goes on; the record says no end [threats 142]', async (t) => {
  const started = await longGone(t)
  const { alice, daemon, client, tokens } = started
  const { identity } = daemon.deps
  let next = tokens
  let back: Promise<void> | null = null
  async function comeBack() {
    await changeMesh(started, hers({ removed: false }))
    next = await alice.refresh(client, tokens)
  }
  await endSuspended({
    ...daemon.deps,
    identity: {
      ...identity,
      async stillThere(remembered) {
        const answer = await identity.stillThere(remembered)
        back ??= comeBack()
        await back
        return answer
      },
    },
  })
  const mine = (await rows(started)).find(({ client_id }) => client_id === client.client_id)
  assert.deepEqual([mine?.ended_at, mine?.suspended_at], [null, null])
  assert.equal(
    (await audit(started)).filter(({ authorization_id, sentence }) => authorization_id === mine?.id && /has ended/.test(String(sentence)))
      .length,
    0,
  )
  assert.ok(await alice.refresh(client, next))
})

test('While the clock is not sure nobody is ended for having been gone for long [threats 490]', async (t) => {
  const started = await longGone(t)
  const sweeping = startSweep({ ...started.daemon.deps, isClockSure: () => false }, 2)
  await sleep(100)
  await sweeping.stop()
  assert.ok((await rows(started)).every(({ ended_at }) => ended_at === null))
  const sure = startSweep(started.daemon.deps, 2)
  t.after(sure.stop)
  await eventually('ended', async () => (await rows(started)).some(({ ended_at }) => ended_at !== null))
})
