/**
 * The layout of a policy file. Only white space changes, and commas move before comments: every token and every comment stays, in its
 * order. A list or an object that stands on one line stays there while it fits; any other gets a line for each of its items.
 */
import { createScanner } from 'jsonc-parser'
import type { Problem } from '../hujson/problem.ts'
import { readHujson } from '../hujson/read.ts'

/** What would be longer, with its comma, gets several lines. */
const width = 140

/** A comment. `breaks`: how many line breaks stand before it. `ends`: whether it takes the rest of its line. */
type Comment = { text: string; breaks: number; ends: boolean }
type Token = { text: string; breaks: number; comments: Comment[] }

type Value = { text: string } | Container
/**
 * `head`: comments on the line of the opening bracket; `tail`: those before the closing one. `broken`: whether it stands on several
 * lines. `flat`: how wide it is on one line; null where something in it needs several.
 */
type Container = { open: string; close: string; head: Comment[]; items: Item[]; tail: Comment[]; broken: boolean; flat: number | null }
/** `lead`: comments before it; `inner`: between key and value; `trail`: after it. `breaks`: before its first token. */
type Item = { lead: Comment[]; breaks: number; key: string; inner: Comment[]; value: Value; trail: Comment[]; comma: string }

/** `text` in the one layout, or why it is no HuJSON. What it means is the same, and to format it again changes nothing. */
export function format(text: string): { ok: true; text: string } | { ok: false; problems: Problem[] } {
  const read = readHujson(text)
  if (!read.ok) return read
  const { tokens, end } = tokensOf(text)
  const { value } = valueAt(tokens, 0)
  if ('open' in value) value.broken ||= value.flat === null // of the policy itself, every section begins a line
  const lead = leading(tokens[0]?.comments ?? [], tokens[0]?.breaks ?? 0, '', true).slice(1)
  return { ok: true, text: `${lead}${drawn(value, '', 0)}${following(end, '')}\n` }
}

/** Tokens of jsonc-parser, whose enum exists for compilers only. */
const kinds = { lineComment: 12, blockComment: 13, lineBreak: 14, trivia: 15, end: 17 }

/** Every token with the comments before it; `end`: those after the last. */
function tokensOf(text: string): { tokens: Token[]; end: Comment[] } {
  const scanner = createScanner(text, false)
  const tokens: Token[] = []
  let comments: Comment[] = []
  let breaks = 0
  for (let kind: number = scanner.scan(); kind !== kinds.end; kind = scanner.scan()) {
    const offset = scanner.getTokenOffset()
    const found = text.slice(offset, offset + scanner.getTokenLength())
    if (kind === kinds.trivia) continue
    if (kind === kinds.lineBreak) breaks += 1
    else {
      if (kind === kinds.lineComment || kind === kinds.blockComment) {
        comments.push({ text: found.replaceAll(/\r\n?/g, '\n').trimEnd(), breaks, ends: kind === kinds.lineComment })
      } else {
        tokens.push({ text: found, breaks, comments })
        comments = []
      }
      breaks = 0
    }
  }
  return { tokens, end: comments }
}

const closing = new Map([
  ['{', '}'],
  ['[', ']'],
])

/** The value that begins with the token `at`, and the number of the token after it. */
function valueAt(tokens: readonly Token[], at: number): { value: Value; next: number } {
  const { text: open } = tokens[at] as Token
  const close = closing.get(open)
  if (close === undefined) return { value: { text: open }, next: at + 1 }

  const container: Container = { open, close, head: [], items: [], tail: [], broken: false, flat: null }
  let next = at + 1
  let before = container.head // the comments on the line of what came last
  const advance = (): Token => {
    const here = tokens[next++] as Token
    container.broken ||= here.breaks > 0 || here.comments.some(({ breaks }) => breaks > 0)
    return here
  }
  for (;;) {
    const here = advance()
    const closes = here.text === close
    const count = sameLine(here, closes && container.items.length > 0)
    before.push(...here.comments.slice(0, count))
    const lead = here.comments.slice(count)
    if (closes) {
      container.tail = lead
      container.flat = flatWidth(container)
      return { value: container, next }
    }
    const item: Item = { lead, breaks: here.breaks, key: '', inner: [], value: { text: '' }, trail: [], comma: '' }
    if (open === '{') {
      item.key = here.text
      item.inner = [...advance().comments, ...advance().comments]
    }
    const read = valueAt(tokens, next - 1)
    item.value = read.value
    next = read.next
    if (tokens[next]?.text === ',') {
      item.trail.push(...advance().comments)
      item.comma = ','
    }
    container.items.push(item)
    before = item.trail
  }
}

/** How many of the comments before `here` belong to what stands before them on the same line. */
function sameLine({ comments, breaks }: Token, always: boolean): number {
  const below = comments.findIndex((comment) => comment.breaks > 0)
  if (below >= 0) return below
  return always || breaks > 0 ? comments.length : 0
}

