/** What is true of this installation as a whole. */
import type { Engine, Write } from './engine.ts'

export const meta = (engine: Engine) => ({
  async find(name: 'tailnet' | 'keys_since'): Promise<string | undefined> {
    return (await engine.get<{ value: string }>('SELECT value FROM meta WHERE name = $name', { name }))?.value
  },
})

/** Sets it once; the commit fails if it is set already. */
export const setMeta = (name: 'tailnet' | 'keys_since', value: string): Write => ({
  sql: 'INSERT INTO meta (name, value) VALUES ($name, $value)',
  params: { name, value },
  expect: 1,
})
