/**
 * A whole sign-in against this very server: software registers, somebody agrees, the code is redeemed, refreshed and revoked, and all of it is cleaned up.
 * It goes through the application, the keys and the store of the real one; only who calls, and what they may, is made up, so that nobody gains anything.
 */
import { hash } from 'node:crypto'
import { buildApp } from '../app.ts'
import type { Config, LiveConfig } from '../config.ts'
import { nothingRecent } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import type { Identity } from '../identity/identity.ts'
import { createJwts } from '../keys/jwt.ts'
import type { Keyring } from '../keys/keyring.ts'
import { OAuthError } from '../oauth/error.ts'
import { createIdentifiers } from '../oauth/identifier.ts'
import type { UserPrincipal } from '../oauth/principal.ts'
import { digest } from '../oauth/secret.ts'
import { createMetrics } from '../observe/metrics.ts'
import { newTrace } from '../observe/trace.ts'
import { compile } from '../policy/index.ts'
import { deleteAuthorizations } from '../store/authorizations.ts'
import { forgetAuthTime } from '../store/consents.ts'
import { withoutDecisions } from '../store/decisions.ts'
import { createStore, type Store } from '../store/index.ts'
import { deleteTicket } from '../store/tickets.ts'

/** What a sign-in needs of the real server. */
export type Own = { config: Config; store: Store; keys: Keyring; now: () => number; randomBytes: (size: number) => Buffer }

const login = 'doctor@meshidp.invalid'
const resource = 'urn:meshidp:doctor'
const redirect_uri = 'http://127.0.0.1/meshidp-doctor'

const software = {
  client_name: 'meshidp doctor',
  redirect_uris: [redirect_uri],
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code', 'refresh_token'],
}

/** Under user id 0, which no mesh gives to anybody. */
const doctor: UserPrincipal = {
  kind: 'user',
  user_id: '0',
  login,
  display_name: null,
  picture: null,
  groups: null,
  capabilities: new Map(),
  node: { id: 'meshidp-doctor', name: 'meshidp-doctor', addresses: [], key_expiry: null, os: null, os_version: null },
  address: '127.0.0.1',
}

const policyText = JSON.stringify({
  resources: { 'resource:doctor': { uri: resource, scopes: ['check'], allow_unverified_clients: true } },
  grants: [
    { src: [login], app: { register: [{ via: ['dcr'], max_clients: 1000, client_ttl: '1h' }] } },
    { src: [login], dst: ['resource:doctor'], app: { authorize: [{ scopes: ['check'], clients: ['*'] }] } },
  ],
})

function policyOf(now: number): ActivePolicy {
  const compiled = compile(policyText)
  if (!compiled.ok) throw new Error(`the doctor's own policy does not compile: ${JSON.stringify(compiled.problems)}`)
  const { policy } = compiled
  return {
    ...policy,
    secret_digests: new Map(),
    resources_by_uri: new Map([...policy.resources.values()].map((one) => [one.uri, one])),
    loaded_at: now,
    source: 'start',
  }
}

const identity: Identity = {
  identify: async () => ({ principal: doctor }),
  stillThere: async () => ({ there: true, principal: doctor }),
  machineThere: async () => ({ there: false, sentence: 'Nobody but the doctor is here.' }),
  everybody: async () => new Set(),
  present: async () => ({ has: () => true, next_expiry: null }),
  changes: () => 0,
  status: () => ({ state: 'Running', running: true, addresses: [], name: '', tailnet: '', health: [], strategy: 'tun' }),
  refresh: async () => identity.status(),
  close: async () => {},
}

function depsOf(config: LiveConfig, { store, keys, now, randomBytes }: Own): Deps {
  const policy = policyOf(now())
  const silent = () => {}
  const fetchesNothing = () => Promise.reject(new Error('the doctor fetches nothing'))
  return {
    config,
    now,
    randomBytes,
    newId: createIdentifiers(now, randomBytes),
    identity,
    documents: { fetch: fetchesNothing },
    clientKeys: { at: fetchesNothing },
    trustBundles: { of: fetchesNothing, refresh: fetchesNothing, list: () => [] },
    log: { debug: silent, info: silent, warn: silent, error: silent },
    trace: newTrace(),
    metrics: createMetrics(),
    store: createStore(withoutDecisions(store.engine)),
    keys,
    jwts: createJwts(keys),
    recent: nothingRecent(),
    perPrincipal: { take: () => 0 },
    troubles: () => [],
    isClockSure: () => true,
    unheard: () => null,
    ailments: () => [],
    certificate: () => null,
    policyState: () => ({ file: '', hash: policy.hash, source: policy.source, loaded_at: policy.loaded_at, problem: null }),
    policy: () => policy,
  }
}

