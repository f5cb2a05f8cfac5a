/** The tests that need a real mesh run where the lab is built (`npm run mesh:build`), all of them, in a process with a network of its own; .ci/run runs them apart. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { spawned } from '../support/program.ts'
import { areBuilt } from './binaries.ts'

test('the suite on a real mesh (npm run test:mesh)', async (t) => {
  if (process.env.MESH_SUITE === 'apart') return t.skip('it runs apart')
  if (!areBuilt()) return t.skip('the mesh lab is not built: npm run mesh:build')
  const { code, stdout, stderr } = await spawned(t, process.execPath, [fileURLToPath(new URL('run.ts', import.meta.url))]).ended
  assert.equal(code, 0, stdout + stderr)
})
