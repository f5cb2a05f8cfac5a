import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { codeFor, grafana, policy, redeem, wikiServer } from '../daemon/load.ts'
import { eventually } from '../support/eventually.ts'
import { install } from '../support/program.ts'
import { fakeTime } from '../support/start_apart.ts'

const aDay = 86_400

suite('the process and its clock', { concurrency: true }, () => {
  test('file descriptors run out: said, not ready; whoever is connected is answered, and all goes on when they are free again', async (t) => {
    const installation = await install(t, { policy })
    const daemon = await installation.serve()
    const alice = installation.at('127.0.0.2')
    const held = await redeem(alice, await codeFor(alice)) // her connection is kept
    execFileSync('prlimit', ['--pid', String(daemon.child.pid), '--nofile=64:4096'])
    const crowd: Socket[] = []
    const leave = () => {
      for (const socket of crowd) socket.destroy()
    }
    t.after(leave)
    for (let count = 0; count < 100; count++) {
      const socket = connect({ port: installation.port, host: '127.0.0.1', localAddress: `127.0.0.${10 + (count % 50)}` })
      socket.on('error', () => undefined)
      crowd.push(socket)
    }
    const readiness = await eventually('noticed', async () => {
      const answer = await alice.send('/readyz')
      return answer.status === 503 && answer.json().descriptors !== undefined ? answer : null // others may notice first that no file can be opened
    })
    assert.equal(readiness.json().descriptors, 'nearly all file descriptors are in use')
    await daemon.says(/"msg":"Not ready\. .*file descriptors are in use: connections beyond are closed unheard\. Raise LimitNOFILE=/)
    leave()
    await eventually('ready again', async () => (await alice.send('/readyz')).status === 200)
    assert.ok((await alice.refresh(grafana, held)).refresh_token)
    assert.ok((await installation.at('127.0.0.3').send('/healthz')).status === 200, 'on a new connection')
    await daemon.says(/"msg":"descriptors: all is well again"/)
  })

  test('the event loop stands still: said afterwards, and whoever waited is answered', async (t) => {
    const installation = await install(t, { policy })
    const daemon = await installation.serve()
    const alice = installation.at('127.0.0.2')
    await alice.send('/healthz')
    daemon.child.kill('SIGSTOP')
    const asked = alice.send('/healthz')
    await pause(5000)
    daemon.child.kill('SIGCONT')
    assert.equal((await asked).status, 200)
    await daemon.says(/"level":"warn".*"msg":"For \d seconds nobody was answered: the event loop stood still\."/)
  })

  const withoutFakeTime =
    fakeTime === undefined && 'Without libfaketime no clock but the machine’s can be had (Debian: apt-get install faketime).'
  // The janitor looks once a minute, and what is tested is that it does not remove.
  test('the clock is set forward by 100 days: said, tokens end, nothing is removed; set back, all is as it was', {
    skip: withoutFakeTime,
  }, async (t) => {
    const installation = await install(t, { policy, config: { log_level: 'debug' } })
    const clock = join(installation.directory, 'clock')
    const set = (seconds: number) => writeFileSync(clock, `${seconds < 0 ? '' : '+'}${seconds}`)
    set(0)
    const env = { LD_PRELOAD: String(fakeTime), FAKETIME_TIMESTAMP_FILE: clock, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' }
    const daemon = await installation.serve({ env })
    const alice = installation.at('127.0.0.2')
    const held = await redeem(alice, await codeFor(alice))
    await pause(2500) // one look at the clock as it was
    set(100 * aDay)
    await daemon.says(/"msg":"The clock was set forward by 100 days\. .*nothing is removed for an hour\."/)
    assert.equal((await alice.introspect(wikiServer, held.access_token)).active, false)
    await assert.rejects(alice.refresh(grafana, held), { error: 'invalid_grant' })
    const later = await redeem(alice, await codeFor(alice))
    await pause(63_000)
    assert.doesNotMatch(daemon.said(), /removed what has ended/)
    set(0)
    await daemon.says(/"msg":"The clock was set back by /)
    assert.equal((await alice.introspect(wikiServer, held.access_token)).active, true)
    assert.ok((await alice.refresh(grafana, held)).refresh_token)
    assert.equal((await alice.introspect(wikiServer, later.access_token)).active, true)
  })

  test('a start with the clock 400 days ahead: said, no software and no decision is removed; at the next start with the clock set right all is as it was', {
    skip: withoutFakeTime,
  }, async (t) => {
    const installation = await install(t, { policy, config: { log_level: 'debug' } })
    const clock = join(installation.directory, 'clock')
    const set = (seconds: number) => writeFileSync(clock, `+${seconds}`)
    const env = { LD_PRELOAD: String(fakeTime), FAKETIME_TIMESTAMP_FILE: clock, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' }
    const alice = installation.at('127.0.0.2')
    set(0)
    const first = await installation.serve({ env })
    const registered = await alice.register()
    const held = await redeem(alice, await codeFor(alice))
    await first.end()
    set(400 * aDay)
    const ahead = await installation.serve({ env })
    await pause(63_000)
    assert.match(ahead.said(), /"msg":"The clock is 400 days ahead of the time at which this state was last in use\. /)
    assert.doesNotMatch(ahead.said(), /removed what has ended/)
    await ahead.end()
    set(0)
    await installation.serve({ env })
    const { stdout } = await installation.run('clients', 'list', '--json')
    assert.ok(stdout.includes(registered.client_id))
    assert.ok((await alice.refresh(grafana, held)).refresh_token)
  })

  test('the clock is set back by two days: said; what was given still works, so does a new sign-in, and a spent code stays spent', {
    skip: withoutFakeTime,
  }, async (t) => {
    const installation = await install(t, { policy })
    const clock = join(installation.directory, 'clock')
    writeFileSync(clock, '+0')
    const env = { LD_PRELOAD: String(fakeTime), FAKETIME_TIMESTAMP_FILE: clock, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' }
    const daemon = await installation.serve({ env })
    const alice = installation.at('127.0.0.2')
    const code = await codeFor(alice)
    await redeem(alice, code)
    const held = await redeem(alice, await codeFor(alice))
    await pause(2500)
    writeFileSync(clock, `-${2 * aDay}`)
    await daemon.says(/"msg":"The clock was set back by 2 days\. /)
    assert.equal((await alice.introspect(wikiServer, held.access_token)).active, true)
    assert.ok((await alice.refresh(grafana, held)).refresh_token)
    assert.ok((await redeem(alice, await codeFor(alice))).access_token)
    await assert.rejects(redeem(alice, code), { error: 'invalid_grant' })
  })
})
