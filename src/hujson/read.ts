/** HuJSON (JSON with comments and trailing commas): text in, plain values and the place of each of them out. Never throws. */
import { createScanner, type Node, type ParseError, parseTree, printParseErrorCode, visit } from 'jsonc-parser'
import type { Problem } from './problem.ts'

/** Keys and indexes from the root of the document. */
export type Path = readonly (string | number)[]
export type Place = { line: number; column: number }

export type Hujson = {
  /** Objects have no prototype, so that no key of the file can reach one. */
  value: unknown
  /** Where the value at a path stands, or its key; where there is nothing, the nearest thing around it. */
  place(path: Path, part?: 'key' | 'value'): Place
}

const maxBytes = 8 * 1024 * 1024
const maxDepth = 64
/** A mistake in each of them is found before the first is told: this bounds what that takes. */
const maxValues = 500_000
/** More than this helps nobody. */
const mostProblems = 100

const options = { allowTrailingComma: true }

/** Tokens of jsonc-parser, whose enum exists for compilers only. */
const token = { openBrace: 1, closeBrace: 2, openBracket: 3, closeBracket: 4, comma: 5, end: 17 }

const syntaxSentences = new Map([
  ['PropertyNameExpected', 'A key in double quotes is expected here.'],
  ['ValueExpected', 'A value is expected here.'],
  ['ColonExpected', 'A colon is expected after a key.'],
  ['CloseBraceExpected', 'A closing brace "}" is missing.'],
  ['CloseBracketExpected', 'A closing bracket "]" is missing.'],
  ['EndOfFileExpected', 'The document has ended before this; it is one object.'],
  ['UnexpectedEndOfComment', 'This comment is never closed.'],
  ['UnexpectedEndOfString', 'This text is never closed; a double quote is missing.'],
  ['UnexpectedEndOfNumber', 'This number is cut short.'],
  ['InvalidUnicode', 'An escape \\u needs four hexadecimal digits.'],
  ['InvalidEscapeCharacter', 'JSON does not know this escape.'],
  ['InvalidCharacter', 'Text may not hold control characters; write them as escapes.'],
])

/** Errors whose sentence depends on the character there: the first pattern that matches the text from it on, with the character before it. */
const syntaxSentencesByCharacter: readonly [error: string, start: RegExp, message: string][] = [
  ['InvalidSymbol', /^.?'/s, 'Text stands in double quotes, not in single ones.'],
  ['InvalidSymbol', /^.?#/s, 'A comment starts with // or stands between /* and */.'],
  ['InvalidSymbol', /^(?:\d|.?[-+.\d])/s, 'This is not a number as JSON writes it, such as 20, -1 or 0.5.'],
  ['InvalidSymbol', /^/, 'This word is not JSON; text stands in double quotes.'],
  ['CommaExpected', /^0\d/, 'This is not a number as JSON writes it, such as 20, -1 or 0.5.'],
  ['CommaExpected', /^.?\}/s, 'A closing bracket "]" is missing before this.'],
  ['CommaExpected', /^.?\]/s, 'A closing brace "}" is missing before this.'],
  ['CommaExpected', /^/, 'A comma is missing before this.'],
]

/** Errors that are somewhere inside a text, of which only the beginning is told. */
const insideOfText = new Set(['InvalidCharacter', 'InvalidEscapeCharacter', 'InvalidUnicode'])

/** Reads `text`. The first syntax error ends it: those that follow are mostly its echoes. */
export function readHujson(text: string): { ok: true; hujson: Hujson } | { ok: false; problems: Problem[] } {
  const placeOf = placer(text)
  const failed = (offset: number, message: string) => ({ ok: false as const, problems: [error(placeOf(offset), message)] })

  const unreadable = unreadableText(text)
  if (unreadable) return failed(unreadable.offset, unreadable.message)

  const excess = firstTooMuch(text) // before the parser, which recurses
  if (excess) return failed(excess.offset, excess.message)

  // The tree knows where everything stands, and is large: it is made only where something has to be found.
  let tree: Node | undefined
  const place = (path: Path, part: 'key' | 'value' = 'value'): Place => {
    tree ??= parseTree(text, [], options)
    return placeOf(tree ? find(tree, path, part).offset : 0)
  }

  const { value, errors, faults } = readValue(text, place)
  const first = errors[0]
  if (value === undefined && first && printParseErrorCode(first.error) === 'ValueExpected') {
    return failed(0, 'The file is empty; the least that it may hold is {}.')
  }
  if (first) return failed(...syntaxError(text, printParseErrorCode(first.error), first.offset))
  if (faults.length > 0) return { ok: false, problems: faults.map(({ offset, message }) => error(placeOf(offset), message)) }
  return { ok: true, hujson: { value, place } }
}

function syntaxError(text: string, code: string, offset: number): [offset: number, message: string] {
  const around = text.slice(Math.max(0, offset - 1), offset + 1)
  const byCharacter = syntaxSentencesByCharacter.find(([error, start]) => error === code && start.test(around))
  const at = insideOfText.has(code) ? firstUnwritable(text, offset) : offset
  return [at, byCharacter?.[2] ?? syntaxSentences.get(code) ?? 'This is not JSON.']
}

