/** The person behind an authorization, asked of the mesh again and judged on today's policy. */
import type { Client } from '../clients/client.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import type { NoIdentityReason, UserPrincipal } from '../oauth/principal.ts'
import { withoutSlash } from '../oauth/resource.ts'
import type { Asked, Resource } from '../policy/index.ts'
import { type Authorization, personFound, personMissing } from '../store/authorizations.ts'

export type Subject = { there: true; principal: UserPrincipal } | { there: false; reason: NoIdentityReason; sentence: string }

/**
 * Whether the authorization's person is in the mesh now. Not there: that is noted, and `sweep` looks again; found again: healed. Throws `Unavailable` while the mesh is dark: that says nothing about anybody.
 */
export async function findSubject(deps: Deps, authorization: Authorization): Promise<Subject> {
  const subject = await deps.identity.stillThere(authorization)
  if (!subject.there && authorization.missing_since === null) await deps.store.commit([personMissing(authorization.id, deps.now())])
  if (subject.there && authorization.missing_since !== null) await deps.store.commit([personFound(authorization.id)])
  return subject
}

/** The resource of today's policy that an authorization is for; undefined where the policy has none any more. */
export function resourceByUri(policy: ActivePolicy, uri: string): Resource | undefined {
  return policy.resources_by_uri.get(withoutSlash(uri))
}

/** The resource for a request of this client that names none: its own default, or else that of all; undefined where there is none. */
export function defaultResource(policy: ActivePolicy, { default_resource }: Client): Resource | undefined {
  if (default_resource !== null) return policy.resources.get(default_resource)
  return [...policy.resources.values()].find((resource) => resource.default)
}

/** The question whether this person may (still) give this client these scopes. */
export const askedFor = (principal: UserPrincipal, client: Client, resource: Resource | null, scopes: readonly string[]): Asked => ({
  app: 'authorize',
  principal,
  client: client.facts,
  resource: resource?.name ?? null,
  scopes,
})
