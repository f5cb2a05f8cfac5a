/** What an operator does to the daemon while it works: another policy, other keys, another certificate. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startRounds } from '../../src/rounds.ts'
import { type Files, writeCertificate, writePolicy } from './world.ts'

const POLICY_EVERY_MS = 5000
const CERTIFICATE_EVERY_MS = 15_000
const KEYS_EVERY_MS = 30_000

const program = fileURLToPath(new URL('../../bin/meshidp.mjs', import.meta.url))

export type Changed = { policies: number; certificates: number; rotations: number; failures: string[] }

/** Begins now; `stop` resolves with what was done. */
export function startChanges(files: Files): { stop: () => Promise<Changed> } {
  const changed: Changed = { policies: 0, certificates: 0, rotations: 0, failures: [] }
  const meshidp = (...args: string[]) =>
    promisify(execFile)(process.execPath, [
      '--liftoff-only',
      '--disable-warning=ExperimentalWarning',
      program,
      ...args,
      '--config',
      files.config,
    ])
  const rounds = [
    startRounds(POLICY_EVERY_MS, async () => writePolicy(files, ++changed.policies)),
    startRounds(CERTIFICATE_EVERY_MS, async () => {
      writeCertificate(files)
      changed.certificates++
    }),
    startRounds(KEYS_EVERY_MS, async () => {
      await meshidp('keys', 'rotate', '--now').then(
        () => changed.rotations++,
        (error: Error) => changed.failures.push(error.message),
      )
    }),
  ]
  return {
    async stop() {
      await Promise.all(rounds.map((round) => round.stop()))
      const { stdout } = await meshidp('status').catch((error: Error & { stdout?: string }) => ({
        stdout: `${error.stdout ?? ''}${error.message}`,
      }))
      if (!/^ready +yes/m.test(stdout)) changed.failures.push(`not ready at the end: ${stdout}`)
      return changed
    },
  }
}
