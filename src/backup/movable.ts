/** Whether what is there can be moved out of the way, asked before anything moves: a mount point cannot. */
import { linkSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { BackupRefused } from './refused.ts'

/** How the kernel says that nothing but the directory in the way kept it from a rename. */
const movable = ['ENOTEMPTY', 'EEXIST', 'EISDIR']
const ofMounts = ['EBUSY', 'EXDEV']

/** Throws BackupRefused for the first of `names` in `state` that cannot be moved within it. `probe`: a path in `state` where nothing is. */
export function assertMovable(state: string, names: readonly string[], probe: string): void {
  mkdirSync(join(probe, 'full'), { recursive: true })
  try {
    for (const path of names.map((name) => join(state, name))) {
      const code = obstacleOf(path, probe)
      if (code !== null)
        throw new BackupRefused(`Nothing was restored: ${path} must be moved aside, and cannot be (${code}). ${adviceOn(code, state)}`)
    }
  } finally {
    rmSync(probe, { recursive: true, force: true })
  }
}

const adviceOn = (code: string, state: string) =>
  ofMounts.includes(code)
    ? `Something is mounted there. Unmount it, and restore again; to have the state elsewhere, mount all of ${state}.`
    : 'Look at its owner, mode and attributes (lsattr), and restore again.'

/** Why `path` cannot be renamed, as a code of errno; null where it can. It stays where it is. */
function obstacleOf(path: string, probe: string): string | null {
  // Nothing is ever put in the place of a directory that holds something; all else that forbids a rename is said first.
  const code = codeOf(() => renameSync(path, probe))
  if (code === null)
    renameSync(probe, path) // a file system that does so anyway
  else if (!movable.includes(code)) return code
  // But not of a file that is mounted: the kernel looks at the kinds before. No mount can be linked out of.
  const linked = lstatSync(path).isFile() ? codeOf(() => linkSync(path, join(probe, 'link'))) : null
  rmSync(join(probe, 'link'), { force: true })
  return linked === 'EXDEV' ? linked : null
}

function codeOf(deed: () => void): string | null {
  try {
    deed()
    return null
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown'
  }
}
