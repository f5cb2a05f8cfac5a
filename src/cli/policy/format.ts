/** In which form a policy command answers. */
import { type Command, UsageError, type Values } from '../command.ts'

export type Format = 'text' | 'json' | 'github'

/** The options that choose it. */
export const formatOptions = (...more: 'github'[]): Command['options'] => ({
  json: { type: 'boolean', help: 'print the answer as JSON' },
  ...(more.length > 0 && {
    format: {
      type: 'string',
      argument: 'WORD',
      help: '"text", "json", or "github": commands that GitHub Actions shows at the lines',
      default: 'text',
    },
  }),
})

const formats: readonly Format[] = ['text', 'json', 'github']

/** Throws UsageError. */
export function formatOf({ json, format }: Values): Format {
  if (format === undefined) return json ? 'json' : 'text'
  const known = formats.find((one) => one === format)
  if (!known) throw new UsageError(`--format must be ${formats.join(', ')}, not ${format}.`)
  if (json && known === 'github') throw new UsageError('--json and --format github exclude each other.')
  return json ? 'json' : known
}
