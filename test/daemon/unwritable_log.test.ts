import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { install, meshidp, type Running } from '../support/program.ts'
import { codeFor, grafana, policy, redeem } from './load.ts'

/** A daemon whose standard output is the file `log`. */
async function startWith(t: TestContext, log: string) {
  const installation = await install(t, { policy, config: { log_level: 'info' } })
  const alice = installation.at('127.0.0.2')
  const serve = async (): Promise<Running> => {
    const daemon = meshidp(t, ['serve', '--config', installation.configFile], {
      under: ['sh', '-c', 'exec "$0" "$@" >>"$LOG"'],
      env: { LOG: log },
    })
    await eventually('it serves', () =>
      alice.send('/readyz').then(
        ({ status }) => status === 200,
        () => false,
      ),
    )
    return daemon
  }
  const work = async () => {
    let tokens = await redeem(alice, await codeFor(alice))
    for (let times = 0; times < 5; times++) {
      tokens = await alice.refresh(grafana, tokens)
      await new Promise((resolve) => setTimeout(resolve, 50)) // so that each is written by itself
    }
  }
  const refreshes = async () => {
    const { decisions } = JSON.parse((await installation.run('decisions', 'list', '--json')).stdout) as { decisions: { entry: string }[] }
    return decisions.filter(({ entry }) => entry === 'refresh_token').length
  }
  return { serve, work, refreshes }
}

test('where no line of the log can be written the daemon goes on and stops well, for what was decided is in the database [threats 484]', async (t) => {
  const { serve, work, refreshes } = await startWith(t, '/dev/full')
  const daemon = await serve()
  await work()
  assert.equal(await refreshes(), 5)
  const { code, stderr } = await daemon.end()
  assert.deepEqual([code, stderr], [0, ''])
})

test('where the disk of the log was full, the log says how many lines it lost [threats 484]', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('to make a small disk takes root')
  const disk = join('/tmp', `meshidp-log-${process.pid}`)
  mkdirSync(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk])
  t.after(() => {
    execFileSync('umount', ['--lazy', disk])
    rmSync(disk, { recursive: true })
  })
  const [log, ballast] = [join(disk, 'log'), join(disk, 'ballast')]
  const { serve, work, refreshes } = await startWith(t, log)
  const daemon = await serve()
  try {
    writeFileSync(ballast, Buffer.alloc(64 * 1024))
  } catch {
    // It fills what is left, but for the rest of the log's own page.
  }
  for (let times = 0; times < 4; times++) await work()
  rmSync(ballast)
  await work()
  const { code } = await daemon.end()
  assert.deepEqual([code, await refreshes()], [0, 25])
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n')
  const [, lost = '0'] = /(\d+) lines of the log could not be written, and are lost: ENOSPC/.exec(lines.join('\n')) ?? []
  assert.ok(Number(lost) >= 1, lines.join('\n'))
  assert.match(lines.at(-1) ?? '', /"stopping after SIGTERM"/)
})
