/** The person before the browser. */
import type { Deps } from '../deps.ts'
import type { Connection } from '../identity/identity.ts'
import { OAuthError } from '../oauth/error.ts'
import type { Principal, UserPrincipal } from '../oauth/principal.ts'

/** Whoever calls. Throws `access_denied` where that is nobody, `Unavailable` while the mesh is dark. */
export async function callerOf(deps: Deps, connection: Connection): Promise<Principal> {
  const caller = await deps.identity.identify(connection)
  if (!caller.principal) throw new OAuthError('access_denied', caller.sentence)
  return caller.principal
}

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
