import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { install } from '../support/program.ts'
import { clockApart, environment, fakeTime } from '../support/start_apart.ts'

const dayMs = 86_400_000
const skip = fakeTime === undefined && 'Without libfaketime no clock but the machine’s can be had.'

test('what is done again and again follows a clock that nobody sets: not the wall clock when it leaps, and what was due in a sleep is not made up for [threats 493]', {
  skip,
}, async (t) => {
  const installation = await install(t)
  const { directory, mesh, at } = installation
  const alice = at('127.0.0.2')
  const clock = clockApart(directory)
  const daemon = await installation.serve({ env: environment(directory) })
  const seenClock = async () => Date.parse(String((await alice.send('/healthz')).headers.date))
  // A mesh that does not answer is asked again each second.
  await mesh.close()
  let asked = 0
  const deaf = createServer((socket) => {
    asked++
    socket.destroy()
  }).listen(mesh.socket)
  t.after(() => deaf.close())
  const within = async (milliseconds: number) => {
    const before = asked
    await pause(milliseconds)
    return asked - before
  }
  await within(2000)
  const usual = await within(4000)
  assert.ok(usual >= 2, `${usual} questions`)
  for (const days of [1, -2]) {
    const before = await seenClock()
    clock.advance({ days })
    const after = await within(4000)
    assert.equal(Math.round(((await seenClock()) - before) / dayMs), days, 'the daemon sees that clock')
    assert.ok(after >= usual / 2 && after <= usual * 2, `${usual} questions in a while, and ${after} when the clock leapt by ${days} days`)
  }
  daemon.child.kill('SIGSTOP')
  await pause(8000)
  daemon.child.kill('SIGCONT')
  const awake = await within(4000)
  assert.ok(awake >= 1 && awake <= usual * 2, `${usual} questions in a while, and ${awake} after a sleep of twice that`)
})
