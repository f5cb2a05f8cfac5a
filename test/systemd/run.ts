/** `npm run test:systemd`: the service under a real systemd, in a container; where there can be none, a sentence says why. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { unable } from './machine.ts'

const why = unable()
if (why === null) {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const file = fileURLToPath(new URL('service.systemd.ts', import.meta.url))
  const { status } = spawnSync(process.execPath, ['--test', '--test-reporter=spec', file], { stdio: 'inherit', env })
  process.exitCode = status ?? 1
} else console.error(`The tests under a real systemd are skipped: ${why}.`)
