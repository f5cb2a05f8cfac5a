/**
 * Whether the mesh is up, and who we are in it, kept current. whois goes on answering from memory after "tailscale down" (S1), and
 * answers "no match" for everybody while tailscaled starts (S7), so nothing it says counts unless `BackendState` is Running.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Unavailable } from '../oauth/error.ts'
import { parseAddress } from './address.ts'
import { complaintsOf, hasExpired, nameOf, type StatusAnswer } from './answers.ts'
import type { LocalApi } from './local_api.ts'

export type Log = { info(fields: object, message: string): void; warn(fields: object, message: string): void }

export type Mesh = {
  running: boolean
  /** Whether tailscaled answered at all. */
  reachable: boolean
  /** `BackendState`; or, where meshidp cannot or will not use it, a sentence. */
  state: string
  /** StableID of this node; '' while unknown. */
  self_id: string
  addresses: ReadonlySet<string>
  name: string
  tailnet: string
  /** False is userspace networking; null is unknown. */
  tun: boolean | null
  /** What is wrong although the mesh goes on, such as a control server out of reach. */
  health: readonly string[]
  /** Why there is no identity now; null while Running. */
  dark: Unavailable | null
}

export type MeshState = {
  /** The mesh, as of now: at once, unless the bus has spoken since it was last asked. */
  current(): Mesh | Promise<Mesh>
  /** The mesh, from a question that is asked after this call. Never throws: see `dark`. */
  ask(): Promise<Mesh>
  /** The mesh as last seen. */
  seen(): Mesh
  /** Grows whenever something in the mesh may have changed, of which `seen` need not tell. */
  changes(): number
  /** Something looks wrong, or is said to have changed: nothing remembered counts any more. */
  doubt(): void
  close(): void
}

export type MeshStateOptions = {
  now: () => number
  /** Called when whatever was remembered of callers has to go. */
  onChange: () => void
  /** A sentence where this tailnet is not to be served (user ids of two tailnets collide), else null. */
  refuses?: ((tailnet: string) => string | null) | undefined
  /** How often to ask while the bus is heard, and while the mesh is dark or the bus silent. Milliseconds. */
  poll?: { heard: number; dark: number } | undefined
  log?: Log | undefined
}

/** Watches the mesh until `close`. Resolves after the first question, whatever came of it. */
export async function watchMesh(api: LocalApi, options: MeshStateOptions): Promise<MeshState> {
  const { now, onChange, refuses = () => null, poll = { heard: 5000, dark: 1000 }, log } = options
  const closing = new AbortController()
  let seen = darkened(unknown, new Unavailable('The mesh was not asked yet. Try again in a moment.'))
  let asking: Promise<Mesh> | null = null
  let current = false // whether nothing was heard since the question that `seen` answers
  let heard = false // whether the bus is connected
  let asked = 0
  let changes = 0
  let answered = 0
  let soon: NodeJS.Timeout | null = null
  let next: NodeJS.Timeout | null = null

  function question(): Promise<Mesh> {
    const turn = ++asked
    const mine: Promise<Mesh> = api.status({ peers: false }).then(
      (answer) => note(turn, mine, meshOf(answer, now(), refuses)),
      (error: Unavailable) => note(turn, mine, { ...darkened(seen, error), reachable: false }),
    )
    asking = mine
    return mine
  }

  function note(turn: number, mine: Promise<Mesh>, mesh: Mesh): Mesh {
    if (turn < answered) return mesh // overtaken by a later question
    answered = turn
    current = asking === mine
    if (current) asking = null
    const before = seen
    seen = mesh
    if (mesh.running && String(before.health) !== String(mesh.health)) {
      if (mesh.health.length > 0) log?.warn({}, `The mesh runs, but not well. ${mesh.health.join(' ')}`)
      else log?.info({}, 'The mesh runs well again.')
    }
    if (print(before) !== print(mesh)) {
      onChange()
      if (mesh.running) log?.info({ name: mesh.name, tailnet: mesh.tailnet }, `The mesh is running; this node is ${mesh.name}.`)
      else log?.warn({ err: mesh.dark?.cause }, mesh.dark?.message ?? mesh.state)
    }
    return mesh
  }

  function doubt(): void {
    changes++
    current = false
    asking = null
    onChange()
    // A busy bus must not become as many questions; whoever needs the answer earlier asks for it.
    soon ??= setTimeout(() => {
      soon = null
      if (!current && !closing.signal.aborted) void (asking ?? question())
    }, 20).unref()
  }

  async function keepPolling(): Promise<void> {
    await question()
    if (closing.signal.aborted) return
    if (!heard) changes++ // who was added or removed meanwhile, nobody told
    next = setTimeout(() => void keepPolling(), seen.running && heard ? poll.heard : poll.dark).unref()
  }

  async function keepListening(): Promise<void> {
    for (let failures = 0; !closing.signal.aborted; failures++) {
      await api
        .watch(() => {
          heard = true
          failures = 0
          doubt()
        }, closing.signal)
        .catch(() => {}) // polling goes on, and says what is wrong
      if (heard && !closing.signal.aborted) doubt()
      heard = false
      await sleep(Math.min(poll.dark * 2 ** failures, 30_000), undefined, { signal: closing.signal, ref: false }).catch(() => {})
    }
  }

  await keepPolling()
  void keepListening()

  return {
    current: () => (current ? seen : (asking ?? question())),
    ask: question,
    seen: () => seen,
    changes: () => changes,
    doubt,
    close() {
      closing.abort()
      if (soon) clearTimeout(soon)
      if (next) clearTimeout(next)
    },
  }
}

