/** `meshidp policy …` in this process, on files of its own. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Terminal } from '../../src/cli/command.ts'
import { run } from '../../src/cli/index.ts'
import { temporaryDirectory } from './start.ts'

export type Printed = { code: number; stdout: string; stderr: string }

/** Runs a command line; `terminal`: how it differs from one that nobody looks at. */
export async function printed(argv: readonly string[], terminal: Partial<Terminal> = {}): Promise<Printed> {
  const texts = { stdout: '', stderr: '' }
  const code = await run(
    {
      env: {},
      pid: 1,
      program: 'meshidp',
      interactive: false,
      write: (text) => {
        texts.stdout += text
      },
      writeError: (text) => {
        texts.stderr += text
      },
      onHangup: () => undefined,
      untilStopped: async () => 'SIGTERM',
      ...terminal,
    },
    argv,
  )
  return { code, ...texts }
}

/** Writes a policy file that goes when the test ends; gives its path. */
export function written(t: TestContext, text: string, name = 'policy.hujson'): string {
  const file = join(temporaryDirectory(t), name)
  writeFileSync(file, text)
  return file
}
