/** Every secret that a test of this process was given, or sent; what a daemon logs is held against all of them when the test ends. */
import assert from 'node:assert/strict'

/** Members of JSON answers, parameters of redirections, fields of forms and of pages that are worth something to a thief. */
const secret = new Set([
  'access_token',
  'refresh_token',
  'id_token',
  'id_token_hint',
  'code',
  'code_verifier',
  'client_secret',
  'registration_access_token',
  'ticket',
  'token',
])

/** What a secret is made of: shorter pieces are in every text. */
const piece = /[A-Za-z0-9_-]{20,}/g

/** An identifier of ours (a ULID, also of a client), and one character again and again, which a fuzzer sends in every place. */
const isPublic = (text: string) => /^(?:[a-z]+_)?[0-9A-HJKMNP-TV-Z]{26}$|^(.)\1*$/.test(text)

const seen = new Set<string>()

/** Notes a secret by its pieces. Of a JWT the last one only: its header is public, and its claims are an audit's. */
export function noteSecret(text: string): void {
  const parts = text.match(piece) ?? []
  for (const part of text.startsWith('eyJ') ? parts.slice(-1) : parts) if (!isPublic(part)) seen.add(part)
}

const fromParams = (params: URLSearchParams) => {
  for (const [name, value] of params) if (secret.has(name)) noteSecret(value)
}

/** What stands in an answer: JSON, a page with forms, a redirection, cookies. */
export function noteAnswer(text: string, headers: Record<string, string | string[] | undefined>): void {
  for (const [, name = '', value = ''] of text.matchAll(/"(\w+)":"([^"]+)"/g)) if (secret.has(name)) noteSecret(value)
  for (const [, name = '', value = ''] of text.matchAll(/name="(\w+)" value="([^"]+)"/g)) if (secret.has(name)) noteSecret(value)
  const { location, 'set-cookie': cookies } = headers
  if (typeof location === 'string' && URL.canParse(location)) fromParams(new URL(location).searchParams)
  for (const cookie of [cookies ?? []].flat()) noteSecret(cookie.split(';')[0]?.split('=').slice(1).join('=') ?? '')
}

/** What was sent, and was good: in the Authorization header, and in a form. */
export function noteRequest(body: string | undefined, headers: Record<string, string | string[]>): void {
  const { authorization = '' } = headers
  const [, scheme = '', credentials = ''] = /^(\w+) (.*)$/.exec(String(authorization)) ?? []
  if (/^bearer$/i.test(scheme)) noteSecret(credentials)
  if (/^basic$/i.test(scheme)) noteSecret(Buffer.from(credentials, 'base64').toString().split(':').slice(1).join(':'))
  if (body && headers['content-type'] === 'application/x-www-form-urlencoded') fromParams(new URLSearchParams(body))
}

/** How many pieces are known: so that a test can say that something was looked for. */
export const secretsSeen = (): number => seen.size

/** Fails where the text holds any of them. */
export function assertNoSecretIn(text: string): void {
  const found = (text.match(piece) ?? []).filter((one) => seen.has(one))
  assert.deepEqual([...new Set(found)], [], 'a secret is in the log')
}
