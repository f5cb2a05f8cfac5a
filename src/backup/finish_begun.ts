/** A restore that was cut short is finished by whoever looks at the state next, as a daemon would when it starts. */
import { existsSync } from 'node:fs'
import { type Lock, lockState } from '../store/lock.ts'
import { StateInUse } from '../store/refused.ts'
import { finishSwap } from './swap.ts'

/** Does so where no daemon runs: one that does has done it. Throws StoreRefused. */
export function finishBegun(state: string): void {
  if (!existsSync(state)) return
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
