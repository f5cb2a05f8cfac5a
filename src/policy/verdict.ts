/** What is asked of the policy, and what it answers. */
import type { NodePrincipal, Principal } from '../oauth/principal.ts'

/**
 * A client as the policy sees it. `name` is its "client:…" in the policy file, null for software that is not named there. `spiffe_id`: the workload that it is,
 * where that is for sure: an admin said so, or it was proven.
 */
export type ClientFacts = { client_id: string; name: string | null; spiffe_id?: string }

/** What is asked of the policy. `resource` is always a name ("resource:wiki"), never a URI. */
export type Asked =
  /** `resource` is null where only identity scopes are asked. One question may hold identity scopes and API scopes. */
  | { app: 'authorize'; principal: Principal; client: ClientFacts; resource: string | null; scopes: readonly string[] }
  /** `hosts`: the hosts of the redirect URIs, also of those for after a logout, of a private-use one its scheme with the colon (a scheme is no host); for `cimd` the document's own as well, which is asked alone before the fetch. `initial_access_token`: a `dcr` whose bearer showed a good one. */
  | { app: 'register'; principal: Principal; via: 'dcr' | 'cimd' | 'initial_access_token'; hosts: readonly string[]; confidential: boolean }
  /**
   * RFC 8693. `principal` is the subject, or the client `subject` (and `principal` its tagged node, where that proved it) where it is a workload.
   * The actor is `client`, and `actor` the tagged node that it calls from, where it does; `other`: another client whose `actor_token` it shows,
   * and `other_actor` the tagged node that proved that one.
   * `from`: the resource that the subject token is for, of an ID token the client; `held`: its scopes. `depth`: how many exchanges the new token
   * descends from, this one included.
   */
  | {
      app: 'exchange'
      principal: Principal | null
      subject?: ClientFacts | null
      client: ClientFacts
      actor: NodePrincipal | null
      other?: ClientFacts | null
      other_actor?: NodePrincipal | null
      from: string
      held: readonly string[]
      resource: string
      scopes: readonly string[]
      depth: number
      /** Whether the token shall not say who acts (RFC 8693 §1.1). */
      impersonate: boolean
    }
  | { app: 'client_credentials'; principal: Principal | null; client: ClientFacts; resource: string; scopes: readonly string[] }
  | { app: 'introspect'; principal: Principal | null; client: ClientFacts | null; resource: string }
  /** From the public internet, where no caller is known but the client. */
  | { app: 'funnel'; principal: null; client: ClientFacts }
  | { app: 'claims'; principal: Principal; client: ClientFacts; resource: string | null }
  | { app: 'admin'; principal: Principal; access: 'read' | 'write' }

/** `from`, `depth` and `subject`: an exchange whose token is for something else, comes from too many exchanges, or whose person may not do it either. */
export type DenialReason = 'no_grant' | 'scope' | 'target' | 'identity' | 'client' | 'from' | 'depth' | 'subject'

export type Denied = {
  allowed: false
  reason: DenialReason
  /** Whole sentences for a person: what was refused, to whom. */
  sentence: string
  /** What would have allowed it, each a sentence: "A grant with "register" for group:eng would allow it." */
  near: readonly string[]
  /** What the grants of those near misses say of themselves (`reason`). */
  reasons: readonly string[]
}

export type Allowed = {
  allowed: true
  /** Indexes into the document's grants of those that gave it. */
  grants: readonly number[]
  /** Indexes into the values of the caller's capability (`mesh_grants`) of those that gave it too. */
  mesh_grants: readonly number[]
  /** What these grants say of themselves (`reason`), in their order. */
  reasons: readonly string[]
  /** The scopes granted, in the order asked; empty for what has none. */
  scopes: readonly string[]
  /** Asked, and not granted. */
  dropped: readonly string[]
  limits: Limits
}

/** All that parameters of capabilities say, after adding up. Those that the question does not concern keep their defaults. Seconds. */
export type Limits = {
  consent: 'always' | 'once' | 'never'
  bind: 'user' | 'node'
  access_token_ttl: number | null
  refresh_token_ttl: number | null
  client_ttl: number | null
  max_clients: number | null
  metadata: 'lenient' | 'strict'
  /** Group names that may be let out; a claim value by name. From `claims`. */
  groups: readonly string[]
  claims: Readonly<Record<string, unknown>>
  /** Whether an exchange yields a refresh token; whether introspection tells the chain of exchanges. */
  refresh_token: boolean
  chain: boolean
}

export type Verdict = Allowed | Denied
