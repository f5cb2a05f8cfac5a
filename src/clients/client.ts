/** A client, wherever it is known from: the policy file, a registration, or its metadata document. */
import { hash } from 'node:crypto'
import type { ActivePolicy } from '../deps.ts'
import type { Algorithm } from '../keys/keyset.ts'
import type { ClientJwks } from '../oauth/client_jwks.ts'
import type { AuthMethod as RegisteredMethod } from '../oauth/client_metadata.ts'
import type { NodePrincipal } from '../oauth/principal.ts'
import type { ClientFacts, PolicyClient } from '../policy/index.ts'
import type { StoredClient } from '../store/clients.ts'

/** How a client may prove itself: as it may register (RFC 7591 §2), or as only the policy file says. */
export type AuthMethod = RegisteredMethod | 'node'

export type Client = {
  client_id: string
  /** For people; a self-registered one may call itself anything. */
  title: string
  /** Whether an admin wrote it into the policy file. All others are shown as unverified. */
  verified: boolean
  /** What the policy needs to know of it. */
  facts: ClientFacts
  redirect_uris: readonly string[]
  /** Where a person may be sent after a logout (OpenID Connect RP-Initiated Logout §3). */
  post_logout_redirect_uris: readonly string[]
  grant_types: readonly string[]
  auth_methods: readonly AuthMethod[]
  secret_digest: string | null
  /** Its public keys, or where they are (RFC 7591 §2). */
  keys: { jwks: ClientJwks } | { jwks_uri: string } | null
  /** What its assertions have to be like: signed by this algorithm; also for the address of the token endpoint (`compat.assertion_aud`). */
  assertions: { alg: string | null; token_endpoint_too: boolean }
  /** The workload that it is, or with `/*` at its end those that may be it (`isRegistered`). */
  spiffe_id: string | null
  /** With `node` among its methods: a machine with one of these tags is the client. */
  node_tags: readonly string[]
  require_pkce: boolean
  /** The policy's name of the resource for requests that name none; null where it says nothing of this client. */
  default_resource: string | null
  id_token_alg: Algorithm
  /** Who registered it, for the consent page. */
  registered_by: string | null
  /** Of all that a person agrees to when they agree to this software: changed, they are asked again. Made when it is looked at, by few requests. */
  readonly software_digest: string
  /** The row, for software that the policy file does not name. */
  stored: StoredClient | null
}

/** What a workload may ask for, which signs nobody in; refresh tokens come of exchanges whose edge says so. */
export const workloadGrantTypes = ['client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange', 'refresh_token'] as const
const publicGrantTypes = ['authorization_code', 'refresh_token'] as const

/** What an admin's client may ask for; what it gets is the policy's to say. */
const confidentialGrantTypes = ['authorization_code', ...workloadGrantTypes] as const

const softwareDigest = (redirect_uris: readonly string[], auth_methods: readonly string[], keys: unknown) =>
  hash('sha256', JSON.stringify([redirect_uris, auth_methods, keys ?? null]), 'base64url')

/** Its secret may come either way (RFC 6749 §2.3.1). Without any credential it is public. */
function authMethodsOf({ node, jwks, jwks_uri, spiffe_id }: PolicyClient, secret_digest: string | null): AuthMethod[] {
  const methods: AuthMethod[] = [
    ...(secret_digest === null ? [] : (['client_secret_basic', 'client_secret_post'] as const)),
    ...(jwks || jwks_uri !== null ? (['private_key_jwt'] as const) : []),
    ...(spiffe_id !== null ? (['spiffe_jwt'] as const) : []),
    ...(node.length === 0 ? [] : (['node'] as const)),
  ]
  return methods.length > 0 ? methods : ['none']
}

/** Where its keys are; null where it has none. */
const keysOf = ({ jwks, jwks_uri }: { jwks?: ClientJwks | null | undefined; jwks_uri?: string | null | undefined }): Client['keys'] =>
  jwks ? { jwks } : jwks_uri ? { jwks_uri } : null

/** Whether anybody can be it by naming it (RFC 6749 §2.1). */
export const isPublic = ({ auth_methods }: Client): boolean => auth_methods.includes('none')

/** Whether this machine proves the client (`node`). */
export const isProvenBy = ({ node_tags }: Client, { tags }: NodePrincipal): boolean => tags.some((tag) => node_tags.includes(tag))

/** A client of the policy file. */
export function clientOfPolicy(client: PolicyClient, policy: ActivePolicy): Client {
  const secret_digest = policy.secret_digests.get(client.client_id) ?? null
  const auth_methods = authMethodsOf(client, secret_digest)
  return {
    client_id: client.client_id,
    title: client.title,
    verified: true,
    facts: { client_id: client.client_id, name: client.name, ...(client.spiffe_id !== null && { spiffe_id: client.spiffe_id }) },
    redirect_uris: client.redirect_uris,
    post_logout_redirect_uris: client.post_logout_redirect_uris,
    grant_types: auth_methods.includes('none') ? publicGrantTypes : confidentialGrantTypes,
    auth_methods,
    secret_digest,
    keys: keysOf(client),
    spiffe_id: client.spiffe_id,
    assertions: { alg: null, token_endpoint_too: client.compat.assertion_aud },
    node_tags: client.node,
    require_pkce: client.require_pkce || auth_methods.includes('none'),
    default_resource: client.default_resource,
    id_token_alg: client.id_token_signed_response_alg ?? 'RS256',
    registered_by: null,
    get software_digest() {
      return softwareDigest(client.redirect_uris, auth_methods, client.jwks ?? client.jwks_uri ?? client.spiffe_id)
    },
    stored: null,
  }
}

/** A client of the store. `named`: the policy's entry for its metadata document's URL, if there is one. */
export function clientOfStore(stored: StoredClient, named?: PolicyClient): Client {
  const { metadata } = stored
  const auth_methods = [metadata.token_endpoint_auth_method]
  return {
    client_id: stored.client_id,
    title: named?.title ?? metadata.client_name ?? stored.client_id,
    verified: named !== undefined,
    facts: { client_id: stored.client_id, name: named?.name ?? null },
    redirect_uris: metadata.redirect_uris,
    post_logout_redirect_uris: metadata.post_logout_redirect_uris ?? [],
    grant_types: metadata.grant_types,
    auth_methods,
    secret_digest: stored.secret_digest,
    keys: keysOf(metadata),
    spiffe_id: metadata.spiffe_id ?? null,
    assertions: { alg: metadata.token_endpoint_auth_signing_alg ?? null, token_endpoint_too: named?.compat.assertion_aud ?? false },
    node_tags: [],
    require_pkce: true,
    default_resource: named?.default_resource ?? null,
    id_token_alg: metadata.id_token_signed_response_alg ?? 'RS256',
    registered_by: stored.owner_name || null,
    get software_digest() {
      return softwareDigest(metadata.redirect_uris, auth_methods, metadata.jwks ?? metadata.jwks_uri ?? metadata.spiffe_id)
    },
    stored,
  }
}
