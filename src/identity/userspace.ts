/**
 * Identity where tailscaled runs without TUN: it dials us from loopback, and knows by address and port for whom.
 *
 * Trusts: that the user who runs tailscaled is nobody else. Any local process can dial loopback, and may land on a port for which
 * tailscaled still answers (S3), so the connection's other end must belong to the owner of tailscaled's socket, at each request.
 * tailscaled itself dials loopback for others, too ("serve --tcp", its SOCKS and HTTP proxies), and whois tells only ports apart: so
 * it may have that port for this one connection only.
 */
import { stat } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Unavailable } from '../oauth/error.ts'
import type { Caller } from '../oauth/principal.ts'
import { isLoopback, unmapped } from './address.ts'
import { type Nobody, nobody } from './nobody.ts'
import { overflowUser, owners } from './socket_owner.ts'
import { isFunnelled, type Strategy, type Surroundings } from './strategy.ts'

export type UserspaceOptions = {
  /** How long somebody who is not known yet waits to be asked about, in milliseconds. Default 5000. */
  patience?: number
  /** Seams for tests, which cannot become another user: who owns the other end, tailscaled's socket, and who is everybody. */
  ownersOf?: typeof owners
  ownerOfFile?: (path: string) => Promise<number>
  overflow?: () => Promise<number>
}

export function userspace({ whoisPort, socket }: Surroundings, options: UserspaceOptions = {}): Strategy {
  const { patience = 5000, ownersOf = owners, overflow = overflowUser } = options
  const { ownerOfFile = async (path) => (await stat(path)).uid } = options
  const questions = pacedQuestions(patience)

  /**
   * Whether the other end is tailscaled's. Every socket that could be it has to be: which one it is may not be clear. Throws `Unavailable` where whois could
   * mean another connection of tailscaled.
   */
  async function openedByTailscaled(ends: Parameters<typeof owners>[0]): Promise<boolean> {
    const [{ here, elsewhere }, tailscaled, everybody] = await Promise.all([ownersOf(ends), ownerOfFile(socket), overflow()]).catch(
      (cause) => {
        throw new Unavailable('meshidp cannot find out which process opened this connection. Try again in a moment.', { cause })
      },
    )
    if (here.length === 0 || !here.every((user) => user === tailscaled && user !== everybody)) return false
    if (elsewhere.includes(tailscaled)) throw portOfTwo()
    return true
  }

  return async (connection) => {
    const [source, local, port] = [unmapped(connection.remoteAddress), unmapped(connection.localAddress), connection.remotePort]
    if (isFunnelled(connection)) return nobody('funnel', source)
    if (!isLoopback(source) || !isLoopback(local)) return nobody('not_mesh', source)
    const known = questions.known(port) // before /proc is read, which costs more the more connections a stranger opens
    if (known) return known
    const ends = { address: source, port, peerAddress: local, peerPort: connection.localPort }
    if (!(await openedByTailscaled(ends))) return nobody('local_process', source)
    const caller = await questions.ask(port, () => whoisPort(source, port))
    // Once more: another connection from that port may have come while whois was asked.
    return caller.principal === null || (await openedByTailscaled(ends)) ? caller : nobody('local_process', source)
  }
}

/** A new connection has another port, so this one is ended. */
const portOfTwo = () =>
  new Unavailable('tailscaled uses the port of this connection for another one, too, so nobody can tell whose it is. Try again.', {
    retryAfter: 1,
    headers: { connection: 'close' },
  })

/** A miss stalls tailscaled for 180 ms (S2), on a busy machine for longer. So many times as long nobody unknown is asked about afterwards: a tenth is theirs. */
const restAfterMiss = 9

/** A miss is remembered for so many milliseconds: the same port may be somebody's later. */
const missKept = 10_000

const most = { remembered: 1024, waiting: 256 }

/**
 * Asks about connections, by port, so that those who are nobody cannot hold up the others: who is not known yet is asked about in turn, and after a miss a
 * while later; who was somebody is asked about at once. In memory: a restart forgets, which costs little.
 */
function pacedQuestions(patience: number) {
  const elapsed = () => performance.now()
  const hits = new Set<number>() // ports that were somebody's: those go on while strangers miss
  const missed = new Map<number, { caller: Nobody; until: number }>()
  let restsUntil = 0
  let waiting = 0
  let line: Promise<unknown> | null = null

  function remembered(port: number): Nobody | undefined {
    const miss = missed.get(port)
    if (miss && miss.until > elapsed()) return miss.caller
    missed.delete(port)
    return undefined
  }

  function note(port: number, caller: Caller): Caller {
    hits.delete(port)
    if (caller.principal !== null) hits.add(port)
    else if (caller.reason === 'unknown') missed.set(port, { caller, until: elapsed() + missKept })
    if (hits.size > most.remembered) hits.delete(hits.values().next().value as number)
    if (missed.size > most.remembered) missed.delete(missed.keys().next().value as number)
    return caller
  }

  const busy = () => new Unavailable('Too many connections that the mesh does not know. Try again in a moment.', { retryAfter: 2 })

  /** Undefined where the rest would take longer than whoever came at `came` waits. */
  async function inTurn(port: number, came: number, question: () => Promise<Caller>): Promise<Caller | undefined> {
    const same = remembered(port)
    if (same) return same
    const rest = Math.max(0, restsUntil - elapsed())
    if (rest > 0 && elapsed() + rest - came > patience) return undefined
    if (rest > 0) await sleep(rest)
    const began = elapsed()
    const caller = await question()
    if (caller.principal === null && caller.reason === 'unknown') restsUntil = elapsed() + restAfterMiss * (elapsed() - began)
    return note(port, caller)
  }

  return {
    /** A port that was nobody's a moment ago. Throws `Unavailable` where too many wait already, for all but who was somebody. */
    known(port: number): Nobody | undefined {
      if (hits.has(port)) return undefined
      if (waiting >= most.waiting) throw busy()
      return remembered(port)
    },

    /** The answer to `question`. Throws `Unavailable` for who would have to wait too long; and where tailscaled cannot be asked, for all who wait. */
    async ask(port: number, question: () => Promise<Caller>): Promise<Caller> {
      if (hits.has(port)) return note(port, await question())
      const came = elapsed()
      const mine = () => inTurn(port, came, question)
      const turn: Promise<Caller | undefined> = line?.then(mine) ?? mine()
      line = turn
      waiting++
      try {
        const caller = await turn
        if (!caller) throw busy()
        return caller
      } finally {
        waiting--
        if (line === turn) line = null
      }
    },
  }
}
