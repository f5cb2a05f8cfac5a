/**
 * Texts that nobody would write, as policies: never anything but a policy or problems that a person can find, and never without end. `npm test` tries a few
 * thousand; `npm run test:fuzz` 100,000. FUZZ_POLICIES and FUZZ_SEED repeat a run.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { FuzzJob } from './policy_worker.ts'

const runs = Number(process.env.FUZZ_POLICIES ?? 3000)
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))
/** One text may take this long, on a machine that has other things to do. */
const DEADLINE_MS = 20_000

test('random texts as policies: each is a policy, or problems with a place and a sentence, in time [threats 355, 373, 374, 376, 377]', async (t) => {
  t.diagnostic(`FUZZ_SEED=${seed} FUZZ_POLICIES=${runs}`)
  const job: FuzzJob = { runs, seed, counter: new SharedArrayBuffer(8), text: new SharedArrayBuffer(1 << 16) }
  const [counter, bytes] = [new Int32Array(job.counter), new Uint8Array(job.text)]
  const worker = new Worker(new URL('policy_worker.ts', import.meta.url), { workerData: job })
  const found = await new Promise<string | null>((resolve, reject) => {
    let seen = -1
    const watch = setInterval(() => {
      const now = Atomics.load(counter, 0)
      if (now === seen) resolve(`This text takes longer than ${DEADLINE_MS} ms: ${Buffer.from(bytes.slice(0, Atomics.load(counter, 1)))}`)
      seen = now
    }, DEADLINE_MS)
    t.after(() => clearInterval(watch))
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  await worker.terminate()
  assert.equal(found, null)
  assert.ok(Atomics.load(counter, 0) >= runs)
})
