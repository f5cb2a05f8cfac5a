/** The whole list of endpoints; one that is not here does not exist. */
import type { Endpoint } from '../http/endpoint.ts'
import { pathOf } from '../oauth/issuer.ts'
import { endOwnAuthorization } from './authorizations_end.ts'
import { authorize } from './authorize.ts'
import { consent } from './consent.ts'
import { endSession } from './end_session.ts'
import { healthz, readyz } from './health.ts'
import { home, style } from './home.ts'
import { introspect } from './introspect.ts'
import { jwks, metadata, metadataPaths } from './metadata.ts'
import { metrics } from './metrics.ts'
import { register } from './register.ts'
import { registeredClient } from './registered_client.ts'
import { revoke } from './revoke.ts'
import { token } from './token.ts'
import { userinfo } from './userinfo.ts'

/** Paths below the issuer's own. */
const belowIssuer: readonly Endpoint[] = [
  authorize,
  consent,
  token,
  introspect,
  revoke,
  userinfo,
  endSession,
  endOwnAuthorization,
  register,
  registeredClient,
  jwks,
  home,
  style,
  healthz,
  readyz,
  metrics,
]

/** Every endpoint with its whole path, for an issuer. */
export function endpointsOf(issuer: string): Endpoint[] {
  const base = pathOf(issuer)
  return [
    ...belowIssuer.map((endpoint) => ({ ...endpoint, path: base + endpoint.path })),
    ...(base === '' ? [] : [{ ...home, path: base }]), // the issuer itself, as people copy it
    ...metadataPaths(issuer).map((path) => ({ ...metadata, path })),
  ]
}
