import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** An empty directory (0700) that goes with the test. */
export function freshDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'meshidp-store-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
