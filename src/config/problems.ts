/** What is wrong with a configuration, a line for each: where, what, and what was perhaps meant. */
import type * as z from 'zod'
import { type Path, quote } from '../hujson/read.ts'
import type { Report } from '../hujson/report.ts'
import { reportSchemaIssues } from '../hujson/schema_problems.ts'
import { type Key, keysOf } from './keys.ts'
import { type Layered, type Sources, unknownVariables } from './layers.ts'
import { secretsIn } from './secrets.ts'

/** The parsed value, or the lines of what is wrong. */
export type Checked<Value> = { ok: true; value: Value } | { ok: false; lines: readonly string[] }

/** Checks what `layered` made of `sources`. Secrets come first, and alone: no other sentence may quote one. */
export function checked<Schema extends z.ZodType>(
  schema: Schema,
  { value, originOf }: Layered,
  sources: Sources,
): Checked<z.output<Schema>> {
  const keys = keysOf(schema)
  const lines = unknownVariables(keys, sources.env)
  const report: Report = {
    problems: [],
    error(path, message, { hint, at } = {}) {
      lines.push([`${where(path, at)}:`, message, hint?.()].filter((part) => part !== undefined).join(' '))
    },
    warning: () => undefined,
  }
  const where = (path: Path, at?: 'key' | 'value'): string => {
    const origin = originOf(path)
    if (origin.from === 'command line' || origin.from === 'environment') return origin.name
    if (!sources.file) return path.join('.') || 'the configuration'
    const { line, column } = sources.file.hujson.place(path, at)
    return `${sources.file.name}:${line}:${column}`
  }

  for (const path of secretsIn(value))
    report.error(path, `${quote(String(path.findLast((one) => typeof one === 'string') ?? ''))} holds what looks like a secret. ${instead}`)
  if (lines.length > 0) return { ok: false, lines }

  const parsed = schema.safeParse(value)
  if (parsed.success) return { ok: true, value: parsed.data }
  reportSchemaIssues(report, parsed.error.issues, { value, schema, whole: 'the configuration', hintOf: otherNamesOf(keys), sentenceOf })
  return { ok: false, lines }
}

const instead = 'Secrets stand in files, or in credentials of systemd, which are files too: write the name of the file here.'

/** For a key that is missing: how it can be said otherwise. */
const otherNamesOf = (keys: readonly Key[]) => (path: Path, found: 'wrong' | 'missing') => {
  if (found === 'wrong') return undefined
  const key = keys.find(({ name }) => name === path.join('.'))
  return key && `Write it into the file, or set ${key.variable}, or use --${key.flag}.`
}

type Bounds = { code: string; minimum?: number | bigint; maximum?: number | bigint; inclusive?: boolean; origin?: string; message: string }

/** zod's own words for what the schema has no sentence of its own. */
function sentenceOf(issue: z.core.$ZodIssue, name: string, given: string): string {
  const { code, minimum, maximum, inclusive, origin, message } = issue as Bounds
  if (origin === 'string' && code === 'too_small') return `${name} may not be empty.`
  if (code === 'too_small') return `${name} must be ${inclusive ? 'at least' : 'more than'} ${minimum}, not ${given}.`
  if (code === 'too_big') return `${name} must be ${inclusive ? 'at most' : 'less than'} ${maximum}, not ${given}.`
  return message.startsWith('must ') ? `${name} ${message}, not ${given}.` : message
}
