/**
 * Identity where tailscaled runs without TUN: it dials us from loopback, and knows by address and port for whom.
 *
 * Trusts: that the user who runs tailscaled is nobody else. Any local process can dial loopback, and may land on a port for which
 * tailscaled still answers (S3), so the connection's other end must belong to the owner of tailscaled's socket, at each request.
 */
import { stat } from 'node:fs/promises'
import { Unavailable } from '../oauth/error.ts'
import type { Caller } from '../oauth/principal.ts'
import { isLoopback, unmapped } from './address.ts'
import { type Nobody, nobody } from './nobody.ts'
import { overflowUser, owners } from './socket_owner.ts'
import { isFunnelled, type Strategy, type Surroundings } from './strategy.ts'

export type UserspaceOptions = {
  /** Misses that one source address may cause in ten seconds; each stalls tailscaled for 180 ms (S2), on a busy machine for longer. Default 1. */
  maxMisses?: number
  /** Monotonic milliseconds. */
  elapsed?: () => number
  /** Seams for tests, which cannot become another user: who owns the other end, tailscaled's socket, and who is everybody. */
  ownersOf?: typeof owners
  ownerOfFile?: (path: string) => Promise<number>
  overflow?: () => Promise<number>
}

export function userspace({ whoisPort, socket }: Surroundings, options: UserspaceOptions = {}): Strategy {
  const { maxMisses = 1, elapsed = () => performance.now(), ownersOf = owners, overflow = overflowUser } = options
  const { ownerOfFile = async (path) => (await stat(path)).uid } = options
  const misses = boundedMisses(maxMisses, elapsed)

  /** Whether the other end is tailscaled's. Every socket that could be it has to be: which one it is may not be clear. */
  async function openedByTailscaled(ends: Parameters<typeof owners>[0]): Promise<boolean> {
    try {
      const [users, tailscaled, everybody] = await Promise.all([ownersOf(ends), ownerOfFile(socket), overflow()])
      return users.length > 0 && users.every((user) => user === tailscaled && user !== everybody)
    } catch (cause) {
      throw new Unavailable('meshidp cannot find out which process opened this connection. Try again in a moment.', { cause })
    }
  }

  return async (connection) => {
    const [source, local, port] = [unmapped(connection.remoteAddress), unmapped(connection.localAddress), connection.remotePort]
    if (isFunnelled(connection)) return nobody('funnel', source)
    if (!isLoopback(source) || !isLoopback(local)) return nobody('not_mesh', source)
    const known = misses.known(source, port) // before /proc is read, which costs more the more connections a stranger opens
    if (known) return known
    if (!(await openedByTailscaled({ address: source, port, peerAddress: local, peerPort: connection.localPort }))) {
      return nobody('local_process', source)
    }
    return misses.ask(source, port, () => whoisPort(source, port))
  }
}

/**
 * Asks about connections so that those who are nobody cannot hold up the others: misses are remembered for ten seconds by address and port, and counted by
 * address. In memory: a restart forgets, which costs little.
 */
function boundedMisses(max: number, elapsed: () => number) {
  const size = 1024
  const windowMs = 10_000
  let since = elapsed()
  let recent = new Map<string, Map<number, Nobody>>()
  const hits = new Set<string>() // ports that were somebody's: those go on while strangers miss
  const lanes = new Map<string, Promise<Caller>>() // by address, the last question about a port that was not

  function refused(address: string, port: number): Nobody | undefined {
    if (elapsed() - since > windowMs) {
      since = elapsed()
      recent = new Map()
    }
    const missed = recent.get(address)
    const same = missed?.get(port)
    if (same || (missed?.size ?? 0) < max) return same
    throw new Unavailable('Too many connections that the mesh does not know; try again in ten seconds.', { retryAfter: 10 })
  }

  function note(address: string, port: number, caller: Caller): Caller {
    const key = `${address}:${port}`
    hits.delete(key)
    if (caller.principal !== null) hits.add(key)
    else if (caller.reason === 'unknown') recent.set(address, (recent.get(address) ?? new Map()).set(port, caller))
    if (hits.size > size) hits.delete(hits.values().next().value as string)
    if (recent.size > size) recent.delete(recent.keys().next().value as string)
    return caller
  }

  return {
    /** A port that was nobody's a moment ago. Throws `Unavailable` where that address has missed too often, for all but who was somebody. */
    known: (address: string, port: number): Nobody | undefined => (hits.has(`${address}:${port}`) ? undefined : refused(address, port)),

    /** The answer to `question`. Throws `Unavailable` where that address has missed too often. */
    async ask(address: string, port: number, question: () => Promise<Caller>): Promise<Caller> {
      if (hits.has(`${address}:${port}`)) return note(address, port, await question())
      // One after the other, or as many misses as there are strangers would be on their way before the first is counted. Who is somebody waits for
      // 0.1 ms each; if tailscaled cannot be asked, or has missed too often, that is so for all who wait.
      const inTurn = async () => refused(address, port) ?? note(address, port, await question())
      const turn = lanes.get(address)?.then(inTurn) ?? inTurn()
      lanes.set(address, turn)
      try {
        return await turn
      } finally {
        if (lanes.get(address) === turn) lanes.delete(address)
      }
    },
  }
}
