/**
 * Puts a state that lies ready in the place of the one that is there. A crash at any moment leaves the old one or the new one: until the one rename of
 * `commitSwap` it is the old one; from then on it is the new one, for whoever opens the state next finishes what was begun.
 */
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makePrivateDirectory, syncDirectory } from '../store/private_file.ts'

/** What a state is made of, and what moves with each part. In this order. */
const parts: Readonly<Record<string, readonly string[]>> = {
  'meshidp.db': ['meshidp.db-wal', 'meshidp.db-shm', 'meshidp.db'],
  keys: ['keys'],
  secrets: ['secrets'],
}

/** Where a new state is made ready; what a restore that was cut short left there is removed by the next one. */
export const unfinishedIn = (state: string): string => join(state, '.restore.unfinished')

/** Those parts of `prepared` that are in `state` too, and would be replaced. */
export const replacedBy = (state: string, prepared: string): string[] =>
  Object.keys(parts).filter((name) => existsSync(join(prepared, name)) && existsSync(join(state, name)))

/** The new state, as it lies in `unfinishedIn`, is the one from now on. `label`: a name for this swap that was never given before. */
export function commitSwap(state: string, label: string): void {
  const unfinished = unfinishedIn(state)
  for (const name of readdirSync(unfinished)) if (!(name in parts)) rmSync(join(unfinished, name), { recursive: true })
  syncDirectory(unfinished)
  renameSync(unfinished, join(state, `restored-${label}`))
  syncDirectory(state)
}

/** Finishes a swap that was committed, if there is one. Under the lock of the state only. Returns where the former state is now; null where there was none. */
export function finishSwap(state: string): string | null {
  const found = readdirSync(state).find((name) => name.startsWith('restored-'))
  if (found === undefined) return null
  const ready = join(state, found)
  const replaced = join(state, found.replace('restored-', 'replaced-'))
  for (const [name, old] of Object.entries(parts)) {
    // What is not there any more is in its place already.
    if (!existsSync(join(ready, name))) continue
    for (const one of old.filter((one) => existsSync(join(state, one)))) {
      if (!existsSync(replaced)) makePrivateDirectory(replaced)
      move(state, replaced, one)
    }
    move(ready, state, name)
  }
  rmSync(ready, { recursive: true })
  syncDirectory(state)
  return existsSync(replaced) ? replaced : null
}

/** On disk when this returns: the next step must not be there without this one. */
function move(from: string, to: string, name: string): void {
  renameSync(join(from, name), join(to, name))
  syncDirectory(to)
  syncDirectory(from)
}
