/** The table of who is in the mesh, out of one answer of `status`: for questions about everybody, where a whois each would be too much. */
import { hasExpired, type Peer, type StatusAnswer, seconds } from './answers.ts'
import type { Present, Remembered } from './identity.ts'

/** The nodes on which somebody may be. `allowSelf`: whether this very node counts as its owner's. */
export const nodesIn = ({ Peer, Self }: StatusAnswer, allowSelf: boolean): readonly Peer[] => [
  ...Object.values(Peer ?? {}),
  ...(allowSelf && Self ? [Self] : []),
]

/** @param nodes those on which somebody may be; `now`: seconds */
export function presentIn(nodes: readonly Peer[], now: number): Present {
  const people = new Set<string>()
  const machines = new Set<string>()
  let next_expiry: number | null = null
  for (const peer of nodes) {
    if (peer.UserID == null || isNobodys(peer) || hasExpired(peer, now)) continue
    people.add(peer.UserID)
    machines.add(`${peer.UserID} ${peer.ID}`)
    const expiry = seconds(peer.KeyExpiry)
    if (expiry !== null && (next_expiry === null || expiry < next_expiry)) next_expiry = expiry
  }
  return {
    has: ({ user_id, node_id, bind }: Omit<Remembered, 'address'>) =>
      bind === 'node' ? machines.has(`${user_id} ${node_id}`) : people.has(user_id),
    next_expiry,
  }
}

/** Tagged, or from another tailnet: shared in, or of somebody to whom one of ours is shared. */
const isNobodys = ({ Tags, AltSharerUserID, ShareeNode }: Peer) =>
  (Tags?.length ?? 0) > 0 || (AltSharerUserID ?? 0) !== 0 || ShareeNode === true
