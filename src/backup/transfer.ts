/** `meshidp export` and `import`: what moves from one installation to another. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { openState } from '../state.ts'
import { setMeta } from '../store/meta.ts'
import { describeDatabase } from '../store/snapshot.ts'
import { addRows, type Moved, movedRows, NotARow } from '../store/transfer.ts'
import { finishBegun } from './finish_begun.ts'
import { type Head, headOf, rowsOf, verifyLines, writeLines } from './lines.ts'
import { BackupRefused } from './refused.ts'

/** Writes what moves into `file`, from beside a daemon that may run. Throws BackupRefused. */
export async function exportTo(config: Config, file: string, now: number): Promise<{ head: Head; rows: number }> {
  finishBegun(config.state_directory)
  const database = join(config.state_directory, 'meshidp.db')
  if (!existsSync(database)) throw new BackupRefused(`There is no state in ${config.state_directory} that could be exported.`)
  if (existsSync(file)) throw new BackupRefused(`${file} is there already. Name another one.`)
  const { issuer, tailnet } = describeDatabase(database)
  const head = headOf({ made_at: now, issuer: config.issuer ?? issuer, tailnet })
  try {
    return { head, rows: await writeLines(file, head, movedRows(database)) }
  } catch (cause) {
    throw new BackupRefused(`Nothing was exported: ${(cause as Error).message}.`, { cause })
  }
}

export type Imported = { head: Head; came: Moved }

/**
 * Takes the rows of `file` into the state, all or none; makes a state where there is none. Throws StateInUse while a daemon runs, and BackupRefused where the
 * file is not whole, or of another tailnet.
 */
export async function importFrom(
  config: Config,
  file: string,
  { now, credentials }: { now: () => number; credentials: string | undefined },
): Promise<Imported> {
  if (!existsSync(file)) throw new BackupRefused(`${file} is not there.`)
  const head = verifyLines(file)
  const state = await openState(config, { now, randomBytes, credentials })
  try {
    const tailnet = await state.store.meta.find('tailnet')
    if (tailnet !== undefined && head.tailnet !== null && head.tailnet !== tailnet)
      throw new BackupRefused(
        `${file} is of tailnet "${head.tailnet}", but the people known here are of "${tailnet}". User ids of two tailnets collide.`,
      )
    let line = 0
    const rows = rowsOf(file, (number) => {
      line = number
    })
    try {
      const came = addRows(join(config.state_directory, 'meshidp.db'), rows, now())
      if (tailnet === undefined && head.tailnet !== null) await state.store.commit([setMeta('tailnet', head.tailnet)])
      return { head, came }
    } catch (error) {
      throw error instanceof NotARow
        ? new BackupRefused(`${file}:${line}: ${error.message}. Nothing was taken from it.`, { cause: error })
        : error
    }
  } finally {
    await state.close()
  }
}
