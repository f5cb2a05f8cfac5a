/**
 * Preloaded into a command: it dies by SIGKILL so many milliseconds (`DIES_AFTER_MS`) after it first touched the state directory (`DIES_AT`), wherever it is
 * then, also in the middle of what blocks its event loop: another thread ends it. Without `DIES_AFTER_MS` it says, at its end, how long it was at work.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { Worker } from 'node:worker_threads'

const { DIES_AT: state = '', DIES_AFTER_MS: after } = process.env
const begun = new Int32Array(new SharedArrayBuffer(4))
let since = 0

for (const name of ['mkdirSync', 'openSync'] as const) {
  const original = fs[name] as (...args: unknown[]) => unknown
  Object.assign(fs, {
    [name](...args: unknown[]) {
      if (since === 0 && String(args[0]).startsWith(state)) {
        since = performance.now()
        Atomics.store(begun, 0, 1)
        Atomics.notify(begun, 0)
      }
      return original(...args)
    },
  })
}
syncBuiltinESMExports()

if (after === undefined) process.on('exit', () => process.stderr.write(`at work for ${performance.now() - since} ms\n`))
else
  new Worker(
    `const { begun, after } = require('node:worker_threads').workerData
    Atomics.wait(begun, 0, 0)
    Atomics.wait(begun, 0, 1, after)
    process.kill(process.pid, 'SIGKILL')`,
    { eval: true, workerData: { begun, after: Number(after) } },
  ).unref()
