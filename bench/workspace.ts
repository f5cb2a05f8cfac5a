/** What a run of the benchmark needs around it: a folder that goes away with it, the end of all its processes, and a line for who waits. */
import { rmSync } from 'node:fs'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { killAll } from './child.ts'
import { LOAD_CORE, pinSelf } from './machine.ts'

/** Makes a folder of its own in `parent`, and moves this process off the measured core. Resolves with the folder's path. */
export async function workspace(parent: string): Promise<string> {
  pinSelf(LOAD_CORE)
  await mkdir(parent, { recursive: true })
  const directory = await mkdtemp(join(parent, 'bench-'))
  process.once('exit', () => {
    killAll()
    rmSync(directory, { recursive: true, force: true })
    say('')
  })
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130))
  return directory
}

/** What is going on, on a line that is written over; only where a person looks. */
export function say(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${text}`)
}
