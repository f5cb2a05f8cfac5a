import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createReadStream, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { install, meshidp, type Running } from '../support/program.ts'
import { temporaryDirectory } from '../support/start.ts'
import { codeFor, grafana, policy, redeem } from './load.ts'

/** Where its standard output goes, in the words of a shell. `pipe`: into one that is full, and has no reader but whoever opens $LOG. */
const ways = {
  file: 'exec "$0" "$@" >>"$LOG"',
  pipe: 'exec 3<>"$LOG"; head -c 65536 /dev/zero >&3; exec "$0" "$@" >&3',
}

/** A daemon whose standard output is `log`. */
async function startWith(t: TestContext, log: string, way: keyof typeof ways = 'file') {
  const installation = await install(t, { policy, config: { log_level: 'info' } })
  const alice = installation.at('127.0.0.2')
  const serve = async (): Promise<Running> => {
    const daemon = meshidp(t, ['serve', '--config', installation.configFile], {
      under: ['sh', '-c', ways[way]],
      env: { LOG: log, PATH: process.env.PATH },
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

/** A named pipe for the log. */
function namedPipe(t: TestContext): string {
  const pipe = join(temporaryDirectory(t), 'log')
  execFileSync('mkfifo', [pipe])
  return pipe
}

test('where nobody reads the log any more, and its pipe is full, the daemon goes on, and ends when it is told to [threats 484]', async (t) => {
  const { serve, work, refreshes } = await startWith(t, namedPipe(t), 'pipe')
  const daemon = await serve()
  await work()
  assert.equal(await refreshes(), 5)
  const { code, signal, stderr } = await daemon.end()
  assert.deepEqual([code, signal, stderr], [0, null, ''])
})

test('whoever comes late to read the log finds all of it, in order', async (t) => {
  const pipe = namedPipe(t)
  const { serve, work } = await startWith(t, pipe, 'pipe')
  const daemon = await serve()
  await work()
  let log = ''
  for await (const piece of createReadStream(pipe, 'utf8')) {
    if (log === '') daemon.child.kill('SIGTERM') // from now on it is read
    log += piece
  }
  assert.equal((await daemon.ended).code, 0)
  const messages = log
    .replace(/^\0+/, '')
    .trimEnd()
    .split('\n')
    .map((line) => String(JSON.parse(line).msg))
  assert.equal(messages.filter((message) => message.startsWith('POST /token')).length, 6)
  assert.match(messages[0] ?? '', /^The mesh is running/)
  assert.equal(messages.at(-1), 'stopping after SIGTERM')
})
