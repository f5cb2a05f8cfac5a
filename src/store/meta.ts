/** What is true of this installation as a whole. */
import type { Engine, Write } from './engine.ts'

/** `issuer`: that of the first start, where the configuration leaves it to this node. `epoch`: when this state was last put back (`epoch.ts`). */
type Fact = 'tailnet' | 'keys_since' | 'issuer' | 'epoch'

export const meta = (engine: Engine) => ({
  async find(name: Fact): Promise<string | undefined> {
    return (await engine.get<{ value: string }>('SELECT value FROM meta WHERE name = $name', { name }))?.value
  },
})

/** Sets it once; the commit fails if it is set already. */
export const setMeta = (name: Fact, value: string): Write => ({
  sql: 'INSERT INTO meta (name, value) VALUES ($name, $value)',
  params: { name, value },
  expect: 1,
})
