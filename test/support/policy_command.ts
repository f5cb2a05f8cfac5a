/** `meshidp policy …` in this process, on files of its own. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { temporaryDirectory } from './start.ts'

/** Writes a policy file that goes when the test ends; gives its path. */
export function written(t: TestContext, text: string, name = 'policy.hujson'): string {
  const file = join(temporaryDirectory(t), name)
  writeFileSync(file, text)
  return file
}
