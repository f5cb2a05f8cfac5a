/** Answers of whois for a moment (a second at most), so that a flood of one caller is one question. Never an error, never for longer. */
import type { Caller } from '../oauth/principal.ts'

export type Callers = {
  /** The answer given a moment ago, if it still counts. */
  known(address: string): Caller | undefined
  /** Asks; those who ask for the same address meanwhile share the answer. */
  ask(address: string): Promise<Caller>
  /** Everything remembered, and everything being asked right now, stops counting. */
  forget(): void
}

export type CallersOptions = {
  ask: (address: string) => Promise<Caller>
  /** How long an answer counts; 0 remembers nothing. Milliseconds, cut to 1000. */
  cacheMs: number
  /** Seconds: a node whose key expires meanwhile is asked for again. */
  now: () => number
  /** At most so many addresses are remembered; the oldest goes first. */
  size?: number
  /** Monotonic milliseconds. */
  elapsed?: () => number
}

type Entry = { caller: Caller; until: number }

export function rememberedCallers(options: CallersOptions): Callers {
  const { now, size = 4096, elapsed = () => performance.now() } = options
  const cacheMs = Math.min(options.cacheMs, 1000)
  let entries = new Map<string, Entry>()
  let asking = new Map<string, Promise<Caller>>()

  async function askAnew(address: string): Promise<Caller> {
    const [mine, flights] = [entries, asking]
    try {
      const asked = elapsed() // an answer is as old as its question
      const caller = await options.ask(address)
      if (cacheMs > 0) mine.set(address, { caller, until: asked + cacheMs })
      if (mine.size > size) mine.delete(mine.keys().next().value as string)
      return caller
    } finally {
      flights.delete(address)
    }
  }

  return {
    known(address) {
      const entry = entries.get(address)
      if (!entry) return undefined
      const expiry = entry.caller.principal?.node.key_expiry ?? null
      if (entry.until > elapsed() && (expiry === null || expiry > now())) return entry.caller
      entries.delete(address)
      return undefined
    },
    ask(address) {
      const flight = asking.get(address)
      if (flight) return flight
      const started = askAnew(address)
      asking.set(address, started)
      return started
    },
    forget() {
      if (entries.size > 0) entries = new Map()
      if (asking.size > 0) asking = new Map()
    },
  }
}
