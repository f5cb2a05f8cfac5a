/** A caller's token becomes one for a server behind (RFC 8693), which says for whom it speaks and that the gateway acts. */
import { createHash } from 'node:crypto'
import { metadataOf, patience } from '../mcp-helper/authorization_server.ts'
import type { Credentials } from '../mcp-helper/index.ts'
import { Outage } from '../mcp-helper/outage.ts'
import { Refused } from './refused.ts'

type Answer = { access_token: string; expires_in: number }
type Kept = { until: number; answer: Promise<Answer> }

/** `now`: seconds. `mostKept`: so many tokens are kept; beyond that the oldest goes. */
type Options = { issuer: string; credentials: Credentials; now?: (() => number) | undefined; mostKept?: number }

export function createExchange({ issuer, credentials, now = () => Date.now() / 1000, mostKept = 1000 }: Options) {
  const metadata = metadataOf(issuer)
  const { client_id, proof, fetch = globalThis.fetch } = credentials
  const kept = new Map<string, Kept>()
  // Never by the person alone: a token of less scope, or one that was revoked, would then be worth what another one is.
  const keyOf = (...both: [subject_token: string, resource: string]) => createHash('sha256').update(both.join(' ')).digest('base64url')

  async function ask(subject_token: string, resource: string): Promise<Answer> {
    const { token_endpoint } = await metadata()
    const body = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource,
      client_id,
      ...(await proof?.()),
    })
    const sent = { method: 'POST', body, redirect: 'error', signal: AbortSignal.timeout(patience) } as const
    const response = await fetch(token_endpoint, sent).catch((cause) => {
      throw new Outage(`${issuer} does not answer. Try again.`, { cause })
    })
    if (response.ok) return (await response.json()) as Answer
    const { error, error_description } = (await response.json().catch(() => ({}))) as Record<string, string | undefined>
    // RFC 6749 §5.2: 400 says that this token, for that server, is refused. All else (401: our own credential) the caller cannot mend.
    if (response.status !== 400) throw new Outage(`${issuer} exchanges no token just now: ${error_description ?? response.status}`)
    throw new Refused(error_description ?? error ?? 'The exchange was refused.')
  }

  return {
    /** The token for `resource` in place of `subject_token`. Rejects with Refused, or Outage. */
    async exchanged(subject_token: string, resource: string): Promise<string> {
      const key = keyOf(subject_token, resource)
      const known = kept.get(key)
      if (known && known.until > now()) return (await known.answer).access_token
      kept.delete(key)
      const [oldest = ''] = kept.keys()
      if (kept.size >= mostKept) kept.delete(oldest)
      // Kept at once, so that requests of the same moment share one exchange; a failure is not.
      const asked: Kept = { until: Number.POSITIVE_INFINITY, answer: ask(subject_token, resource) }
      kept.set(key, asked)
      try {
        const { access_token, expires_in } = await asked.answer
        asked.until = now() + expires_in * 0.9 // the last tenth is left, for what is on its way
        return access_token
      } catch (error) {
        if (kept.get(key) === asked) kept.delete(key)
        throw error
      }
    },
    /** The next time another one is asked for. */
    forget: (subject_token: string, resource: string) => void kept.delete(keyOf(subject_token, resource)),
  }
}
