/** What a policy file becomes: a compiled policy, or problems. */

import type { Problem } from '../hujson/problem.ts'
import type { ClientJwks } from '../oauth/client_jwks.ts'

export type Resource = {
  name: string // "resource:wiki"
  uri: string
  title: string // the human name; else the name without its prefix
  description: string | null
  scopes: ReadonlyMap<string, string | null> // scope → sentence for the consent page
  default: boolean
  token_format: 'jwt' | 'opaque'
  check: 'local' | 'introspect'
  unverified_scopes: ReadonlySet<string> // those that software may get which the file does not name
  signing_alg: 'ES256' | 'RS256'
  may_act: string | null // client_id of the one client that may exchange its tokens (RFC 8693 §4.4)
}

/** A client of the policy file. */
export type PolicyClient = {
  name: string // "client:grafana"
  client_id: string // as the file says; else the name, whose colon HTTP Basic needs encoded (RFC 6749 §2.3.1)
  title: string // the human name; else the name without its prefix
  redirect_uris: readonly string[]
  client_secret_file: string | null
  default_resource: string | null // "resource:wiki": for its requests that name none
  node: readonly string[] // tags
  jwks: ClientJwks | null
  jwks_uri: string | null
  spiffe_id: string | null
  compat: { assertion_aud: boolean } // what other software does otherwise than it should
  require_pkce: boolean
  id_token_signed_response_alg: 'RS256' | 'ES256' | null
  post_logout_redirect_uris: readonly string[]
}

/** A compiled policy: immutable; one reference is swapped at a reload. */
export type Policy = {
  /** SHA-256 of the text, hex: "who may do what now" in one line. */
  hash: string
  text: string
  resources: ReadonlyMap<string, Resource> // by name
  clients: ReadonlyMap<string, PolicyClient> // by client_id
  warnings: readonly Problem[]
  /** The indexes that `evaluate` uses; nobody else looks inside. */
  compiled: unknown
}

export type Compiled = { ok: true; policy: Policy } | { ok: false; problems: readonly Problem[] }
