/** The workloads: what one client does over and over. Each works on every server under test, told only what cannot be discovered. */
import { createHash, randomBytes } from 'node:crypto'
import { REGISTRATION } from '../servers/server.ts'
import { type Conversation, form, get, json, post, type Request, unexpected } from './http.ts'
import type { Target } from './target.ts'

const REDIRECT_LIMIT = 10

export type Tokens = { access_token: string; refresh_token?: string; id_token?: string }

/** Asks for a token: scope and resource. */
type Wanted = { scope: string; resource: string }

/** Authorization request with PKCE, every redirect, and the code's exchange. Without cookies from before: to a server that knows people by
 *  cookies it is somebody new. RFC 6749 §4.1, RFC 7636, RFC 8707. */
export function* codeFlow({ origin, paths, profile }: Target, { scope, resource }: Wanted): Conversation<Tokens> {
  const { app, redirect_uri } = profile
  const state = randomBytes(12).toString('base64url')
  const code_verifier = randomBytes(32).toString('base64url')
  const code_challenge = createHash('sha256').update(code_verifier).digest('base64url')
  const query = { response_type: 'code', client_id: app.client_id, redirect_uri, scope, resource, state, code_challenge }
  let url = `${paths.authorization}?${form(query, { code_challenge_method: 'S256' })}`

  const cookies = new Map<string, string>()
  for (let hops = 0; !url.startsWith(redirect_uri); hops++) {
    const cookie = Array.from(cookies, ([name, value]) => `${name}=${value}`).join('; ')
    const answer = yield get(url, { accept: 'text/html', ...(cookie !== '' && { cookie }) })
    const [location] = answer.header('location')
    if (location === undefined || hops === REDIRECT_LIMIT) throw unexpected(answer, `authorization stopped at ${url.slice(0, 100)}`)
    for (const line of answer.header('set-cookie')) keepCookie(cookies, line)
    url = location.startsWith(origin) ? location.slice(origin.length) : location
  }
  const answer = new URL(url).searchParams
  const code = answer.get('code')
  if (code === null || answer.get('state') !== state) throw new Error(`authorization came back without code or state: ${url}`)

  const exchange = { grant_type: 'authorization_code', code, redirect_uri, code_verifier, resource }
  return json<Tokens>(yield post(paths.token, app, exchange), 'authorization_code')
}

/** One link of a chain of refresh tokens: RFC 6749 §6. */
export function* refreshed({ paths, profile }: Target, refresh_token: string | undefined, resource: string): Conversation<Tokens> {
  if (refresh_token === undefined) throw new Error('refresh: no refresh token was issued')
  const parameters = { grant_type: 'refresh_token', refresh_token, resource }
  return json<Tokens>(yield post(paths.token, profile.app, parameters), 'refresh_token')
}

function* introspect({ paths, profile }: Target, token: string): Conversation<void> {
  const answer = json<{ active?: boolean }>(yield post(paths.introspection, profile.introspection.client, { token }), 'introspect')
  if (answer.active !== true) throw new Error('introspect: the token is not active')
}

/** A chain of its own for each connection: code flow first, and again where it breaks. */
export function refreshChain(target: Target, wanted: Wanted, onTokens: (tokens: Tokens) => void = () => {}): () => Conversation {
  let held: string | undefined
  return function* () {
    const before = held ?? (yield* codeFlow(target, wanted)).refresh_token
    held = undefined
    const tokens = yield* refreshed(target, before, wanted.resource)
    held = tokens.refresh_token
    onTokens(tokens)
  }
}

/** Each connection signs in once, and swaps the token that it got over and over, as a gateway does for each of its upstreams (RFC 8693). */
function exchanges(target: Target): (() => Conversation) | null {
  const { paths, profile } = target
  if (!profile.exchange) return null
  const { client, shown, resource } = profile.exchange
  let held: string | undefined
  return function* () {
    held ??= (yield* codeFlow(target, shown)).access_token
    const parameters = {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: held,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource,
    }
    json<Tokens>(yield post(paths.token, client, parameters), 'token-exchange')
  }
}

/**
 * A workload is one of three: a document, by its path, that is the same each time; what a connection does (`player` is called once a
 * connection, what it returns once an operation); or what is done to a token that nobody has presented before.
 */
export type Workload =
  | { name: string; fixed: (target: Target) => string }
  | { name: string; player: (target: Target) => () => Conversation }
  | { name: string; first_sight: (target: Target, token: string) => Conversation }

const all: readonly Workload[] = [
  { name: 'discovery', fixed: ({ paths }) => paths.metadata },

  { name: 'jwks', fixed: ({ paths }) => paths.jwks },

  { name: 'code', player: (target) => () => codeFlow(target, target.profile) },

  { name: 'refresh', player: (target) => refreshChain(target, target.profile) },

  {
    name: 'client_credentials',
    player({ paths, profile: { workload } }) {
      const { client, scope, resource } = workload
      return function* () {
        json<Tokens>(yield post(paths.token, client, { grant_type: 'client_credentials', scope, resource }), 'client_credentials')
      }
    },
  },

  { name: 'exchange', player: (target) => exchanges(target) ?? refreshChain(target, target.profile) },

  {
    name: 'introspect',
    player(target) {
      let token: string | undefined
      return function* () {
        token ??= (yield* codeFlow(target, target.profile.introspection)).access_token
        yield* introspect(target, token)
      }
    },
  },

  { name: 'introspect_first', first_sight: introspect },

  {
    name: 'register',
    player(target) {
      const request: Request = {
        method: 'POST',
        path: target.paths.registration,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(REGISTRATION),
      }
      return function* () {
        if (json<{ client_id?: string }>(yield request, 'register').client_id === undefined) throw new Error('register: no client_id')
      }
    },
  },
]

export const workloads: ReadonlyMap<string, Workload> = new Map(all.map((workload) => [workload.name, workload]))

/** Keeps the cookie of one `Set-Cookie` line, or drops it where the line says so. Paths are not told apart. RFC 6265 §5.2. */
function keepCookie(cookies: Map<string, string>, line: string): void {
  const [pair = '', ...attributes] = line.split(';')
  const name = pair.slice(0, pair.indexOf('=')).trim()
  const value = pair.slice(pair.indexOf('=') + 1).trim()
  if (value === '' || attributes.some((attribute) => /max-age=0|01 jan 1970/i.test(attribute))) cookies.delete(name)
  else cookies.set(name, value)
}