/** How wide a container is on one line; null where it, or something in it, stands on several. */
function flatWidth({ open, items, tail, broken }: Container): number | null {
  if (broken) return null
  const parts = items.length + tail.length
  let sum = (open === '{' && parts > 0 ? 4 : 2) + Math.max(0, parts - 1)
  const texts = tail.map(({ text }) => text)
  for (const { lead, key, inner, value, trail, comma } of items) {
    const own = 'open' in value ? value.flat : value.text.length
    if (own === null) return null
    for (const { text } of [...lead, ...inner, ...trail]) texts.push(text)
    sum += own + comma.length + (key === '' ? 0 : key.length + 2) + lead.length + inner.length + trail.length
  }
  return texts.some((text) => text.includes('\n')) ? null : texts.reduce((total, text) => total + text.length, sum)
}

/** A value whose lines after the first are indented by `indent`; `column`: how many letters stand before it on its line. */
function drawn(value: Value, indent: string, column: number): string {
  if (!('open' in value)) return value.text
  const { broken, flat, items, head, tail, open, close } = value
  if (items.length + head.length + tail.length === 0) return open + close
  return broken || (flat !== null && column + flat + 1 > width) ? onLines(value, indent) : onOne(value, indent, column)
}

function onOne({ open, close, items, tail }: Container, indent: string, column: number): string {
  const space = open === '{' ? ' ' : ''
  let out = ''
  const add = (text: string) => {
    const last = text.lastIndexOf('\n')
    column = last < 0 ? column + text.length : text.length - last - 1
    out += text
  }
  add(open + space)
  for (const [i, { lead, key, inner, value, trail, comma }] of items.entries()) {
    add((i === 0 ? '' : ' ') + lead.map(({ text }) => `${text} `).join('') + (key === '' ? '' : `${key}: `))
    add(inner.map(({ text }) => `${text} `).join(''))
    add(drawn(value, indent, column))
    add(trail.map(({ text }) => ` ${text}`).join('') + comma)
  }
  add((items.length > 0 && tail.length > 0 ? ' ' : '') + tail.map(({ text }) => text).join(' ') + space + close)
  return out
}

function onLines({ open, close, items, head, tail }: Container, indent: string): string {
  const inside = `${indent}  `
  const drawnItems = items.map((item, i) => {
    const before = leading(item.lead, item.breaks, inside, i === 0 && head.length === 0)
    const key = item.key === '' ? '' : `${item.key}:`
    const inner = following(item.inner, `${inside}  `)
    const gap = item.inner.at(-1)?.ends ? `\n${inside}  ` : key === '' ? '' : ' '
    const column = lastLine(before + key + inner + gap).length
    const value = drawn(item.value, inner.includes('\n') || gap.length > 1 ? `${inside}  ` : inside, column)
    return { before, key, inner, gap, value, after: item.comma + following(item.trail, inside) }
  })
  const aligned = paddings(items, drawnItems)
  const body = drawnItems.map(
    ({ before, key, inner, gap, value, after }, i) => before + key + inner + gap + ' '.repeat(aligned[i] ?? 0) + value + after,
  )
  const last = tail.length === 0 ? '' : line(tail[0]?.breaks ?? 0, inside, items.length === 0) + following(tail, inside).trimStart()
  return `${open}${following(head, inside)}${body.join('')}${last}\n${indent}${close}`
}

const lastLine = (text: string) => text.slice(text.lastIndexOf('\n') + 1)

/** How many spaces more a value needs, so that those of one-line members on neighbouring lines stand below each other. */
function paddings(items: readonly Item[], drawnItems: readonly { key: string; inner: string; value: string }[]): number[] {
  const padded = new Array<number>(items.length).fill(0)
  const aligns = drawnItems.map(({ key, inner, value }) => key !== '' && inner === '' && !value.includes('\n'))
  const joins = (i: number) => {
    const { lead, breaks } = items[i] as Item
    return aligns[i] && aligns[i - 1] && lead.length === 0 && breaks < 2 && !following(items[i - 1]?.trail ?? [], '').includes('\n')
  }
  for (let from = 0; from < items.length; ) {
    let to = from + 1
    while (to < items.length && joins(to)) to++
    const widest = drawnItems.slice(from, to).reduce((most, { key }) => Math.max(most, key.length), 0)
    if (aligns[from]) for (let i = from; i < to; i++) padded[i] = widest - (drawnItems[i]?.key.length ?? 0)
    from = to
  }
  return padded
}

/** A new line; of the empty lines before it one stays, but none at the start of what holds it. */
const line = (breaks: number, indent: string, first: boolean) => `${breaks > 1 && !first ? '\n\n' : '\n'}${indent}`

/** A new line with the comments before a token, up to where the token itself stands. */
function leading(comments: readonly Comment[], breaks: number, indent: string, first: boolean): string {
  const all = [...comments, { text: '', breaks, ends: false }]
  return all
    .map((one, i) => {
      const isNew = i === 0 || one.breaks > 0 || all[i - 1]?.ends
      return (isNew ? line(one.breaks, indent, first && i === 0) : ' ') + one.text
    })
    .join('')
}

/** Comments after something: on its line, or on lines of their own. */
const following = (comments: readonly Comment[], indent: string): string =>
  comments.map(({ text, breaks }, i) => (breaks > 0 || comments[i - 1]?.ends ? line(breaks, indent, false) : ' ') + text).join('')
