/** What registering software (RFC 7591) and changing it (RFC 7592) share: who may, with which metadata, and what is answered. */
import { refuseOfficialName } from '../clients/official_name.ts'
import { type Decided, decide, nameOf } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import { jsonOf, type Request } from '../http/endpoint.ts'
import { type ClientMetadata, type MetadataRules, type ParsedMetadata, parseClientMetadata } from '../oauth/client_metadata.ts'
import { OAuthError } from '../oauth/error.ts'
import type { Principal } from '../oauth/principal.ts'
import { redirectHost } from '../oauth/redirect_uri.ts'
import { softwareDigest } from '../oauth/same_software.ts'
import { digest } from '../oauth/secret.ts'
import { evaluate, knownScopes } from '../policy/index.ts'
import type { StoredClient } from '../store/clients.ts'
import { principalKey } from './caller.ts'

/** A page of another origin may not use the network identity of whoever looks at it, unless the configuration lists it. Throws `forbidden`. */
export function requireKnownOrigin(deps: Deps, { headers }: Request): void {
  const { origin, 'sec-fetch-site': site } = headers
  const known = origin !== undefined && deps.config.browser_clients.includes(origin)
  if (!known && (origin !== undefined || (site !== undefined && site !== 'none' && site !== 'same-origin')))
    throw new OAuthError(
      'forbidden',
      `A page of ${origin ?? 'another site'} may not register software here. An admin can list its origin in "browser_clients".`,
    )
}

/** Whether it proves itself, so that nobody can be it by naming it (RFC 6749 §2.1). */
export const isConfidential = ({ token_endpoint_auth_method }: ClientMetadata) => token_endpoint_auth_method !== 'none'

/** Whether it does so by a secret, which we have to make for it. */
export const hasSecret = ({ token_endpoint_auth_method }: ClientMetadata) => token_endpoint_auth_method.startsWith('client_secret_')

/** Where this software could have a browser sent, for the policy: its answers, and people who have signed out. */
export const redirectHostsOf = ({
  redirect_uris,
  post_logout_redirect_uris = [],
}: {
  redirect_uris: readonly string[]
  post_logout_redirect_uris?: readonly string[]
}) => [...redirect_uris, ...post_logout_redirect_uris].map((uri) => redirectHost(uri).host)

type Registering = {
  policy: ActivePolicy
  principal: Principal
  /** The client's id, which an update's body must name (RFC 7592 §2.2). */
  client_id: string
  /** The initial access token that was shown, or that the client came by. */
  initial_access_token: string | null
  /** The client as it is; undefined where it is to be made. */
  before?: StoredClient
}

/**
 * What the client says of itself, as far as the policy lets the caller bring it in. A secret is asked for by default (RFC 7591 §2); where the policy gives
 * none, the client becomes public, and the answer says so (§3.2.1). Throws `invalid_client_metadata`, `invalid_redirect_uri`, `access_denied`.
 */
export async function admitted(
  deps: Deps,
  request: Request,
  { policy, principal, client_id, initial_access_token, before }: Registering,
): Promise<{ metadata: ClientMetadata; decided: Decided }> {
  const body = before ? withoutOwnSecret(jsonOf(request), before) : jsonOf(request)
  const scopes = knownScopes(policy)
  const read = (confidentialAllowed: boolean, mode: MetadataRules['mode']) =>
    parseClientMetadata(body, {
      source: 'registration',
      mode,
      confidentialAllowed,
      issuer: deps.config.issuer,
      scopes,
      ...(before && { client_id }),
    })
  const askedFor = ({ metadata }: ParsedMetadata) =>
    ({
      app: 'register',
      principal,
      via: initial_access_token === null ? 'dcr' : 'initial_access_token',
      hosts: redirectHostsOf(metadata),
      confidential: isConfidential(metadata),
    }) as const

  const wished = read(true, 'lenient')
  const confidential = isConfidential(wished.metadata) && evaluate(policy, askedFor(wished), deps.now()).allowed
  const parsed = confidential ? wished : read(false, 'lenient')
  const { metadata, ignored, narrowed } = parsed
  refuseOfficialName(policy, metadata.client_name)
  const facts = { entry: 'register', ...(before && { client_id }) } as const
  // Some clients register at each start. That is no fault, but worth knowing: each is one of the owner's `max_clients`.
  const again = before ? [] : await deps.store.clients.again(principalKey(principal), softwareDigest(metadata), deps.now())
  const detail = {
    ignored,
    narrowed,
    client_name: metadata.client_name ?? null,
    ...(again.length > 0 && { again }),
    ...(initial_access_token && { initial_access_token }),
  }
  const decided = await decide(deps, policy, askedFor(parsed), facts, { client_id, detail })
  if (decided.verdict.limits.metadata === 'strict') read(confidential, 'strict')
  if (again.length > 0) deps.log.info({ client_id, again }, `${nameOf(principal)} registers software that they registered before`)
  return { metadata, decided }
}

/** RFC 7592 §2.2: an update may repeat the client's secret, and choose none. */
function withoutOwnSecret(body: unknown, { secret_digest }: StoredClient): unknown {
  if (typeof body !== 'object' || body === null || !('client_secret' in body)) return body
  const { client_secret, ...others } = body
  return typeof client_secret === 'string' && digest(client_secret) === secret_digest ? others : body
}

type Fresh = { client_secret?: string | undefined; registration_access_token?: string | undefined }

/** The client information response: RFC 7591 §3.2.1, RFC 7592 §3. Secrets are told once, when they are made. */
export const information = (deps: Deps, client: StoredClient, { client_secret, registration_access_token }: Fresh) => ({
  client_id: client.client_id,
  client_id_issued_at: client.created_at,
  ...client.metadata,
  ...(client_secret !== undefined && { client_secret }),
  ...(client.secret_digest !== null && { client_secret_expires_at: 0 }),
  ...(registration_access_token !== undefined && { registration_access_token }),
  registration_client_uri: `${deps.config.issuer}/register/${client.client_id}`,
})
