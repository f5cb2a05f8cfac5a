import { bareClientId } from './bare.ts'
import type { Method } from './method.ts'

/** A public client names itself and proves nothing (RFC 6749 §2.1); PKCE binds its code instead. */
export const none: Method = {
  wire: 'client_id alone',
  present(authorization, params) {
    const client_id = bareClientId(authorization, params)
    return client_id === undefined ? undefined : { client_id, proves: () => ({ node: null }) }
  },
}
