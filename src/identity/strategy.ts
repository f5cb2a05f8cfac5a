/** Where the identity of a caller comes from. One file a strategy; this is what they share. */
import type { Caller } from '../oauth/principal.ts'
import type { Connection } from './identity.ts'
import type { Mesh } from './mesh_state.ts'
import type { Callers } from './remembered_answers.ts'

export type StrategyName = 'tun' | 'userspace' | 'serve'

export type Surroundings = {
  /** whois by bare address, remembered for a moment. */
  callers: Callers
  /** whois by "address:port", never remembered. */
  whoisPort: (address: string, port: number) => Promise<Caller>
  /** Whether an address belongs to the mesh's ranges. */
  isMesh: (address: string) => boolean
  allowSelf: boolean
  /** Path of tailscaled's socket. */
  socket: string
  log: { warn(fields: object, message: string): void } | undefined
}

/** Who is at the other end; `mesh` is Running. Throws `Unavailable` where that cannot be found out. */
export type Strategy = (connection: Connection, mesh: Mesh) => Caller | Promise<Caller>

/** Set by "tailscale serve" alone, on traffic from the public internet. Whoever else sends it only makes things stricter. */
export const isFunnelled = ({ headers }: Pick<Connection, 'headers'>) => headers['tailscale-funnel-request'] !== undefined
