import { optional, type Params } from '../oauth/parse.ts'
import { asserts } from './assertion.ts'

/** The `client_id` of a request that names its client and carries no credential (RFC 6749 §2.1); undefined for any other. */
export function bareClientId(authorization: string | undefined, params: Params): string | undefined {
  const carries = authorization !== undefined || optional(params, 'client_secret') !== undefined || asserts(params)
  return carries ? undefined : optional(params, 'client_id')
}
