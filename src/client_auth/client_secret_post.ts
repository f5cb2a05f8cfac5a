import { OAuthError } from '../oauth/error.ts'
import { optional } from '../oauth/parse.ts'
import { digest, sameDigest } from '../oauth/secret.ts'
import { type Method, provenBy } from './method.ts'

/** RFC 6749 §2.3.1: client_id and client_secret in the body. */
export const client_secret_post: Method = {
  wire: 'client_secret_post',
  present(_authorization, params) {
    const client_secret = optional(params, 'client_secret')
    if (client_secret === undefined) return undefined
    const client_id = optional(params, 'client_id')
    if (client_id === undefined)
      throw new OAuthError(
        'invalid_request',
        'A client_secret in the body stands beside its client_id. HTTP Basic takes both into the header.',
      )
    const given = digest(client_secret)
    return { client_id, proves: ({ secret_digest }) => provenBy(secret_digest !== null && sameDigest(secret_digest, given)) }
  },
}
