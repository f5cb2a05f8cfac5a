/** What the rest of meshidp may ask about callers. The strategies (`tun`, `userspace`, `serve`) differ only in `identify`. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Caller, NodePrincipal, NoIdentityReason, UserPrincipal } from '../oauth/principal.ts'

/**
 * What the listener knows of a request: its socket's two ends and its headers. Addresses as the socket gives them (perhaps
 * IPv4-mapped); '' on a unix socket. With `localPort`, userspace mode knows the connection's other end exactly.
 */
export type Connection = {
  remoteAddress: string
  remotePort: number
  localAddress: string
  localPort?: number | undefined
  headers: IncomingHttpHeaders
}

/** Whom an authorization remembers. */
export type Remembered = { user_id: string; node_id: string; address: string; bind: 'user' | 'node' }

export type StillThere = { there: true; principal: UserPrincipal } | { there: false; reason: NoIdentityReason; sentence: string }

/** A tagged machine that once proved itself. */
export type RememberedMachine = { node_id: string; address: string }

export type MachineThere = { there: true; principal: NodePrincipal } | { there: false; sentence: string }

/** Who was in the mesh at one moment, as far as the list of peers tells. Somebody hidden by an access rule looks gone. */
export type Present = {
  /** Whether that person has an unexpired machine there; with `bind: node`, whether that machine is there and theirs. */
  has(remembered: Omit<Remembered, 'address'>): boolean
  /** When the first of their keys expires, seconds; null where none does. */
  next_expiry: number | null
}

/** What `/readyz`, `meshidp status` and the log say of the mesh. */
export type MeshStatus = {
  /** `BackendState` of tailscaled, or what keeps us from knowing it, in words. */
  state: string
  running: boolean
  /** Bare addresses of this very node: the only ones that we listen on, and that count as local ends. */
  addresses: readonly string[]
  /** Fully qualified name of this node without trailing dot; '' while unknown. */
  name: string
  /** `CurrentTailnet.Name`; '' while unknown. */
  tailnet: string
  /** What is wrong although the mesh goes on: a control server out of reach (`controlLost`), and what tailscaled complains of, in its words. */
  health: readonly string[]
  strategy: 'tun' | 'userspace' | 'serve'
}

export interface Identity {
  /** Who is at the other end. Throws `Unavailable` (503) while the mesh is dark: that is never "nobody". */
  identify(connection: Connection): Promise<Caller>
  /** Whether that person is in the mesh now, and who they are today. Throws `Unavailable` while the mesh is dark. */
  stillThere(remembered: Remembered): Promise<StillThere>
  /** Whether that tagged machine is in the mesh now, and what it is today. Throws `Unavailable` while the mesh is dark. */
  machineThere(remembered: RememberedMachine): Promise<MachineThere>
  /** Who has a machine in the mesh now, expired or not: "userid:…" of each person and "node:…" of each node. Throws `Unavailable` while the mesh is dark. */
  everybody(): Promise<ReadonlySet<string>>
  /** Everybody who is in the mesh now, by one question. Throws `Unavailable` while the mesh is dark: then nobody is gone. */
  present(): Promise<Present>
  /** A number that grows whenever peers may have changed: at each word of the bus, and while it is silent at each look at the mesh. */
  changes(): number
  /** The mesh as last seen; never waits. */
  status(): MeshStatus
  /** Asks the mesh for its state now. Throws `Unavailable` where it cannot be asked. */
  refresh(): Promise<MeshStatus>
  close(): Promise<void>
}
