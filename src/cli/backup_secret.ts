import type { Secret } from '../backup/encryption.ts'
import { UsageError, type Values } from './command.ts'

/** What one of these options says: a file, from which its reader makes a secret. Null where there is none. Throws UsageError for two, and what the reader throws. */
export function secretFrom(values: Values, readers: Readonly<Record<string, (file: string) => Secret>>): Secret | null {
  const given = Object.entries(readers).flatMap(([option, read]) => {
    const file = values[option]
    return file === undefined ? [] : [{ option, read: () => read(file as string) }]
  })
  if (given.length > 1) throw new UsageError(`Say ${given.map(({ option }) => `--${option}`).join(' or ')}, not both.`)
  return given[0]?.read() ?? null
}
