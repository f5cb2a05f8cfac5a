import { hash } from 'node:crypto'
import { responseModes } from '../authorization/request.ts'
import { methods } from '../client_auth/index.ts'
import type { Deps } from '../deps.ts'
import { grantTypes } from '../grant_types/index.ts'
import type { Endpoint, Reply, Request } from '../http/endpoint.ts'
import { algorithms } from '../keys/keyset.ts'
import { authenticationContexts } from '../oauth/authentication_context.ts'
import { pathOf } from '../oauth/issuer.ts'
import { codeChallengeMethods } from '../oauth/pkce.ts'
import { signatureAlgorithms } from '../oauth/signature_algorithms.ts'
import { knownScopes } from '../policy/index.ts'
import { supportedClaims } from '../tokens/claims.ts'

/** What software can choose from (RFC 8414 §2): `node` is what an admin gives it, and SVIDs are of use where a trust domain is known. */
const methodsOf = ({ spiffe: { trust_domains } }: Deps['config']) =>
  [...methods.keys()].filter((method) => method !== 'node' && (method !== 'spiffe_jwt' || Object.keys(trust_domains).length > 0))

/** RFC 8414 §2 and OpenID Connect Discovery §3: one document serves both. Every URL comes from the configuration, never from a request. */
function metadataOf({ config }: Deps, scopes: Iterable<string>): object {
  const { issuer } = config
  const announced = methodsOf(config)
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    registration_endpoint: `${issuer}/register`,
    introspection_endpoint: `${issuer}/introspect`,
    revocation_endpoint: `${issuer}/revoke`,
    userinfo_endpoint: `${issuer}/userinfo`,
    end_session_endpoint: `${issuer}/end_session`,
    jwks_uri: `${issuer}/jwks`,
    scopes_supported: [...scopes],
    response_types_supported: ['code'],
    response_modes_supported: responseModes,
    grant_types_supported: [...grantTypes.keys()],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [...algorithms],
    token_endpoint_auth_methods_supported: announced,
    introspection_endpoint_auth_methods_supported: announced.filter((method) => method !== 'none'),
    revocation_endpoint_auth_methods_supported: announced,
    token_endpoint_auth_signing_alg_values_supported: signatureAlgorithms,
    introspection_endpoint_auth_signing_alg_values_supported: signatureAlgorithms,
    revocation_endpoint_auth_signing_alg_values_supported: signatureAlgorithms,
    code_challenge_methods_supported: codeChallengeMethods,
    claims_supported: supportedClaims,
    claim_types_supported: ['normal'],
    acr_values_supported: Object.values(authenticationContexts),
    prompt_values_supported: ['none', 'login', 'consent', 'select_account'],
    authorization_response_iss_parameter_supported: true,
    client_id_metadata_document_supported: true,
    claims_parameter_supported: true,
    request_parameter_supported: false,
    request_uri_parameter_supported: false,
  }
}

type Prepared = { etag: string; whole: Reply; unchanged: Reply }

const prepared = new WeakMap<object, Prepared>()

/** A document as an answer, made once for what it is made of; "unchanged" for whoever has it already (RFC 9110 §8.8.3, §15.4.5). */
function answer({ headers }: Request, source: object, type: string, make: () => object): Reply {
  let known = prepared.get(source)
  if (!known) {
    const body = JSON.stringify(make())
    const etag = `"${hash('sha256', body, 'base64url')}"`
    const caching = { 'cache-control': 'public, max-age=300', etag }
    known = {
      etag,
      whole: { status: 200, headers: { ...caching, 'content-type': type }, body },
      unchanged: { status: 304, headers: caching, body: '' },
    }
    prepared.set(source, known)
  }
  const had = headers['if-none-match']
  return had !== undefined && (had === '*' || had.includes(known.etag)) ? known.unchanged : known.whole
}

/** Where clients look: with a path in the issuer RFC 8414 §3.1 puts it behind the well-known part, OpenID Connect before; both are asked for. */
export function metadataPaths(issuer: string): string[] {
  const path = pathOf(issuer)
  return ['oauth-authorization-server', 'openid-configuration'].flatMap((name) => [
    ...new Set([`/.well-known/${name}${path}`, `${path}/.well-known/${name}`]),
  ])
}

/** The handler of each of those paths. */
export const metadata: Omit<Endpoint, 'path'> = {
  methods: ['GET'],
  cost: 'free',
  funnel: true,
  cors: 'anyone',
  handle(deps, request) {
    const policy = deps.policy()
    return answer(request, policy, 'application/json', () => metadataOf(deps, knownScopes(policy)))
  },
}

/** RFC 7517 §5. */
export const jwks: Endpoint = {
  path: '/jwks',
  methods: ['GET'],
  cost: 'free',
  funnel: true,
  cors: 'anyone',
  handle: (deps, request) => answer(request, deps.keys.jwks, 'application/jwk-set+json', () => deps.keys.jwks),
}
