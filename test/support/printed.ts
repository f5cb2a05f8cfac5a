/** `meshidp …` in this process. */
import type { Terminal } from '../../src/cli/command.ts'
import { run } from '../../src/cli/index.ts'

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
      keepPrivate: () => undefined,
      onHangup: () => undefined,
      untilStopped: async () => 'SIGTERM',
      ...terminal,
    },
    argv,
  )
  return { code, ...texts }
}
