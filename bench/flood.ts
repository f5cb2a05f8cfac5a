/** `npm run bench -- --flood`: what other people notice while one stranger floods meshidp, with the limits that it comes with. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { run } from './child.ts'
import { type Circumstances, circumstances } from './circumstances.ts'
import { freePort, launch } from './launch.ts'
import type { CrowdJob } from './load/crowd_process.ts'
import type { Steady } from './load/steady.ts'
import type { Flood, StrangerJob } from './load/stranger_process.ts'
import { canPin, coreTime, LOAD_CORE, MEASURED_CORE, peakMemory, processesOf, processorTime } from './machine.ts'
import { median } from './measured.ts'
import type { Options } from './options.ts'
import { people, RECONNECTING, strangers } from './servers/crowd.ts'
import { meshidp } from './servers/meshidp.ts'
import type { Prepared } from './servers/server.ts'
import { floodVerdicts, type Share, type Verdict } from './targets.ts'
import { say, workspace } from './workspace.ts'

/** Requests a second that the stranger is good for. */
const FLOOD_RATE = 10_000
const FLOOD_CONNECTIONS = 512 // as many as the server lets one address have
/** What the others do meanwhile: operations a second, a moderate load. */
const RATES = { code: 50, refresh: 50, introspect: 50 }
/** What processes need to start, before the warm-up. */
const GET_READY_MS = 2500

/** One time of measurement: how the others fared, and how busy the machine was. */
type Spell = { others: Record<string, Steady>; server_busy: number | null; others_busy: number | null }
/** With and without a stranger, one right after the other. */
type Round = { quiet: Spell; flooded: Spell; flood: Flood }

export type FloodResult = {
  circumstances: Circumstances
  version: string
  offered: number
  /** By what the stranger is. */
  strangers: Map<string, { rounds: Round[]; shares: Share[] }>
  /** The most memory that the server ever had, MiB. */
  memory_peak: number | null
  verdicts: Verdict[]
}

/** `reconnecting`: each request on a connection of its own. */
const kinds = [
  ...Array.from(strangers, ([what, address]) => ({ what, address, reconnecting: false })),
  { what: 'unknown, reconnecting', address: RECONNECTING, reconnecting: true },
]

/** Floods one daemon by each kind of stranger in turn. */
export async function flood(options: Options): Promise<FloodResult> {
  const directory = await workspace(options.directory)
  const server = meshidp('meshidp', { crowded: true })
  const files = join(directory, server.name)
  await mkdir(files, { mode: 0o700 })
  const prepared = await server.prepare({ directory: files, port: await freePort(), idTokenAlg: options.idTokenAlg })
  try {
    await (await launch(prepared)).child.stop() // the first start makes what later ones find
    const { child } = await launch(prepared)
    const processes = processesOf(child.group)
    const measured = new Map<string, Round[]>(kinds.map(({ what }) => [what, []]))
    for (let round = 0; round < options.rounds; round++) {
      for (const kind of kinds) {
        say(`round ${round + 1} of ${options.rounds}: quiet, then a stranger ${kind.what}`)
        const { spell: quiet } = await observe(prepared, processes, options)
        const { spell: flooded, flood } = await observe(prepared, processes, options, kind)
        measured.get(kind.what)?.push({ quiet, flooded, flood: flood as Flood })
      }
    }
    const memory = peakMemory(child.group)
    await child.stop()
    const judged = new Map(Array.from(measured, ([what, rounds]) => [what, { rounds, shares: sharesOf(rounds) }]))
    return {
      circumstances: await circumstances(directory, options),
      version: server.version,
      offered: FLOOD_RATE,
      strangers: judged,
      memory_peak: memory,
      verdicts: floodVerdicts(new Map(Array.from(judged, ([what, { shares }]) => [what, shares])), memory),
    }
  } finally {
    await prepared.close()
  }
}

/** Lets the crowd work for a while, all alone or beside a stranger. */
async function observe(
  { issuer, profile }: Prepared,
  processes: readonly number[],
  { warmup, seconds }: Options,
  stranger?: (typeof kinds)[number],
): Promise<{ spell: Spell; flood: Flood | undefined }> {
  const from = Date.now() + GET_READY_MS + warmup * 1000
  const crowdJob: CrowdJob = { issuer, profile, addresses: people, rates: RATES, from, seconds }
  const crowd = inProcess<Record<string, Steady>>('load/crowd_process.ts', crowdJob)
  const flooding =
    stranger &&
    inProcess<Flood>('load/stranger_process.ts', {
      ...{ issuer, profile, from, seconds, rate: FLOOD_RATE, connections: FLOOD_CONNECTIONS },
      ...{ address: stranger.address, reconnecting: stranger.reconnecting },
    } satisfies StrangerJob)
  const busy = async () => {
    await pause(from - Date.now())
    const core = canPin ? MEASURED_CORE : null
    const before = { at: performance.now(), server: processorTime(processes), core: coreTime(core) }
    await pause(seconds * 1000)
    const elapsed = (performance.now() - before.at) / 1000
    const server = (processorTime(processes) - before.server) / elapsed
    const others = (coreTime(core) - before.core) / elapsed - server
    return { server_busy: Number.isNaN(server) ? null : server, others_busy: Number.isNaN(others) ? null : Math.max(0, others) }
  }
  const [others, flood, shares] = await Promise.all([crowd, flooding, busy()])
  return { spell: { others, ...shares }, flood }
}

async function inProcess<Result>(file: string, job: object): Promise<Result> {
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', fileURLToPath(new URL(file, import.meta.url))]
  return JSON.parse(await run(LOAD_CORE, command, JSON.stringify(job)))
}

/** For each workload: medians over the rounds, of ratios too, so that what is divided was seen at the same time. */
function sharesOf(rounds: readonly Round[]): Share[] {
  return Object.keys(RATES).map((workload) => {
    const of = (pick: (quiet: Steady, flooded: Steady) => number) =>
      median(rounds.map(({ quiet, flooded }) => pick(quiet.others[workload] as Steady, flooded.others[workload] as Steady)))
    const errors = rounds.flatMap(({ quiet, flooded }) => [quiet.others[workload] as Steady, flooded.others[workload] as Steady])
    return {
      workload,
      quiet: { p50: of((quiet) => quiet.p50), p99: of((quiet) => quiet.p99) },
      flooded: { p50: of((_, flooded) => flooded.p50), p99: of((_, flooded) => flooded.p99) },
      ratio: of((quiet, flooded) => flooded.p99 / quiet.p99),
      operations: errors.reduce((sum, { operations }) => sum + operations, 0),
      errors: errors.reduce((sum, { errors }) => sum + errors, 0),
      first_error: errors.find(({ first_error }) => first_error !== null)?.first_error ?? null,
    }
  })
}
