/**
 * `npm run test:binary`: the single executable by itself, and the end-to-end suite against it: as another user, with nothing to write to but /tmp, each daemon in
 * an empty environment. Where that cannot be had, a sentence says why.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { fakeTime } from '../support/start_apart.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const executable = `dist/meshidp-linux-${process.arch}`
const by = fileURLToPath(new URL('confined.sh', import.meta.url))

/** What boots the daemon as a process, or through `start(t)`, and needs nothing of its inside. */
const driven = globSync(
  ['test/e2e/*.test.ts', 'test/e2e/clients/*.test.ts', 'test/daemon/{killed,stop,inherited_sockets,rotation_under_load}.test.ts'],
  { cwd: root },
)
const options = ['--test', '--test-reporter=spec', '--test-concurrency=2']
const { NODE_TEST_CONTEXT: _, ...env } = process.env

/** Why the suite cannot be run against it; null where it can. */
function unable(): string | null {
  if (process.getuid?.() !== 0) return 'to change the user and what is mounted takes root'
  if (!['unshare', 'setpriv'].every((name) => existsSync(`/usr/bin/${name}`))) return 'there is no unshare and setpriv (util-linux)'
  if (fakeTime === undefined) return 'there is no libfaketime; on Debian: apt-get install faketime'
  return null
}

const run = (command: string, args: string[], more = {}) => {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...env, ...more } })
  if (status !== 0) process.exitCode = 1
}

run(process.execPath, [...options, 'test/binary/executable.binary.ts'])
const why = unable()
if (why === null) run('bash', [by, root, process.execPath, ...options, ...driven.sort()], { TESTED_EXECUTABLE: executable })
else console.error(`The end-to-end suite is not run against the single executable: ${why}.`)
