/** What an endpoint is: a path, what it accepts, and one function from request to reply. Fastify is only its carrier (`app`). */
import type { Deps } from '../deps.ts'
import type { Connection } from '../identity/identity.ts'
import { OAuthError } from '../oauth/error.ts'
import { type Params, parseForm, refuseRepeated } from '../oauth/parse.ts'

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'DELETE'

export type Request = {
  /** In the log and in every error answer. */
  id: string
  method: HttpMethod
  /** The raw query, without its question mark. */
  query: string
  headers: Connection['headers']
  /** The raw body; its type was checked. */
  body: string
  /** Parts of the path that are variables. */
  variables: Readonly<Record<string, string>>
  connection: Connection
}

export type Reply = { status: number; headers: Readonly<Record<string, string>>; body: string }

export type Endpoint = {
  /** Below the issuer's own path; `:name` is a variable. */
  path: string
  methods: readonly HttpMethod[]
  /** What a request with a body must hold. */
  body?: 'form' | 'json'
  /** Who may call it from a page of another origin, without credentials: everybody, or origins that the configuration lists. */
  cors?: 'anyone' | 'browser_clients'
  /**
   * Whether it may be asked from the public internet (Funnel), where a grant lets any client in that way: it tells what is public, or asks which client that is.
   */
  funnel?: true
  /** Whether people look at it: errors are pages then. */
  page?: true
  /**
   * What a flood of requests costs, `other` where nothing is said (`http/gate`): `free` ones are answered from memory, always; `read` ones write nothing, so
   * their rate is nobody's business; `first` ones serve clients that have something already, and come before those who want to begin.
   */
  cost?: 'free' | 'read' | 'first'
  handle: (deps: Deps, request: Request) => Promise<Reply> | Reply
}

const noStore = { 'cache-control': 'no-store', 'content-type': 'application/json', 'x-content-type-options': 'nosniff' }

/** A JSON answer that nobody keeps. RFC 6749 §5.1. */
export const json = (value: object, status = 200, headers: Record<string, string> = {}): Reply => ({
  status,
  headers: Object.keys(headers).length === 0 ? noStore : { ...noStore, ...headers },
  body: JSON.stringify(value),
})

/** The parameters of a form body, none of them twice. Throws `invalid_request`. */
export function formOf(request: Request): Params {
  const params = parseForm(request.body)
  refuseRepeated(params)
  return params
}

const deepest = 32

/** A JSON body. Nesting is measured before it is parsed, so that no stranger's depth reaches recursive code. Throws `invalid_request`. */
export function jsonOf(request: Request): unknown {
  let depth = 0
  let quoted = false
  for (let at = 0; at < request.body.length; at++) {
    const letter = request.body[at]
    if (quoted) {
      if (letter === '\\') at++
      else if (letter === '"') quoted = false
    } else if (letter === '"') quoted = true
    else if (letter === '{' || letter === '[') depth++
    else if (letter === '}' || letter === ']') depth--
    if (depth > deepest) throw new OAuthError('invalid_request', `The JSON is nested deeper than ${deepest} levels.`)
  }
  try {
    return JSON.parse(request.body)
  } catch {
    throw new OAuthError('invalid_request', 'The body is not valid JSON.')
  }
}

/**
 * RFC 6750 §2.1: the bearer token of the Authorization header; undefined where there is none, which a header of another scheme is, too (§3.1). Throws
 * `invalid_request` for a malformed one.
 */
export function bearerOf(request: Request): string | undefined {
  const { authorization } = request.headers
  if (authorization === undefined || !/^Bearer(?:\s|$)/i.test(authorization)) return undefined
  const [, token] = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(authorization) ?? []
  if (token === undefined)
    throw bearerError('invalid_request', 'The Authorization header holds no well-formed bearer token (RFC 6750 §2.1).')
  return token
}

/** RFC 6750 §3: a refusal with its challenge. Without a code the request merely had no token (§3.1). */
export function bearerError(
  code: 'invalid_request' | 'invalid_token' | 'insufficient_scope',
  description: string,
  { bare = false, scope = '' } = {},
): OAuthError {
  const challenge = bare ? 'Bearer' : `Bearer error="${code}", error_description="${quotable(description)}"${scope && `, scope="${scope}"`}`
  return new OAuthError(code, description, { headers: { 'www-authenticate': challenge } })
}

const spelled = new Map([
  ['"', "'"],
  ['’', "'"],
  ['§', 'section '],
  ['…', '...'],
])

/** RFC 6749 §4.1.2.1, §5.2: what an error_description may be made of. */
export const quotable = (text: string): string =>
  text.replaceAll(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/gu, (letter) => spelled.get(letter) ?? '?')
