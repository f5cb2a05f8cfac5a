/** What is true of this installation as a whole. */
import type { Engine, Write } from './engine.ts'

/** `issuer`: that of the first start, where the configuration leaves it to this node. `epoch`: when this state was last put back (`epoch.ts`). */
type Fact = 'tailnet' | 'keys_since' | 'issuer' | 'epoch'

/** What a daemon of this state has seen of the clock: its time (seconds since the epoch), and for how long it had gone on without a leap then (seconds). */
export type ClockSeen = { at: number; steady: number }

/** So long a clock must have gone on without a leap until it is relied on. Seconds. */
export const steadyEnough = 3600

export const meta = (engine: Engine) => ({
  async find(name: Fact): Promise<string | undefined> {
    return (await engine.get<{ value: string }>('SELECT value FROM meta WHERE name = $name', { name }))?.value
  },

  /** Null for a state in which nobody has noted it yet. */
  async clock(): Promise<ClockSeen | null> {
    const row = await engine.get<{ value: string }>("SELECT value FROM meta WHERE name = 'clock'", {})
    return row === undefined ? null : (JSON.parse(row.value) as ClockSeen)
  },
})

/** Sets it once; the commit fails if it is set already. */
export const setMeta = (name: Fact, value: string): Write => ({
  sql: 'INSERT INTO meta (name, value) VALUES ($name, $value)',
  params: { name, value },
  expect: 1,
})

/** In the place of what was noted before. */
export const clockSeen = ({ at, steady }: ClockSeen): Write => ({
  sql: "INSERT INTO meta (name, value) VALUES ('clock', $value) ON CONFLICT (name) DO UPDATE SET value = $value",
  params: { value: JSON.stringify({ at, steady }) },
})
