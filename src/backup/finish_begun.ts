/** A restore that was cut short is finished by whoever looks at the state next, as a daemon would when it starts. */
import { existsSync } from 'node:fs'
import { type Lock, lockState } from '../store/lock.ts'
import { StateInUse } from '../store/refused.ts'
import { begunIn, finishSwap } from './swap.ts'

/**
 * Does so where no daemon runs: one that does has done it. Where nothing was begun the lock is not touched, for a daemon that starts just then wants it.
 * Throws StoreRefused.
 */
export function finishBegun(state: string): void {
  if (!existsSync(state) || begunIn(state) === undefined) return
  let lock: Lock
  try {
    lock = lockState(state)
  } catch (error) {
    if (error instanceof StateInUse) return
    throw error
  }
  try {
    finishSwap(state)
  } finally {
    lock.release()
  }
}
