/** Somebody of the mesh, with a browser and software: every request comes from their machine's own address. */
import { createHash, randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { Agent, type Dispatcher, request } from 'undici'
import { noteAnswer, noteRequest } from './secrets_seen.ts'

export type Answer = {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  /** The body as JSON; throws where it is none. */
  json: () => Record<string, unknown>
  /** The Location header's parameters. */
  location: () => URLSearchParams
}

export type SentBody = { form?: Record<string, string | readonly string[]> | string; json?: unknown; raw?: string }
export type Sent = { method?: string; headers?: Record<string, string | string[]> } & SentBody

export type TestClient = { client_id: string; client_secret?: string; redirect_uri: string; registration_access_token?: string }

export type Tokens = {
  access_token: string
  refresh_token?: string
  id_token?: string
  scope: string
  expires_in: number
  token_type: string
}

/** What a token request answered, where it was refused. */
export class Refusal extends Error {
  readonly status: number
  readonly error: unknown
  readonly answer: Answer
  constructor(answer: Answer) {
    super(`${answer.status} ${answer.text}`)
    this.status = answer.status
    this.error = answer.json().error
    this.answer = answer
  }
}

export type AuthorizeParams = Record<string, string | readonly string[] | undefined>

export type Person = {
  address: string
  /** One HTTP request from this person's machine; `path` begins with a slash, or is a whole URL. */
  send: (path: string, sent?: Sent) => Promise<Answer>
  /** Registers a public client (RFC 7591), or what `metadata` says. */
  register: (metadata?: Record<string, unknown>) => Promise<TestClient>
  /** The authorization request, as a browser follows a link; `params` overrides, undefined leaves out. */
  authorize: (client: TestClient, params?: AuthorizeParams) => Promise<Answer & { code_verifier: string }>
  /** Answers the consent page in `page`. */
  answer: (page: Answer, decision: 'approve' | 'deny', sent?: Sent) => Promise<Answer>
  /** A whole sign-in, consent included; resolves with the token response. Throws Refusal. */
  signIn: (client: TestClient, params?: AuthorizeParams) => Promise<Tokens>
  /** A code, and the verifier that belongs to it. */
  code: (client: TestClient, params?: AuthorizeParams) => Promise<{ code: string; code_verifier: string }>
  /** A token request, authenticated as the client registered. Throws Refusal. */
  token: (client: TestClient, form: Record<string, string>) => Promise<Tokens>
  refresh: (client: TestClient, tokens: { refresh_token?: string }, form?: Record<string, string>) => Promise<Tokens>
  introspect: (client: TestClient, token: string) => Promise<Record<string, unknown>>
}

/** RFC 7636 §4.2. */
export const challengeOf = (verifier: string): string => createHash('sha256').update(verifier).digest('base64url')

export const newVerifier = (): string => randomBytes(32).toString('base64url')

/** The one-time ticket of a consent page. */
export function ticketOf(page: { text: string }): string {
  const [, ticket] = /name="ticket" value="([^"]+)"/.exec(page.text) ?? []
  if (!ticket) throw new Error(`no consent page: ${page.text.slice(0, 800)}`)
  return ticket
}

const basic = ({ client_id, client_secret }: TestClient): Record<string, string> =>
  client_secret === undefined ? {} : { authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}` }

/** Text of a form; lists repeat their name. */
export function formText(form: NonNullable<SentBody['form']>): string {
  if (typeof form === 'string') return form
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(form)) for (const one of [value].flat()) params.append(name, one as string)
  return params.toString()
}

function encoded({ form, json, raw }: SentBody): { body?: string; headers: Record<string, string> } {
  if (form !== undefined) return { body: formText(form), headers: { 'content-type': 'application/x-www-form-urlencoded' } }
  if (json !== undefined) return { body: JSON.stringify(json), headers: { 'content-type': 'application/json' } }
  return raw === undefined ? { headers: {} } : { body: raw, headers: {} }
}

/** Whoever has the loopback address `address` on the development mesh. Connections close when the test ends. */
export function personAt(t: TestContext, issuer: string, address: string): Person {
  const dispatcher = new Agent({ localAddress: address, connections: 64 })
  t.after(() => dispatcher.destroy())
  // The daemon listens on 127.0.0.1; its name stays in the Host header.
  return personBy(
    dispatcher,
    issuer,
    address,
    ({ protocol, port, pathname, search }) => `${protocol}//127.0.0.1:${port}${pathname}${search}`,
  )
}

