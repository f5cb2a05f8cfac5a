import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

/** Runs `test/store/<file>` in a process of its own, which does not outlive the test. */
export function child(t: TestContext, file: string, ...args: string[]) {
  const started = spawn(process.execPath, [fileURLToPath(new URL(file, import.meta.url)), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => started.kill('SIGKILL'))
  const spoken = once(started.stdout, 'data')
  const ended = Promise.all([text(started.stdout), text(started.stderr), once(started, 'close')]).then(([stdout, stderr]) => ({
    stdout,
    stderr,
    signal: started.signalCode,
  }))
  return {
    /** Resolves once it has said something: it is at work. Rejects where it ends without. */
    speaks: () =>
      Promise.race([
        spoken,
        ended.then(({ stdout, stderr }) => {
          if (stdout === '') throw new Error(`${file} said nothing, and ended: ${stderr}`)
        }),
      ]),
    kill: () => started.kill('SIGKILL'),
    /** Once it is gone: all it said, and the signal that ended it. */
    ended,
  }
}
