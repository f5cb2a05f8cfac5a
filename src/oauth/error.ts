/**
 * Every refusal that meshidp puts on the wire. The code is the RFC's word; the description is a sentence for the person who
 * has to do something about it; the cause stays in the log.
 */

/** Code → HTTP status, where the answer is not a redirect. RFC 6749 §5.2, RFC 6750 §3.1, RFC 7591 §3.2.2, RFC 8707 §2, OpenID Core §3.1.2.6, OpenID Connect Core Unmet Authentication Requirements §2, RFC 6585 §4, RFC 9110 §15.6.2. */
export const errorStatus = {
  access_denied: 403,
  consent_required: 400,
  forbidden: 403,
  insufficient_scope: 403,
  interaction_required: 400,
  invalid_client: 401,
  invalid_client_metadata: 400,
  invalid_grant: 400,
  invalid_redirect_uri: 400,
  invalid_request: 400,
  invalid_scope: 400,
  invalid_target: 400,
  invalid_token: 401,
  login_required: 400,
  method_not_allowed: 405,
  misdirected_request: 421,
  not_found: 404,
  not_implemented: 501,
  payload_too_large: 413,
  registration_not_supported: 400,
  request_not_supported: 400,
  request_uri_not_supported: 400,
  server_error: 500,
  temporarily_unavailable: 503,
  too_many_requests: 429,
  unauthorized_client: 400,
  unmet_authentication_requirements: 400,
  unsupported_grant_type: 400,
  unsupported_media_type: 415,
  unsupported_response_type: 400,
} as const

export type ErrorCode = keyof typeof errorStatus

export type ErrorDetails = {
  /** What went wrong inside; logged, never sent. */
  cause?: unknown
  /** The decision that refused, so that an admin can look it up. */
  decision_id?: string
  /** What the policy said, for pages: the sentence alone, each near miss alone, and what their grants say of themselves. The description holds the first two. */
  denial?: { sentence: string; near: readonly string[]; reasons: readonly string[] }
  /** Headers that belong to this refusal, such as `Allow`. */
  headers?: Record<string, string>
}

/** A refusal. Thrown by everyone, rendered in one place (`http/render_error`). */
export class OAuthError extends Error {
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor(code: ErrorCode, description: string, details: ErrorDetails = {}) {
    super(description, 'cause' in details ? { cause: details.cause } : undefined)
    this.name = 'OAuthError'
    this.code = code
    this.details = details
  }

  get status(): number {
    return errorStatus[this.code]
  }
}

/** Something that meshidp stands on is away: the mesh, the disk, the store. Always 503 with `Retry-After`, never `invalid_grant`. */
export class Unavailable extends OAuthError {
  /** @param retryAfter seconds */
  constructor(description: string, details: ErrorDetails & { retryAfter?: number } = {}) {
    const { retryAfter = 5, ...rest } = details
    super('temporarily_unavailable', description, { ...rest, headers: { 'retry-after': String(retryAfter), ...rest.headers } })
    this.name = 'Unavailable'
  }
}