/** Whoever is at the end of this way to the issuer; `urlOf` says where a request for a URL is sent. */
export function personBy(dispatcher: Dispatcher, issuer: string, address: string, urlOf = (url: URL) => url.href): Person {
  async function send(path: string, { method, headers = {}, ...sent }: Sent = {}): Promise<Answer> {
    const { body, headers: ofBody } = encoded(sent)
    const url = new URL(path.startsWith('http') ? path : issuer + path)
    const response = await request(urlOf(url), {
      method: (method ?? (body === undefined ? 'GET' : 'POST')) as 'GET',
      headers: { host: url.host, ...ofBody, ...headers },
      body: body ?? null,
      dispatcher,
    })
    const text = await response.body.text()
    if (response.statusCode < 400) noteRequest(body, { ...ofBody, ...headers })
    noteAnswer(text, response.headers)
    return {
      status: response.statusCode,
      headers: response.headers,
      text,
      json: () => JSON.parse(text) as Record<string, unknown>,
      location: () => new URL(String(response.headers.location)).searchParams,
    }
  }

  const person: Person = {
    address,
    send,

    async register(metadata = {}) {
      const redirect_uri = 'http://127.0.0.1:9/callback'
      const answer = await send('/register', {
        json: {
          client_name: 'Test client',
          redirect_uris: [redirect_uri],
          token_endpoint_auth_method: 'none',
          grant_types: ['authorization_code', 'refresh_token'],
          ...metadata,
        },
      })
      if (answer.status !== 201) throw new Refusal(answer)
      const { client_id, client_secret, redirect_uris, registration_access_token } = answer.json() as {
        client_id: string
        client_secret?: string
        redirect_uris: string[]
        registration_access_token: string
      }
      return {
        client_id,
        redirect_uri: redirect_uris[0] ?? redirect_uri,
        registration_access_token,
        ...(client_secret !== undefined && { client_secret }),
      }
    },

    async authorize({ client_id, redirect_uri }, params = {}) {
      const code_verifier = newVerifier()
      const all: AuthorizeParams = {
        response_type: 'code',
        client_id,
        redirect_uri,
        state: 'st-1',
        code_challenge: challengeOf(code_verifier),
        code_challenge_method: 'S256',
        ...params,
      }
      const given = Object.fromEntries(
        Object.entries(all).filter((entry): entry is [string, string | readonly string[]] => entry[1] !== undefined),
      )
      return { ...(await send(`/authorize?${formText(given)}`, { headers: { accept: 'text/html' } })), code_verifier }
    },

    answer: (page, decision, { headers = {}, form } = {}) =>
      send('/consent', {
        form: { ticket: ticketOf(page), decision, ...(typeof form === 'object' ? form : {}) },
        headers: { accept: 'text/html', origin: new URL(issuer).origin, 'sec-fetch-site': 'same-origin', ...headers },
      }),

    async code(client, params) {
      const first = await person.authorize(client, params)
      const done = first.status === 200 ? await person.answer(first, 'approve') : first
      const code = done.status === 303 ? done.location().get('code') : null
      if (!code) throw new Error(`no code: ${done.status} ${done.headers.location ?? done.text.slice(0, 1500)}`)
      return { code, code_verifier: first.code_verifier }
    },

    async signIn(client, params) {
      const { code, code_verifier } = await person.code(client, params)
      return person.token(client, { grant_type: 'authorization_code', code, code_verifier, redirect_uri: client.redirect_uri })
    },

    async token(client, form) {
      const answer = await send('/token', {
        form: client.client_secret === undefined ? { client_id: client.client_id, ...form } : form,
        headers: basic(client),
      })
      if (answer.status !== 200) throw new Refusal(answer)
      return answer.json() as unknown as Tokens
    },

    refresh: (client, { refresh_token = '' }, form = {}) => person.token(client, { grant_type: 'refresh_token', refresh_token, ...form }),

    async introspect(client, token) {
      const answer = await send('/introspect', { form: { token }, headers: basic(client) })
      if (answer.status !== 200) throw new Refusal(answer)
      return answer.json()
    },
  }
  return person
}
