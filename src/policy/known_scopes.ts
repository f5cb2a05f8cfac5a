import { identityScopes } from './identity_scopes.ts'
import type { Policy } from './policy.ts'

/** Every scope that anybody could be given here: those of identity, then those of the resources. */
export const knownScopes = ({ resources }: Pick<Policy, 'resources'>): Set<string> =>
  new Set([...identityScopes, ...[...resources.values()].flatMap((resource) => [...resource.scopes.keys()])])
