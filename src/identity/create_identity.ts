/** Identity, put together: the LocalAPI, the state of the mesh, a moment's memory, and the strategy that fits. */
import { performance } from 'node:perf_hooks'
import { Unavailable } from '../oauth/error.ts'
import type { Caller } from '../oauth/principal.ts'
import { exceptedRanges, inRanges, meshRanges } from './address.ts'
import type { StatusAnswer } from './answers.ts'
import type { Identity, MeshStatus } from './identity.ts'
import { openLocalApi } from './local_api.ts'
import { type Log, type Mesh, type MeshState, running, watchMesh } from './mesh_state.ts'
import { nobody } from './nobody.ts'
import { nodesIn, presentIn } from './present.ts'
import { principalOf } from './principal_of.ts'
import { rememberedCallers } from './remembered_answers.ts'
import { serve } from './serve.ts'
import { machineThere, stillThere } from './still_there.ts'
import type { Strategy, StrategyName, Surroundings } from './strategy.ts'
import { tun } from './tun.ts'
import { userspace } from './userspace.ts'

const strategies: Record<StrategyName, (surroundings: Surroundings) => Strategy> = { tun, userspace, serve }

export type IdentityOptions = {
  /** Path of tailscaled's LocalAPI socket. */
  socket: string
  /** 'auto' is what `status` says of this node: `tun`, or `userspace` where it has no TUN. */
  strategy: 'auto' | StrategyName
  /** Addresses of the mesh, CIDR. Default: Tailscale's. */
  ranges?: readonly string[]
  /** Whether this very node counts as its owner; only for a person's own machine. Default false. */
  allowSelf?: boolean
  /** How long an answer of whois is remembered at most; 0 turns it off. Milliseconds, at most and by default 1000. */
  cacheMs?: number
  /** Seconds since the epoch. */
  now: () => number
  /** A sentence where the tailnet of that name is not the one whose people are known here: then there is no identity. */
  refuses?: (tailnet: string) => string | null
  /** How often the mesh is asked for its state while the bus is heard, and while it is not. Milliseconds. */
  poll?: { heard: number; dark: number }
  /** For one question to tailscaled, all in all. Milliseconds, by default 1500. */
  deadlineMs?: number
  log?: Log
  /** Hears how long each question of whois took, in seconds, and what came of it. */
  onWhois?: (seconds: number, outcome: 'found' | 'nobody' | 'failed') => void
}

/** Resolves once the mesh was asked, also where it is dark: `status` says so, requests get 503, and it recovers by itself. */
export async function createIdentity(options: IdentityOptions): Promise<Identity> {
  const { socket, ranges = meshRanges, allowSelf = false, cacheMs = 1000, now, refuses, poll, deadlineMs = 1500, log, onWhois } = options
  const [isInside, isExcepted] = [inRanges(ranges), inRanges(exceptedRanges)]
  const isMesh = (address: string) => isInside(address) && !isExcepted(address)
  const api = openLocalApi({ socket, deadlineMs })

  async function whois(query: string, address: string, proto?: 'tcp'): Promise<Caller> {
    let answer: Awaited<ReturnType<typeof api.whois>>
    const began = performance.now()
    const told = (outcome: 'found' | 'nobody' | 'failed') => onWhois?.((performance.now() - began) / 1000, outcome)
    try {
      answer = await api.whois(query, proto ? { proto } : {})
    } catch (error) {
      told('failed')
      state.doubt()
      throw error
    }
    told(answer ? 'found' : 'nobody')
    if (answer === 'malformed') return nobody('malformed', address)
    if (answer) return principalOf(answer, address, { self_id: state.seen().self_id, allowSelf, now: now() })
    running(await state.ask()) // S7: while tailscaled starts there is no match for anybody, so "nobody" is said after another look
    return nobody('unknown', address)
  }

  const callers = rememberedCallers({ ask: (address) => whois(address, address), cacheMs, now })
  const state: MeshState = await watchMesh(api, { now, onChange: callers.forget, refuses, poll, log })
  const surroundings: Surroundings = {
    callers,
    whoisPort: (address, port) => whois(address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`, address, 'tcp'),
    isMesh,
    allowSelf,
    socket,
    log,
  }
  const made = new Map(Object.entries(strategies).map(([name, make]) => [name, make(surroundings)]))
  const strategyOf = (mesh: Mesh): StrategyName => {
    if (options.strategy !== 'auto') return options.strategy
    return mesh.tun === false ? 'userspace' : 'tun' // unknown: the stricter one
  }
  const statusOf = (mesh: Mesh): MeshStatus => {
    const { running, state, addresses, name, tailnet, health } = mesh
    return { running, state, addresses: [...addresses], name, tailnet, health, strategy: strategyOf(mesh) }
  }
  const runningNow = async () => running(await state.current())

  async function peers(): Promise<StatusAnswer> {
    const answer = await api.status({ peers: true })
    if (answer.BackendState === 'Running') return answer
    state.doubt()
    throw new Unavailable(`The mesh cannot say who is there: tailscaled says "${answer.BackendState}". Try again in a moment.`)
  }
  const sharedPeers = oneAtATime(peers)
  const nodes = async () => nodesIn(await sharedPeers(), allowSelf)
  const asks = { whois: async (address: string) => callers.known(address) ?? callers.ask(address), nodes, now }

  return {
    async identify(connection) {
      const seen = state.current()
      const mesh = running(seen instanceof Promise ? await seen : seen) // no turn of the event loop where none is needed
      const strategy = made.get(strategyOf(mesh)) as Strategy
      return strategy(connection, mesh)
    },
    async stillThere(remembered) {
      await runningNow()
      return stillThere(remembered, asks)
    },
    async machineThere(remembered) {
      await runningNow()
      return machineThere(remembered, asks)
    },
    async everybody() {
      const { Self, Peer } = await sharedPeers()
      const nodes = [...Object.values(Peer ?? {}), ...(Self ? [Self] : [])]
      return new Set(nodes.flatMap(({ ID, UserID }) => [`node:${ID}`, `userid:${UserID}`]))
    },
    async present() {
      await runningNow()
      return presentIn(await nodes(), now())
    },
    changes: state.changes,
    status: () => statusOf(state.seen()),
    async refresh() {
      state.doubt()
      const mesh = await state.ask()
      if (mesh.dark && !mesh.reachable) throw mesh.dark
      return statusOf(mesh)
    },
    async close() {
      state.close()
      await api.close()
    },
  }
}

/** The list of all peers is long: those who want it at the same moment share it. */
function oneAtATime<T>(ask: () => Promise<T>): () => Promise<T> {
  let asking: Promise<T> | null = null
  return () => {
    asking ??= ask().finally(() => {
      asking = null
    })
    return asking
  }
}

/** Where to listen: the node's own mesh addresses; loopback where tailscaled dials us from there; nowhere behind serve (a unix socket). */
export function listenAddresses({ strategy, addresses }: MeshStatus): readonly string[] {
  return strategy === 'tun' ? addresses : strategy === 'userspace' ? ['127.0.0.1'] : []
}
