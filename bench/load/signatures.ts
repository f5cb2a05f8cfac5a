/** What a server really signs with: seen in its tokens and keys, not taken from its settings. */
import type { Answer, Conversation } from './http.ts'
import type { Target } from './target.ts'
import { codeFlow, refreshed, type Tokens } from './workloads.ts'

/** One sentence, such as "access tokens ES256, ID tokens RS256 (2048 bits), also at a refresh". Throws where the server does not do the code flow. */
export async function signatures(target: Target): Promise<string> {
  const first = await hold(codeFlow(target, target.profile), target.origin)
  const second = await hold(refreshed(target, first.refresh_token, target.profile.resource), target.origin)
  const { keys } = (await (await fetch(target.origin + target.paths.jwks)).json()) as { keys: Key[] }
  const access = `access tokens ${describe(first.access_token, keys)}`
  const id = first.id_token === undefined ? 'no ID token' : `ID tokens ${describe(first.id_token, keys)}`
  const again = second.id_token === undefined ? 'none at a refresh' : 'also at a refresh'
  return `${access}, ${id}, ${again}`
}

type Key = { kid?: string; kty: string; n?: string; crv?: string }

function describe(token: string, keys: readonly Key[]): string {
  const [head = '', payload] = token.split('.')
  if (payload === undefined) return 'opaque'
  const { alg, kid } = JSON.parse(Buffer.from(head, 'base64url').toString())
  const key = keys.find((each) => each.kid === kid)
  if (!key) return alg
  return `${alg} (${key.n === undefined ? key.crv : `${Buffer.from(key.n, 'base64url').length * 8} bits`})`
}

/** Holds one conversation, without hurry. */
async function hold(conversation: Conversation<Tokens>, origin: string): Promise<Tokens> {
  let step = conversation.next()
  while (!step.done) {
    const { path, body, ...init } = step.value
    const response = await fetch(origin + path, { ...init, redirect: 'manual', ...(body !== undefined && { body }) })
    const text = await response.text()
    const answer: Answer = {
      status: response.status,
      body: text,
      header: (name) => (name === 'set-cookie' ? response.headers.getSetCookie() : [response.headers.get(name) ?? []].flat()),
    }
    step = conversation.next(answer)
  }
  return step.value
}
