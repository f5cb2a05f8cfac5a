/**
 * `npm run test:mesh [FILES]`: the tests that need a real mesh, each file in a network namespace of its own. `npm test` runs it too, where the lab is
 * built.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { areBuilt } from './binaries.ts'

const here = fileURLToPath(new URL('.', import.meta.url))
const suites = readdirSync(here)
  .filter((file) => file.endsWith('.mesh.ts'))
  .toSorted()
  .map((file) => join(here, file))

if (!areBuilt()) {
  console.error('The mesh lab is not built. Run: npm run mesh:build')
  process.exit(1)
}
const { NODE_TEST_CONTEXT: _, ...env } = process.env
for (const file of process.argv.length > 2 ? process.argv.slice(2) : suites) {
  const runner = [process.execPath, '--test', '--test-reporter=spec', file]
  const { status, error } = spawnSync(join(here, 'in_namespace.sh'), runner, { stdio: 'inherit', env })
  if (error) console.error(`A network namespace cannot be made here: ${error.message}`)
  if (status !== 0) process.exitCode = status ?? 1
}
