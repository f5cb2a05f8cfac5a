/**
 * Puts a state that lies ready in the place of the one that is there. A crash at any moment leaves the old one or the new one: until the one rename of
 * `commitSwap` it is the old one; from then on it is the new one, for whoever opens the state next finishes what was begun.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, lstatSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makePrivateDirectory, syncDirectory, writePrivate } from '../store/private_file.ts'
import { StoreRefused } from '../store/refused.ts'
import { timeName } from '../store/time_name.ts'

/** What a state is made of, and what moves with each part. In this order. */
const parts: Readonly<Record<string, readonly string[]>> = {
  'meshidp.db': ['meshidp.db-wal', 'meshidp.db-shm', 'meshidp.db'],
  keys: ['keys'],
  secrets: ['secrets'],
}

/** Where a new state is made ready; what a restore that was cut short left there is removed by the next one. */
export const unfinishedIn = (state: string): string => join(state, '.restore.unfinished')

/** Also a link to nothing is there. */
const isThere = (path: string) => lstatSync(path, { throwIfNoEntry: false }) !== undefined

/** Those parts of `prepared` that are in `state` too, and would be replaced. */
export const replacedBy = (state: string, prepared: string): string[] =>
  Object.keys(parts).filter((name) => isThere(join(prepared, name)) && isThere(join(state, name)))

/** What of `state` has to move for them. */
export const movedFor = (state: string, prepared: string): string[] =>
  replacedBy(state, prepared)
    .flatMap((name) => parts[name] ?? [])
    .filter((name) => isThere(join(state, name)))

/** A name for a swap at `now` (seconds) that was never given before. */
export const newLabel = (now: number): string => `${timeName(now)}-${randomBytes(3).toString('hex')}`
const labelled = /^restored-(\d{8}T\d{6}Z-[0-9a-f]{6})$/

/** A file with the label in it that `commitSwap` alone writes: without it a directory is an admin's own, whatever its name. */
const marker = 'committed'

/** The new state, as it lies in `unfinishedIn`, is the one from now on; where it throws, it is not. */
export function commitSwap(state: string, label: string): void {
  const unfinished = unfinishedIn(state)
  for (const name of readdirSync(unfinished)) if (!(name in parts)) rmSync(join(unfinished, name), { recursive: true })
  writePrivate(join(unfinished, marker), label)
  renameSync(unfinished, join(state, `restored-${label}`))
}

/** The label of the swap that was committed and is not finished; undefined where there is none. */
export const begunIn = (state: string): string | undefined =>
  readdirSync(state)
    .flatMap((name) => labelled.exec(name)?.[1] ?? [])
    .find((label) => isCommitted(join(state, `restored-${label}`), label))

/** An empty one is what is left where the last step was cut short. */
function isCommitted(ready: string, label: string): boolean {
  if (!lstatSync(ready).isDirectory()) return false
  const names = readdirSync(ready)
  return names.length === 0 || (names.includes(marker) && readFileSync(join(ready, marker), 'utf8') === label)
}

/**
 * Finishes a swap that was committed, if there is one. Under the lock of the state only. Returns where the former state is now; null where there was none.
 * Throws StoreRefused where something is in the way: the next one who opens the state goes on from there.
 */
export function finishSwap(state: string): string | null {
  const label = begunIn(state)
  if (label === undefined) return null
  const ready = join(state, `restored-${label}`)
  const replaced = join(state, `replaced-${label}`)
  try {
    syncDirectory(state) // the commit stays, before anything moves
    moveAll(state, ready, replaced)
  } catch (cause) {
    throw new StoreRefused(
      `A backup was restored, but not all of it is in its place: ${(cause as Error).message}. What waits is in ${ready}, the former state in ${replaced} and ${state}; nothing is lost. Take away what is in the way; then the next start finishes it.`,
      cause,
    )
  }
  return existsSync(replaced) ? replaced : null
}

function moveAll(state: string, ready: string, replaced: string): void {
  for (const [name, old] of Object.entries(parts)) {
    // What is not there any more is in its place already.
    if (!isThere(join(ready, name))) continue
    for (const one of old.filter((one) => isThere(join(state, one)))) {
      if (!existsSync(replaced)) makePrivateDirectory(replaced)
      move(state, replaced, one)
    }
    move(ready, state, name)
  }
  rmSync(join(ready, marker), { force: true })
  // What somebody else has put there stays.
  if (readdirSync(ready).length === 0) rmdirSync(ready)
  syncDirectory(state)
}

/** On disk when this returns: the next step must not be there without this one. */
function move(from: string, to: string, name: string): void {
  renameSync(join(from, name), join(to, name))
  syncDirectory(to)
  syncDirectory(from)
}
