/** Parameters of a request: `application/x-www-form-urlencoded`, in a body or a query, read strictly. */
import { OAuthError } from './error.ts'
import { quoted } from './shown_text.ts'

/** Name → its values, in order. A Map, because names are a stranger's. */
export type Params = ReadonlyMap<string, readonly string[]>

const mostParameters = 100

/** RFC 6749 Appendix B. Broken percent-encoding, bytes that are not UTF-8 and NUL are refused, never replaced. */
function decode(text: string): string {
  if (!/[%+\0]/.test(text)) return text
  let decoded: string
  try {
    decoded = decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw new OAuthError('invalid_request', 'A parameter is not percent-encoded UTF-8.')
  }
  if (decoded.includes('\0')) throw new OAuthError('invalid_request', 'A parameter holds a NUL character.')
  return decoded
}

/** Text of a form or query → Params. Throws `invalid_request`. */
export function parseForm(text: string): Params {
  const params = new Map<string, string[]>()
  if (text === '') return params
  const pairs = text.split('&', mostParameters + 1)
  if (pairs.length > mostParameters) throw new OAuthError('invalid_request', `The request has more than ${mostParameters} parameters.`)
  for (const pair of pairs) {
    if (pair === '') continue
    const split = pair.indexOf('=')
    const name = decode(split < 0 ? pair : pair.slice(0, split))
    const value = split < 0 ? '' : decode(pair.slice(split + 1))
    const values = params.get(name)
    if (values) values.push(value)
    else params.set(name, [value])
  }
  return params
}

/** Those that may be there more than once: RFC 8707 §2, RFC 8693 §2.1. */
const repeatable = new Set(['resource', 'audience'])

/** RFC 6749 §3.1, §3.2: no other parameter more than once. Throws `invalid_request`. */
export function refuseRepeated(params: Params): void {
  for (const [name, values] of params)
    if (values.length > 1 && !repeatable.has(name))
      throw new OAuthError('invalid_request', `The parameter ${quoted(name, 64)} is there more than once.`)
}

/** One value. Without a value it is treated as omitted (RFC 6749 §3.1). */
export function optional(params: Params, name: string): string | undefined {
  return params.get(name)?.[0] || undefined
}

/** One value that must be there. Throws `invalid_request`. */
export function required(params: Params, name: string): string {
  const value = optional(params, name)
  if (value === undefined) throw new OAuthError('invalid_request', `The parameter "${name}" is missing.`)
  return value
}
