/** What the daemon does by itself, again and again. */
export type Rounds = {
  /** No further round; resolves when the one that is on is over. */
  stop(): Promise<void>
}

/** Calls `round` every `every` milliseconds until stopped, never twice at a time: what comes due meanwhile is left out. `round` must not reject. */
export function startRounds(every: number, round: () => Promise<void>): Rounds {
  let current: Promise<void> | null = null
  const timer = setInterval(() => {
    current ??= round().finally(() => {
      current = null
    })
  }, every)
  timer.unref()
  return {
    async stop() {
      clearInterval(timer)
      await current
    },
  }
}
