import { optional } from '../oauth/parse.ts'
import type { Method } from './index.ts'

/** Whoever sends one of these wants to prove something. */
const credentials = ['client_secret', 'client_assertion', 'client_assertion_type']

/** A public client names itself and proves nothing (RFC 6749 §2.1); PKCE binds its code instead. */
export const none: Method = {
  present(authorization, params) {
    const client_id = optional(params, 'client_id')
    const proves = authorization !== undefined || credentials.some((name) => optional(params, name) !== undefined)
    if (client_id === undefined || proves) return undefined
    return { client_id, proves: () => true }
  },
}
