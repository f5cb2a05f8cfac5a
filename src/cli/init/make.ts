/** Makes what is not there yet, and changes nothing that is. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Config } from '../../config.ts'
import { systemClock } from '../../daemon.ts'
import { holdsKeys } from '../../keys/keyset.ts'
import { keysDirectoryOf, openState } from '../../state.ts'
import { StateInUse } from '../../store/refused.ts'
import { Refused } from '../ask.ts'

/** Writes a file that is not there yet; one that came there meanwhile stays. Throws Refused. */
export function make(file: string, text: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 })
    writeFileSync(file, text, { flag: 'wx', mode: 0o644 })
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EPERM')
      throw new Refused(
        `This user may not write ${file}. Run "sudo meshidp init", or choose other places: --config FILE --state-directory DIR`,
      )
    throw new Refused(`${file} cannot be written: ${message}`, { cause })
  }
}

/** Makes state and keys where there are none; systemd gives them to the user of the service when that starts. Resolves with what came of it. */
export async function makeState(config: Config, credentials: string | undefined): Promise<string> {
  const isOld = holdsKeys(keysDirectoryOf(config, credentials))
  try {
    const state = await openState(config, { now: systemClock, randomBytes, credentials })
    await state.close()
  } catch (error) {
    if (error instanceof StateInUse) return 'in use by a daemon'
    const { code, path } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EPERM')
      throw new Refused(
        `This user may not write ${path ?? config.state_directory}. Run "sudo meshidp init", or choose another --state-directory DIR`,
      )
    throw error
  }
  return isOld ? 'there already, left as it is' : 'made, with new keys'
}