type Answer = { status: number; headers: Record<string, unknown>; text: string }
type Sent = { form?: Record<string, string>; json?: object; bearer?: string; method?: 'DELETE' }

/** Signs in, and resolves with what was done, in order. Rejects with an OAuthError that says which step was answered how, after having cleaned up as far as that goes. */
export async function signInAgainstItself(own: Own): Promise<string[]> {
  const { issuer = 'https://doctor.invalid' } = own.config
  const { origin, host } = new URL(issuer)
  const app = buildApp(depsOf({ ...own.config, issuer }, own))
  const done: string[] = []
  const tickets: string[] = []

  async function send(path: string, { form, json, bearer, method }: Sent = {}): Promise<Answer> {
    const body = form ? new URLSearchParams(form).toString() : json && JSON.stringify(json)
    const { statusCode, headers, payload } = await app.inject({
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      url: new URL(issuer + path).href.slice(origin.length),
      headers: {
        host,
        'x-forwarded-host': host,
        ...(body !== undefined && { 'content-type': form ? 'application/x-www-form-urlencoded' : 'application/json' }),
        ...(form && { origin, 'sec-fetch-site': 'same-origin' }),
        ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
      },
      ...(body !== undefined && { payload: body }),
    })
    return { status: statusCode, headers, text: payload }
  }

  /** Does a step that must be answered with `status`; `find` takes from the answer what the next ones need. */
  async function step<T>(name: string, asked: Promise<Answer>, status: number, find: (answer: Answer) => T | undefined): Promise<T> {
    const answer = await asked
    const found = answer.status === status ? find(answer) : undefined
    if (found === undefined) throw new OAuthError('server_error', `It could not be ${name}: ${answer.status} ${reasonIn(answer)}`)
    done.push(name)
    return found
  }

  try {
    const client = await step(
      'registered',
      send('/register', { json: software }),
      201,
      ({ text }) => JSON.parse(text) as { client_id: string; registration_access_token: string },
    )
    const { client_id } = client
    try {
      const code_verifier = own.randomBytes(32).toString('base64url')
      const asked = new URLSearchParams({
        response_type: 'code',
        client_id,
        redirect_uri,
        resource,
        scope: 'check',
        state: 'doctor',
        code_challenge: hash('sha256', code_verifier, 'base64url'),
        code_challenge_method: 'S256',
      })
      let page = await send(`/authorize?${asked}`)
      // One page where consent is asked; one more before it where this browser is not known (sign_in: confirm).
      for (let pages = 0; pages < 2 && page.status === 200; pages++) {
        const ticket = ticketIn(page)
        tickets.push(ticket)
        page = await send('/consent', { form: { ticket, decision: 'approve' } })
      }
      const code = await step('authorized', Promise.resolve(page), 303, ({ headers }) => {
        const answer = new URL(String(headers.location)).searchParams
        return answer.get('state') === 'doctor' ? (answer.get('code') ?? undefined) : undefined
      })
      const tokensIn = ({ text }: Answer) => (JSON.parse(text) as { refresh_token?: string }).refresh_token
      const first = await step(
        'redeemed',
        send('/token', { form: { grant_type: 'authorization_code', client_id, code, code_verifier, redirect_uri } }),
        200,
        tokensIn,
      )
      const refresh = (refresh_token: string) => send('/token', { form: { grant_type: 'refresh_token', client_id, refresh_token } })
      const second = await step('refreshed', refresh(first), 200, tokensIn)
      await step('revoked', send('/revoke', { form: { client_id, token: second } }), 200, () => true)
      await step('refused after that', refresh(second), 400, ({ text }) => text.includes('"invalid_grant"') || undefined)
    } finally {
      const bearer = client.registration_access_token
      await step('removed', send(`/register/${client_id}`, { method: 'DELETE', bearer }), 204, () => true)
      await own.store.commit([
        deleteAuthorizations(client_id),
        ...tickets.map((ticket) => deleteTicket(digest(ticket))),
        forgetAuthTime(doctor.user_id, doctor.node.id),
      ])
    }
    return done
  } finally {
    await app.close()
  }
}

const ticketIn = ({ text }: Answer): string => /name="ticket" value="([^"]+)"/.exec(text)?.[1] ?? ''

/** The sentence of an error answer; of a page its heading. */
function reasonIn({ text }: Answer): string {
  try {
    return String((JSON.parse(text) as { error_description?: string }).error_description)
  } catch {
    return /<h1>([^<]*)/.exec(text)?.[1] ?? ''
  }
}
