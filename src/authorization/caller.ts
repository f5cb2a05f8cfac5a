/** The person before the browser. */
import { nameOf } from '../decide.ts'
import type { Deps } from '../deps.ts'
import type { Connection } from '../identity/identity.ts'
import { OAuthError } from '../oauth/error.ts'
import type { Principal, UserPrincipal } from '../oauth/principal.ts'

/**
 * Whoever calls, for a deed that writes. Throws `access_denied` where that is nobody, `too_many_requests` where they ask too often, `Unavailable` while the
 * mesh is dark.
 */
export async function callerOf(deps: Deps, connection: Connection): Promise<Principal> {
  const caller = await deps.identity.identify(connection)
  if (!caller.principal) throw new OAuthError('access_denied', caller.sentence)
  const seconds = deps.perPrincipal.take(principalKey(caller.principal))
  if (seconds > 0)
    throw new OAuthError('too_many_requests', `${nameOf(caller.principal)} asks too often. Wait ${seconds} s, and try again.`, {
      headers: { 'retry-after': String(seconds) },
    })
  return caller.principal
}

/** Budgets and owners go by the person, not by the address they happen to have. */
export const principalKey = (principal: Principal): string =>
  principal.kind === 'user' ? `userid:${principal.user_id}` : `node:${principal.node.id}`

/** A person who calls. A tagged node is nobody's, so it cannot sign anybody in. */
export async function personOf(deps: Deps, connection: Connection): Promise<UserPrincipal> {
  const principal = await callerOf(deps, connection)
  if (principal.kind !== 'user')
    throw new OAuthError(
      'access_denied',
      `${principal.node.name || 'This node'} is tagged (${principal.tags.join(', ')}), so it belongs to no person and cannot sign anybody in. Use a machine of your own.`,
    )
  return principal
}
