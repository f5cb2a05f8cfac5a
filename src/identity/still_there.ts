/** Continuity: whether the person whom an authorization remembers is in the mesh now, and who they are today. */
import { Unavailable } from '../oauth/error.ts'
import type { Caller, NodePrincipal, UserPrincipal } from '../oauth/principal.ts'
import { hasExpired, type Peer } from './answers.ts'
import type { MachineThere, Remembered, RememberedMachine, StillThere } from './identity.ts'
import { nobody } from './nobody.ts'

export type Asks = {
  /** whois by bare address. */
  whois: (address: string) => Promise<Caller>
  /** The nodes on which somebody may be, of a mesh that is Running. Throws `Unavailable`. */
  nodes: () => Promise<readonly Peer[]>
  /** Seconds. */
  now: () => number
}

/**
 * First whois by the remembered address, without port; then by the address of any other node of the same user, or with
 * `bind: 'node'` of the same node. A tagged node is never anybody's. Throws `Unavailable` while the mesh cannot tell.
 */
export async function stillThere(remembered: Remembered, { whois, nodes, now }: Asks): Promise<StillThere> {
  const isThem = (caller: Caller): caller is { principal: UserPrincipal } =>
    caller.principal?.kind === 'user' &&
    caller.principal.user_id === remembered.user_id &&
    (remembered.bind === 'user' || caller.principal.node.id === remembered.node_id)

  const here = readable(await whois(remembered.address))
  if (isThem(here)) return { there: true, principal: here.principal }

  const theirs = (await nodes())
    .filter((peer) => peer.UserID === remembered.user_id && (remembered.bind === 'user' || peer.ID === remembered.node_id))
    .sort((a, b) => Number(b.ID === remembered.node_id) - Number(a.ID === remembered.node_id))
  const live = theirs.filter((peer) => !hasExpired(peer, now()))
  if (theirs.length > 0 && live.length === 0) return gone('expired', remembered)

  let reason: StillThereReason = 'unknown'
  for (const address of live.flatMap(firstAddress)) {
    const caller = readable(await whois(address))
    if (isThem(caller)) return { there: true, principal: caller.principal }
    if (caller.principal === null) reason = caller.reason
  }
  return gone(reason, remembered)
}

/** Whether a tagged machine is in the mesh now, and what it is today: by the remembered address, else by the one that it has now. Throws `Unavailable`. */
export async function machineThere({ node_id, address }: RememberedMachine, { whois, nodes, now }: Asks): Promise<MachineThere> {
  const isIt = (caller: Caller): caller is { principal: NodePrincipal } =>
    caller.principal?.kind === 'node' && caller.principal.node.id === node_id
  const here = readable(await whois(address))
  if (isIt(here)) return { there: true, principal: here.principal }
  const peer = (await nodes()).find(({ ID }) => ID === node_id)
  const [elsewhere] = peer && !hasExpired(peer, now()) ? firstAddress(peer) : []
  const caller = elsewhere === undefined ? undefined : readable(await whois(elsewhere))
  if (caller && isIt(caller)) return { there: true, principal: caller.principal }
  return { there: false, sentence: `The tagged machine that called from ${address} is not in the mesh now, or it is none any more.` }
}

type StillThereReason = Parameters<typeof nobody>[0]

/** What cannot be read is no reason to end anything. Throws `Unavailable`. */
function readable(caller: Caller): Caller {
  if (caller.principal !== null || caller.reason !== 'malformed') return caller
  throw new Unavailable('The mesh answers something that meshidp cannot read. Try again in a moment.')
}

const firstAddress = ({ TailscaleIPs }: Peer) => TailscaleIPs?.slice(0, 1) ?? []

const gone = (reason: StillThereReason, { address }: Remembered): StillThere => {
  const { sentence } = nobody(reason, address)
  return { there: false, reason, sentence: reason === 'unknown' ? unknownNow(address) : sentence }
}

const unknownNow = (address: string) =>
  `The person who signed in from ${address} is not in the mesh now. Connect a machine of theirs to the mesh, then try again.`
