/** What zod finds, told in words: where it is, what was expected, and which key was perhaps meant. */
import type * as z from 'zod'
import { didYouMean } from './nearest.ts'
import { type Path, quote } from './read.ts'
import type { Report } from './report.ts'

type Issue = z.core.$ZodIssue

const typeNames = new Map([
  ['string', 'text'],
  ['number', 'a number'],
  ['int', 'a whole number'],
  ['boolean', 'true or false'],
  ['array', 'a list'],
  ['object', 'an object'],
  ['record', 'an object'],
  ['null', 'null'],
])

/** What the issues are about. */
export type Parsed = {
  value: unknown
  schema: z.ZodType
  /** What a sentence calls the whole, such as "the policy". */
  whole: string
  /** A second sentence on what may stand at a path where something else stands, or nothing. */
  hintOf?: (path: Path, found: 'wrong' | 'missing') => string | undefined
  /** The sentence for an issue that does not carry its own; `name`: what the sentence calls the value. */
  sentenceOf?: (issue: Issue, name: string, given: string) => string
}

/** Reports each issue where it is. */
export function reportSchemaIssues(report: Report, issues: readonly Issue[], parsed: Parsed): void {
  const { value: root, schema, whole, hintOf, sentenceOf } = parsed
  for (const issue of issues) {
    const path = issue.path as Path
    if (issue.code === 'unrecognized_keys') {
      const known = keysAt(schema, path)
      const meant = `It may hold ${known.length === 0 ? 'nothing' : known.join(', ')}.`
      for (const key of issue.keys) {
        report.error([...path, key], `${quote(key)} is not a key of ${nameOf(path, whole)}.`, {
          hint: () => didYouMean(key, known)() ?? meant,
          at: 'key',
        })
      }
    } else if (issue.code === 'invalid_type') {
      const given = valueAt(root, path)
      report.error(path, typeSentence(path, issue.expected, given, whole), {
        hint: () => hintOf?.(path, given === undefined ? 'missing' : 'wrong'),
      })
    } else if (issue.code === 'invalid_value') {
      const given = valueAt(root, path)
      if (given === undefined) report.error(path, typeSentence(path, '', undefined, whole), { hint: () => hintOf?.(path, 'missing') })
      else {
        const allowed = issue.values.map((value) => JSON.stringify(value))
        const hint = typeof given === 'string' ? didYouMean(given, issue.values.map(String)) : undefined
        report.error(path, `${capital(nameOf(path, whole))} must be ${allowed.join(' or ')}, not ${shown(given)}.`, { hint })
      }
    } else if (issue.code === 'invalid_union' && nearestBranch(issue)) {
      const nested = nearestBranch(issue) ?? []
      reportSchemaIssues(report, nested.map((each) => ({ ...each, path: [...issue.path, ...each.path] })) as Issue[], parsed)
    } else if (issue.code === 'invalid_key') {
      report.error(path, `${quote(String(path.at(-1)))}: ${issue.issues[0]?.message ?? issue.message}`, { at: 'key' })
    } else if (isOfSafeIntegers(issue) && issues.some((other) => !isOfSafeIntegers(other) && String(other.path) === String(path))) {
      // The limit of the key itself says this in its own words.
    } else if (valueAt(root, path) === undefined) {
      report.error(path, typeSentence(path, '', undefined, whole), { hint: () => hintOf?.(path, 'missing') })
    } else {
      report.error(path, sentenceOf?.(issue, capital(nameOf(path, whole)), shown(valueAt(root, path))) ?? issue.message)
    }
  }
}

/** Beyond 2⁵³, where numbers of JSON are no longer exact: the limit of every whole number. */
const isOfSafeIntegers = (issue: Issue): boolean => 'note' in issue && issue.note === 'Integers must be within the safe integer range.'

/** Of "a list of these, or an object of those": what is wrong by the only branch whose type was meant. */
function nearestBranch({ errors }: Extract<Issue, { code: 'invalid_union' }>): readonly Issue[] | null {
  const [branch, ...others] = errors.filter((issues) => issues.every((issue) => issue.path.length > 0 || issue.code !== 'invalid_type'))
  return branch && others.length === 0 ? (branch as Issue[]) : null
}

function typeSentence(path: Path, expected: string, given: unknown, whole: string): string {
  if (given === undefined) return `${quote(String(path.at(-1)))} is missing.`
  return `${capital(nameOf(path, whole))} must be ${typeNames.get(expected) ?? expected}, not ${shown(given)}.`
}

function shown(value: unknown): string {
  if (typeof value === 'string') return quote(value)
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return String(value)
  return Array.isArray(value) ? 'a list' : 'an object'
}

/** "consent"; an item of "scopes", the policy. */
function nameOf(path: Path, whole: string): string {
  const last = path.at(-1)
  if (last === undefined) return whole
  if (typeof last === 'string') return quote(last)
  return `an item of ${quote(String(path.findLast((segment) => typeof segment === 'string') ?? ''))}`
}

const capital = (sentence: string) => sentence.charAt(0).toUpperCase() + sentence.slice(1)

function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, segment) => (value as Record<string | number, unknown> | undefined)?.[segment], root)
}

/** The keys that the schema knows at a path: those of the object there. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  let here: z.ZodType | undefined = schema
  for (const segment of [...path, undefined]) {
    while (here && 'innerType' in here.def) here = here.def.innerType as z.ZodType
    const def = here?.def as { shape?: Record<string, z.ZodType>; element?: z.ZodType; valueType?: z.ZodType } | undefined
    if (segment === undefined) return Object.keys(def?.shape ?? {})
    here = def?.shape?.[segment] ?? def?.element ?? def?.valueType
  }
  return []
}