/** The mesh, if it is Running; else throws `Unavailable`: then nobody is "nobody". */
export function running(mesh: Mesh): Mesh {
  if (mesh.dark) throw new Unavailable(mesh.dark.message, { cause: mesh.dark.cause })
  return mesh
}

const unknown: Mesh = {
  running: false,
  reachable: false,
  state: 'unknown',
  self_id: '',
  addresses: new Set(),
  name: '',
  tailnet: '',
  tun: null,
  health: [],
  dark: null,
}

const darkened = (mesh: Mesh, dark: Unavailable): Mesh => ({ ...mesh, running: false, state: dark.message, dark })

/** What to do about a `BackendState`. */
const remedies = new Map([
  ['Stopped', 'It was switched off; "tailscale up" on the machine of meshidp switches it on.'],
  ['NeedsLogin', 'The machine of meshidp has to sign in: run "tailscale up" there.'],
  ['NeedsMachineAuth', 'An admin of the tailnet has to approve the machine of meshidp.'],
])

function meshOf(answer: StatusAnswer, now: number, refuses: (tailnet: string) => string | null): Mesh {
  const { BackendState: state, Self } = answer
  const mesh: Mesh = {
    running: true,
    reachable: true,
    state,
    self_id: Self?.ID ?? '',
    addresses: new Set((Self?.TailscaleIPs ?? []).flatMap(ownAddress)),
    name: nameOf(Self),
    tailnet: answer.CurrentTailnet?.Name ?? '',
    tun: answer.TUN ?? null,
    health: complaintsOf(answer),
    dark: null,
  }
  if (state !== 'Running') {
    const remedy = remedies.get(state) ?? 'Try again in a moment.'
    return { ...mesh, running: false, dark: new Unavailable(`The mesh cannot say who is calling: tailscaled says "${state}". ${remedy}`) }
  }
  // Without its own id meshidp could not tell itself from its callers (S5).
  if (!Self?.ID) return darkened(mesh, new Unavailable('The mesh cannot say who is calling: tailscaled does not say which node this is.'))
  if (hasExpired(Self, now)) {
    return darkened(mesh, new Unavailable('The key of the machine of meshidp has expired. Sign it in again: "tailscale up".'))
  }
  const refused = refuses(mesh.tailnet)
  return refused === null ? mesh : darkened(mesh, new Unavailable(refused))
}

/** An address of this node as sockets write it. What is none, or stands for all of them, nobody shall listen on. */
const ownAddress = (text: string): string[] => {
  const address = parseAddress(text)
  return address === null || address === '0.0.0.0' || address === '::' ? [] : [address]
}

/** What callers' identities rest on; a change of it is worth a line in the log. */
const print = ({ running, state, self_id, addresses, name, tailnet, tun }: Mesh) =>
  JSON.stringify([running, state, self_id, [...addresses], name, tailnet, tun])
