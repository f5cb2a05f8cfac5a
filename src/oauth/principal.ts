/** Who is calling, as the mesh says. Types only: `identity/` makes these, `policy/` judges them. */

/** A machine of the mesh. */
export type MeshNode = {
  /** Tailscale's StableID: text, and the key to store. */
  id: string
  /** Fully qualified, without the trailing dot; for people only, never a selector (names can be chosen). */
  name: string
  /** The node's mesh addresses, bare. */
  addresses: readonly string[]
  /** When its key expires, in seconds since the epoch; null where it never does. */
  key_expiry: number | null
  /** What the node says of itself (self-reported, so never proof). */
  os: string | null
  os_version: string | null
  /** Names of the attributes that the control plane gives the node (`Node.CapMap`), where it shows them here. */
  attributes?: readonly string[]
}

/** Capability name → its values, from the tailnet policy (`CapMap`). Unchecked JSON. */
export type Capabilities = ReadonlyMap<string, readonly unknown[]>

/** A person, on a node of theirs. */
export type UserPrincipal = {
  kind: 'user'
  /** `UserProfile.ID` as text (it may exceed 2^53): this is the person; the login name is only what they are called. */
  user_id: string
  /** "alice@example.com", "alice@github", or on headscale a bare name. */
  login: string
  display_name: string | null
  picture: string | null
  /** Groups that the control plane shows; null is unknown, which is not "none". */
  groups: readonly string[] | null
  capabilities: Capabilities
  node: MeshNode
  /** The mesh address they called from, bare and unmapped. */
  address: string
}

/** A tagged node: a workload, nobody's. */
export type NodePrincipal = {
  kind: 'node'
  /** Never empty; each starts with "tag:". */
  tags: readonly string[]
  capabilities: Capabilities
  node: MeshNode
  address: string
}

export type Principal = UserPrincipal | NodePrincipal

/** Why a caller has no identity; each has its own sentence in `identity/`. */
export type NoIdentityReason =
  | 'unknown' // whois knows nobody at this address, while the mesh is Running
  | 'expired' // the node's key has expired (S6)
  | 'shared' // shared in from another tailnet
  | 'funnel' // from the public internet
  | 'self' // this very node: any local process could be asking (S5)
  | 'unsigned' // tailnet lock has not signed the node
  | 'malformed' // whois answered something that is not a person or a tagged node
  | 'not_mesh' // the connection did not come over the mesh (S1)
  | 'local_process' // userspace mode: the peer's socket is not tailscaled's (S3)
  | 'forwarded' // serve mode: not exactly one forwarded address

/** The answer to "who is calling?": somebody, or nobody for a reason that a person can act on. */
export type Caller = { principal: Principal } | { principal: null; reason: NoIdentityReason; sentence: string }
