/** What a request of a machine is for: one resource, and scopes there. */
import type { Client } from '../clients/client.ts'
import { type Facts, recordDenial } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import { OAuthError } from '../oauth/error.ts'
import { optional, type Params } from '../oauth/parse.ts'
import { parseScope } from '../oauth/scope.ts'
import { quoted } from '../oauth/shown_text.ts'
import type { Allowed, Asked, Resource } from '../policy/index.ts'
import { defaultResource, resourceByUri } from '../tokens/subject.ts'

/**
 * The one resource that a request names, by `resource` (RFC 8707 §2) or `audience` (RFC 8693 §2.1; its URI, or the policy's name of it); else the client's
 * own, or the policy's default. Throws `invalid_target`.
 */
export function targetOf(policy: ActivePolicy, client: Client, params: Params): Resource {
  const named = (name: 'resource' | 'audience') => (params.get(name) ?? []).filter((value) => value !== '')
  const byUri = named('resource').map((uri) => [uri, resourceByUri(policy, uri)] as const)
  const byName = named('audience').map((text) => [text, policy.resources.get(text) ?? resourceByUri(policy, text)] as const)
  const targets = new Set<Resource>()
  for (const [text, resource] of [...byUri, ...byName]) {
    if (!resource) throw new OAuthError('invalid_target', `The policy names no resource ${quoted(text, 200)}.`)
    targets.add(resource)
  }
  if (targets.size > 1)
    throw new OAuthError('invalid_target', 'A token is for one resource, and the request names several. Ask for each by itself.')
  const [one] = targets
  const target = one ?? defaultResource(policy, client)
  if (!target) throw new OAuthError('invalid_target', 'The request says neither "resource" nor "audience", and there is no default.')
  return target
}

/** The scopes that a request asks for; none where it leaves that to the policy (RFC 6749 §3.3). Throws `invalid_scope` for what can be none. */
export const scopesAsked = (params: Params): string[] => parseScope(optional(params, 'scope') ?? '')

/**
 * A machine asks for what it needs, and nobody reads what is missing: so it gets all of it or nothing. Throws `invalid_scope`, after the denial is on disk. It
 * is not the policy's own, which gave a part: so that asked again, the policy says no other thing.
 */
export async function refuseDropped(
  deps: Deps,
  policy: ActivePolicy,
  { principal, resource, scopes }: Asked & { resource: string; scopes: readonly string[] },
  facts: Facts,
  { dropped }: Allowed,
): Promise<void> {
  if (dropped.length === 0) return
  const sentence = `The policy does not give this client ${quoted(dropped.join(' '), 200)} at ${resource}.`
  const decision_id = await recordDenial(deps, policy, principal, { ...facts, scopes }, 'scope', sentence)
  throw new OAuthError('invalid_scope', `${sentence} Ask for the others alone, or mention decision ${decision_id} to an admin.`, {
    decision_id,
  })
}
