/** A mesh with a gateway: alice and bob may call its tools with any software, and it may go on to the wiki for them. */
import assert from 'node:assert/strict'
import { changedPolicy, type PolicyObject, policyClient } from './example_policy.ts'
import type { Answer, Person, TestClient, Tokens } from './person.ts'
import type { Started } from './start.ts'

export const tokenType = (name: string) => `urn:ietf:params:oauth:token-type:${name}`
export const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange'

export const gatewayResource = { resource: 'http://localhost:8492/mcp', scope: 'tools:call' } as const

/** The one edge of the policy: from the gateway to the wiki. */
export const edge = { actors: ['client:gateway'], from: ['resource:gateway'], scopes: { 'wiki:read': ['tools:call'] } }

export const withGateway = (change: (policy: PolicyObject) => void = () => {}, ...edges: Record<string, unknown>[]): string =>
  changedPolicy((policy) => {
    const { resources, clients } = policy
    // What the example says of its gateway goes: here is allowed what the test says.
    const grants = policy.grants.filter(({ dst, app }) => !app.exchange && !dst?.includes('resource:gateway'))
    policy.grants = grants
    resources['resource:gateway'] = {
      uri: gatewayResource.resource,
      name: 'Tool gateway',
      scopes: ['tools:call', 'tools:list'],
      allow_unverified_clients: true,
    }
    for (const name of ['gateway', 'other', 'agent', 'gateway-server']) clients[`client:${name}`] = { client_secret_file: name }
    grants.push(
      {
        src: ['group:eng'],
        dst: ['resource:gateway'],
        app: { authorize: [{ scopes: ['tools:call', 'tools:list'], clients: ['*'], consent: 'once' }] },
      },
      { src: ['group:eng', 'client:agent'], dst: ['resource:wiki'], app: { exchange: edges.length > 0 ? edges : [edge] } },
      { src: ['client:gateway-server'], dst: ['resource:gateway'], app: { introspect: [{}] } },
      { src: ['client:agent'], dst: ['resource:gateway'], app: { client_credentials: [{ scopes: ['tools:call'] }] } },
    )
    change(policy)
  })

export type Exchanged = Tokens & { issued_token_type: string }

/** An exchange, to the letter: nothing is added but the client's credential. */
export function exchange(person: Person, client: TestClient, form: Record<string, string | readonly string[]>): Promise<Answer> {
  const { client_id, client_secret } = client
  const own = client_secret === undefined ? { client_id } : { client_id, client_secret }
  return person.send('/token', { form: { grant_type: tokenExchange, subject_token_type: tokenType('access_token'), ...own, ...form } })
}

export async function exchanged(...request: Parameters<typeof exchange>): Promise<Exchanged> {
  const answer = await exchange(...request)
  assert.equal(answer.status, 200, answer.text)
  return answer.json() as unknown as Exchanged
}

export const claimsIn = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>

/** Whether the wiki's server would take this token, and what it is told. */
export const atWiki = (started: Started, token: string) => started.ci.introspect(policyClient(started, 'wiki-server'), token)

/** A row of servers, each of which may go on to the next one for alice and bob: resource:hop-0 … resource:hop-N, with a client each. */
export const withChain = (hops: number, max_depth: number): string =>
  changedPolicy(({ resources, clients, grants }) => {
    const names = Array.from({ length: hops + 1 }, (_, at) => `hop-${at}`)
    for (const [at, name] of names.entries()) {
      resources[`resource:${name}`] = { uri: hopUri(at), scopes: [`${name}:use`], allow_unverified_clients: true }
      clients[`client:${name}`] = { client_secret_file: name }
      const dst = [`resource:${name}`]
      grants.push({ src: ['group:eng'], dst, app: { authorize: [{ scopes: [`${name}:use`], clients: ['*'], consent: 'once' }] } })
      grants.push({ src: [`client:${name}`], dst, app: { introspect: [{ chain: true }] } })
      const before = names[at - 1]
      if (before === undefined) continue
      const scopes = { [`${name}:use`]: [`${before}:use`] }
      grants.push({
        src: ['group:eng'],
        dst,
        app: { exchange: [{ actors: [`client:${before}`], from: [`resource:${before}`], scopes, max_depth }] },
      })
    }
  })

export const hopUri = (at: number) => `http://localhost:${8500 + at}/mcp`

/** Alice signs in at the first server of `withChain`, and her token is exchanged `hops` times; all tokens, hers first. Throws where one is refused. */
export async function walked(started: Started, client: TestClient, hops: number): Promise<string[]> {
  const { alice, ci } = started
  const tokens = [(await alice.signIn(client, { resource: hopUri(0), scope: 'hop-0:use' })).access_token]
  for (let at = 0; at < hops; at++) {
    const form = { subject_token: tokens.at(-1) as string, resource: hopUri(at + 1) }
    tokens.push((await exchanged(ci, policyClient(started, `hop-${at}`), form)).access_token)
  }
  return tokens
}
