import { optional, type Params } from '../oauth/parse.ts'

/** Whoever sends one of these wants to prove something. */
const credentials = ['client_secret', 'client_assertion', 'client_assertion_type']

/** The `client_id` of a request that names its client and carries no credential (RFC 6749 §2.1); undefined for any other. */
export function bareClientId(authorization: string | undefined, params: Params): string | undefined {
  const carries = authorization !== undefined || credentials.some((name) => optional(params, name) !== undefined)
  return carries ? undefined : optional(params, 'client_id')
}
