/** What an answer for people, or by way of their browser, has to look like; and the rows that may not change. */
import assert from 'node:assert/strict'
import type { Answer } from './person.ts'
import type { Started } from './start.ts'

/** A page: kept by nobody, framed by nobody, without script, with nothing from elsewhere; and no redirect (OAuth 2.1 §7.11). */
export function assertPage(answer: Answer, status: number, words: RegExp = /./): void {
  assert.equal(answer.status, status, answer.text || String(answer.headers.location))
  assert.equal(answer.headers.location, undefined)
  const { 'content-type': type, 'cache-control': cache, 'x-frame-options': frame, 'referrer-policy': referrer } = answer.headers
  assert.deepEqual([type, cache, frame, referrer], ['text/html; charset=utf-8', 'no-store', 'DENY', 'no-referrer'])
  assert.equal(answer.headers['x-content-type-options'], 'nosniff')
  const csp = String(answer.headers['content-security-policy'])
  for (const rule of ["default-src 'none'", "img-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"])
    assert.ok(csp.includes(rule), csp)
  assert.doesNotMatch(csp, /script-src|unsafe|\*|https?:/)
  assert.doesNotMatch(answer.text, /<(?:script|img|iframe|object|embed|base|meta http)/i)
  for (const [, subresource] of answer.text.matchAll(/<link[^>]*href="([^"]*)"|src="/g))
    assert.match(subresource ?? 'src', /^(?:\/idp)?\/style-[0-9a-f]+\.css$/)
  assert.match(textOf(answer), words)
}

const entities = new Map([
  ['&lt;', '<'],
  ['&middot;', '·'],
  ['&ldquo;', '“'],
  ['&rdquo;', '”'],
  ['&gt;', '>'],
  ['&quot;', '"'],
  ['&#39;', "'"],
  ['&amp;', '&'],
])
/** Text of an attribute or of escaped HTML. */
export const unescaped = (html: string) => html.replaceAll(/&#?\w+;/g, (entity) => entities.get(entity) ?? entity)

/** What a person reads on a page, in one line. */
export const textOf = ({ text }: Answer): string =>
  unescaped(
    text
      .replace(/^.*<main>/s, '')
      .replaceAll(/<\/?bdi>/g, '')
      .replaceAll(/<[^>]*>/g, ' '),
  )
    .replaceAll(/\s+/g, ' ')
    .trim()

/** The decision that a page or an answer names. */
export function decisionOf(words: string): string {
  const [, id] = /[Dd]ecision ([0-9A-Z]{26})/.exec(words) ?? []
  assert.ok(id, `no decision is named: ${words}`)
  return id
}

type Way = { redirect_uri: string; state?: string | null }

/** An error as a client hears of it (RFC 6749 §4.1.2.1, RFC 9207 §2); returns its description. */
function assertErrorUrl(url: string, issuer: string, error: string, { redirect_uri, state = 'st-1' }: Way): string {
  assert.ok(url.startsWith(redirect_uri), url)
  const tail = url.slice(redirect_uri.length)
  assert.equal(tail[0], redirect_uri.includes('?') ? '&' : '?')
  const params = new URLSearchParams(tail.slice(1))
  assert.deepEqual([...params.keys()], ['error', 'error_description', ...(state === null ? [] : ['state']), 'iss'])
  assert.deepEqual([params.get('error'), params.get('state'), params.get('iss')], [error, state, issuer], url)
  const description = params.get('error_description') ?? ''
  assert.match(description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+\.$/)
  return description
}

/** The browser is sent back with an error, and nothing else. */
export function assertSentBack({ issuer }: Started, answer: Answer, error: string, way: Way): string {
  assert.equal(answer.status, 303, answer.text)
  assert.deepEqual([answer.text, answer.headers['cache-control'], answer.headers['referrer-policy']], ['', 'no-store', 'no-referrer'])
  return assertErrorUrl(String(answer.headers.location), issuer, error, way)
}

/** The page that self-registered software gets instead: the same error behind a link that a person may follow. */
export function assertLinkBack({ issuer }: Started, page: Answer, error: string, way: Way, status = 400): string {
  assertPage(page, status, /Go back to/)
  const [, href = ''] = /<a href="([^"]*)">Go back to/.exec(page.text) ?? []
  return assertErrorUrl(unescaped(href), issuer, error, way)
}

/** The browser is sent back with a code; returns it. */
export function assertCode({ issuer }: Started, answer: Answer, { redirect_uri, state = 'st-1' }: Way): string {
  assert.equal(answer.status, 303, answer.text)
  assert.deepEqual([answer.text, answer.headers['cache-control'], answer.headers['referrer-policy']], ['', 'no-store', 'no-referrer'])
  const url = String(answer.headers.location)
  assert.ok(url.startsWith(redirect_uri), url)
  const tail = url.slice(redirect_uri.length)
  const expected = new URLSearchParams(tail.slice(1))
  const code = expected.get('code') ?? ''
  assert.match(code, /^mic_[\w.-]{43,}$/)
  const pairs = [['code', code], ...(state === null ? [] : [['state', state]]), ['iss', issuer]]
  assert.deepEqual([tail[0], [...expected]], [redirect_uri.includes('?') ? '&' : '?', pairs])
  return code
}

const tables = [
  'authorizations',
  'codes',
  'refresh_tokens',
  'tickets',
  'consents',
  'auth_times',
  'decisions',
  'records',
  'clients',
] as const
export type Counts = Record<(typeof tables)[number], number>

/** How many rows each table has; of tickets and codes also how many are spent. */
export async function counts({ daemon }: Pick<Started, 'daemon'>): Promise<Counts & { spent: number }> {
  const { engine } = daemon.deps.store
  const count = async (from: string) => (await engine.all<{ n: number }>(`SELECT count(*) AS n FROM ${from}`, {}))[0]?.n ?? -1
  const rows = await Promise.all(tables.map(async (table) => [table, await count(table)] as const))
  const spent = (await count('tickets WHERE consumed_at IS NOT NULL')) + (await count('codes WHERE consumed_at IS NOT NULL'))
  return { ...(Object.fromEntries(rows) as Counts), spent }
}

/** Runs it; afterwards the store is as it was. */
export async function withoutTrace<T>(started: Pick<Started, 'daemon'>, run: () => Promise<T>): Promise<T> {
  const before = await counts(started)
  const result = await run()
  assert.deepEqual(await counts(started), before)
  return result
}
