import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves with the first value of `look` that is neither false, null nor undefined. Rejects after `patience` milliseconds. */
export async function eventually<T>(what: string, look: () => Promise<T> | T, patience = 20_000): Promise<NonNullable<T>> {
  const end = Date.now() + patience
  for (;;) {
    const value = await look()
    if (value !== false && value !== null && value !== undefined) return value as NonNullable<T>
    if (Date.now() > end) throw new Error(`${what}: not after ${patience / 1000} s`)
    await sleep(25)
  }
}