/** From `offset` on: the first control character, or the first escape that is none. */
function firstUnwritable(text: string, offset: number): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  const pieces = /\\(?:["\\/bfnrt]|u[\da-f]{4})|[\0-\x1f\\]/gi
  pieces.lastIndex = offset
  for (let piece = pieces.exec(text); piece; piece = pieces.exec(text)) if (piece[0].length === 1) return piece.index
  return offset
}

const error = (place: Place, message: string): Problem => ({ ...place, severity: 'error', message })

function unreadableText(text: string): { offset: number; message: string } | null {
  if (Buffer.byteLength(text) > maxBytes) return { offset: 0, message: 'The file is larger than 8 MiB.' }
  const nul = text.indexOf('\0')
  if (nul >= 0) return { offset: nul, message: 'The file holds a NUL character; save it as UTF-8 text.' }
  if (text.startsWith('\uFEFF')) return { offset: 0, message: 'The file starts with a byte order mark; save it as UTF-8 without one.' }
  // What a decoder puts where bytes were not UTF-8: two different names could look alike here.
  const replaced = text.indexOf('\uFFFD')
  if (replaced >= 0) return { offset: replaced, message: 'Something here is not UTF-8; save the file as UTF-8 text.' }
  // CVE-2021-42574: what a reviewer sees would not be what is read here.
  const turned = text.search(/[\u202a-\u202e\u2066-\u2069]/)
  if (turned >= 0)
    return {
      offset: turned,
      message: `Here the direction of text is turned (${codePoint(text, turned)}), so the file reads other than it is.`,
    }
  return null
}

function firstTooMuch(text: string): { offset: number; message: string } | null {
  const scanner = createScanner(text, true)
  let depth = 0
  let values = 1 // each but the first comes after a comma, or after what opens its list or object
  for (let kind: number = scanner.scan(); kind !== token.end; kind = scanner.scan()) {
    if (kind === token.openBrace || kind === token.openBracket) depth += 1
    if (kind === token.closeBrace || kind === token.closeBracket) depth -= 1
    if (kind === token.openBrace || kind === token.openBracket || kind === token.comma) values += 1
    if (depth > maxDepth)
      return { offset: scanner.getTokenOffset(), message: `Nested more than ${maxDepth} deep; nothing here needs that.` }
    if (values > maxValues)
      return { offset: scanner.getTokenOffset(), message: 'The file holds more than 500,000 values; nothing here needs so many.' }
  }
  return null
}

const halfCharacter = 'This text holds half a character (a surrogate without its other half).'

type Fault = { offset: number; message: string }

/** The value of `text`, undefined where it holds none, with the errors of its syntax, and what JSON would allow and a policy may not hold. */
function readValue(text: string, place: Hujson['place']): { value: unknown; errors: ParseError[]; faults: Fault[] } {
  const errors: ParseError[] = []
  const faults: Fault[] = []
  const fault = (offset: number, message: string) => {
    if (faults.length < mostProblems) faults.push({ offset, message })
  }
  const root: unknown[] = []
  const open: (unknown[] | Record<string, unknown>)[] = [root] // the innermost is the last
  let key = ''
  const put = (value: unknown) => {
    const into = open.at(-1)
    if (Array.isArray(into)) into.push(value)
    else if (into) into[key] = value
  }
  const begin = (container: unknown[] | Record<string, unknown>) => {
    put(container)
    open.push(container)
  }
  const end = () => void open.pop()

  visit(
    text,
    {
      onObjectBegin: () => begin(Object.create(null)),
      onObjectEnd: end,
      onArrayBegin: () => begin([]),
      onArrayEnd: end,
      onObjectProperty(name, offset, _length, _line, _character, path) {
        key = name
        const before = name in (open.at(-1) ?? {}) // nothing is inherited here
        if (before) fault(offset, `${quote(name)} is there twice; the first is on line ${place([...path(), name], 'key').line}.`)
        else if (!name.isWellFormed()) fault(offset, halfCharacter)
        else if (name === '__proto__') fault(offset, '"__proto__" may not be a key.')
      },
      onLiteralValue(value, offset) {
        if (typeof value === 'number' && !Number.isFinite(value)) fault(offset, 'This number is too large.')
        if (typeof value === 'string' && !value.isWellFormed()) fault(offset, halfCharacter)
        put(value)
      },
      onError: (error, offset, length) => errors.push({ error, offset, length }),
    },
    options,
  )
  return { value: root[0], errors, faults }
}

function find(root: Node, path: Path, part: 'key' | 'value'): Node {
  let node = root
  for (const [depth, segment] of path.entries()) {
    const last = depth === path.length - 1
    const property = node.children?.find((child) => child.type === 'property' && child.children?.[0]?.value === segment)
    const next = node.type === 'array' ? node.children?.[segment as number] : property?.children?.[last && part === 'key' ? 0 : 1]
    if (!next) return node
    node = next
  }
  return node
}

function placer(text: string): (offset: number) => Place {
  let starts: number[] | undefined
  return (offset) => {
    starts ??= [0, ...Array.from(text.matchAll(/\r\n|\r|\n/g), (found) => found.index + found[0].length)]
    let low = 0
    for (let high = starts.length; high - low > 1; ) {
      const middle = (low + high) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 }
  }
}

/** "U+200B": how a character is called that cannot be shown. */
export const codePoint = (text: string, at = 0): string => `U+${text.codePointAt(at)?.toString(16).toUpperCase().padStart(4, '0')}`

/** A name of the file as a sentence shows it: quoted, escaped, and not endless. */
export const quote = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text)
