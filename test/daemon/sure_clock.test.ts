/** What a wrong clock must not cost: nothing is removed before the clock has gone on for an hour without a leap. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { startJanitor } from '../../src/janitor.ts'
import { createStore } from '../../src/store/index.ts'
import { clockSeen, steadyEnough } from '../../src/store/meta.ts'
import { migrations } from '../../src/store/migrations/index.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { startSureClock } from '../../src/sure_clock.ts'
import { eventually } from '../support/eventually.ts'
import { type Started, start, temporaryDirectory, testLog } from '../support/start.ts'
import { changeMesh } from '../support/token_request.ts'

const aDay = 86_400

/** How many there are, also of those that are not shown any more. */
const rowsOf = async ({ daemon }: Started) =>
  await daemon.deps.store.engine.get<{ clients: number; decisions: number; authorizations: number }>(
    `SELECT (SELECT count(*) FROM clients) AS clients, (SELECT count(*) FROM decisions) AS decisions,
      (SELECT count(*) FROM authorizations) AS authorizations`,
    {},
  )

/** Many rounds of the janitor, which a daemon makes one a minute of. */
async function cleanFor({ daemon }: Started, milliseconds: number): Promise<void> {
  const janitor = startJanitor(daemon.deps, 2)
  await pause(milliseconds)
  await janitor.stop()
}

test('a start with the clock ahead removes no software and no decision, nor do further starts; set right, all is as it was [threats 490]', async (t) => {
  const first = await start(t)
  const client = await first.alice.register()
  const tokens = await first.alice.signIn(client, { scope: 'wiki:read offline_access' })
  const before = await rowsOf(first)
  first.clock.advance({ days: 400 })
  let ahead = await first.restart()
  for (let starts = 0; starts < 3; starts++) {
    await cleanFor(ahead, 100)
    assert.deepEqual(await rowsOf(ahead), before)
    ahead = await ahead.restart()
  }
  assert.ok(
    ahead.logged.some(({ message }) => /^The clock is 400 days ahead of the time at which this state was last in use\./.test(message)),
  )
  first.clock.advance({ days: -400 })
  const right = await ahead.restart()
  assert.ok((await right.alice.refresh(client, tokens)).refresh_token)
})

test('a clock that is sure removes at once what has ended', async (t) => {
  const started = await start(t)
  await started.alice.register()
  started.clock.advance({ days: 400 }) // not the machine's own, which is what a running daemon watches
  const janitor = startJanitor(started.daemon.deps, 2)
  t.after(janitor.stop)
  await eventually('removed', async () => (await rowsOf(started))?.clients === 0)
})

test('after a clock that was ahead is set right, software of people who are gone is found as often as before [threats 491, 493]', async (t) => {
  const started = await start(t)
  const { clock, daemon, alice } = started
  await alice.register()
  const missing = async () => (await daemon.deps.store.registrants.list('', 2)).map(({ missing_since }) => missing_since)
  const real = performance.now.bind(performance)
  let later = 0
  t.mock.method(performance, 'now', () => real() + later)
  clock.advance({ days: 3 })
  const janitor = startJanitor({ ...daemon.deps, isClockSure: () => true }, 2)
  t.after(janitor.stop)
  await pause(50)
  clock.advance({ days: -3 })
  await changeMesh(started, { machines: { 'alice-laptop': { removed: true }, 'alice-phone': { removed: true } } })
  later = 3_600_000
  await eventually('noted', async () => (await missing())[0] === clock.now())
})

/** Clocks of a machine whose daemons use one state, and what they note in it. */
async function machine(t: TestContext) {
  const engine = await openSqlite(join(temporaryDirectory(t), 'meshidp.db'), { migrations, now: 0 })
  t.after(() => engine.close())
  const store = createStore(engine)
  const time = { wall: 1_800_000_000, steady: 0 }
  const noted = (at: number) => eventually('noted', async () => (await store.meta.clock())?.at === at)
  return {
    time,
    store,
    noted,
    pass: (seconds: number) => {
      time.wall += seconds
      time.steady += seconds
    },
    boot: () =>
      startSureClock({ store, log: testLog().log, now: () => time.wall }, { wall: () => time.wall, steady: () => time.steady }, 1),
    used: () => store.commit([clockSeen({ at: time.wall, steady: steadyEnough })]),
  }
}

test('a break of an hour leaves the clock sure; a longer one, and one after which it is behind, cost an hour of uptime [threats 490, 491]', async (t) => {
  for (const [away, sure] of [
    [0, true],
    [3600, true],
    [3601, false],
    [30 * aDay, false],
    [-60, true],
    [-61, false],
  ] as const) {
    const { time, used, boot, pass } = await machine(t)
    await used()
    time.wall += away
    const clock = await boot()
    assert.equal(clock.isSure(), sure, `${away} s away`)
    await clock.stop()
    if (sure) continue
    const again = await boot()
    pass(3599)
    assert.equal(again.isSure(), false)
    pass(1)
    assert.equal(again.isSure(), true)
    await again.stop()
  }
})

test('a state of which no daemon noted the time is not sure of it for an hour', async (t) => {
  const { boot, pass } = await machine(t)
  const clock = await boot()
  assert.equal(clock.isSure(), false)
  pass(3600)
  assert.equal(clock.isSure(), true)
  await clock.stop()
})

test('the hour is of all starts together: a restart does not cut it short, and daemons that end soon are sure some day [threats 490]', async (t) => {
  const { time, used, boot, pass, noted } = await machine(t)
  await used()
  time.wall += 400 * aDay
  for (let starts = 0; starts < 12; starts++) {
    const clock = await boot()
    await noted(time.wall)
    assert.equal(clock.isSure(), false, `after ${starts} starts`)
    pass(300)
    await noted(time.wall)
    await clock.stop()
  }
  assert.equal((await boot()).isSure(), true)
})

test('a leap while it runs begins the hour anew, and a restart within it does not end it [threats 490]', async (t) => {
  const { time, used, boot, pass, noted } = await machine(t)
  await used()
  const clock = await boot()
  await noted(time.wall)
  assert.equal(clock.isSure(), true)
  time.wall += 1800
  await noted(time.wall)
  assert.equal(clock.isSure(), false)
  pass(1200)
  await noted(time.wall)
  await clock.stop()
  const next = await boot()
  assert.equal(next.isSure(), false)
  pass(2400)
  assert.equal(next.isSure(), true)
  await next.stop()
})
