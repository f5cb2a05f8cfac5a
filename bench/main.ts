/**
 * `npm run bench`: meshidp beside oidc-provider in memory and in SQLite, on the same core, in the same run, one workload after the other.
 * With `--flood`: meshidp alone, under a flood. With `--policy`: its policy engine alone. Ends with 0; with 2 where something could not be measured.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Child, run } from './child.ts'
import { circumstances } from './circumstances.ts'
import { flood } from './flood.ts'
import { floodForMachines, floodReport } from './flood_report.ts'
import { freePort, launch } from './launch.ts'
import type { Figures } from './load/drive.ts'
import type { Job } from './load/main.ts'
import { signatures } from './load/signatures.ts'
import { discover } from './load/target.ts'
import { canPin, LOAD_CORE, MEASURED_CORE, processesOf, residentMemory } from './machine.ts'
import { type Measured, together } from './measured.ts'
import { type Options, readOptions } from './options.ts'
import { policyBench, policyForMachines, policyReport } from './policy.ts'
import { collectRatios, ratioOf } from './ratios.ts'
import { forMachines, type Result, report } from './report.ts'
import type { Prepared, Server } from './servers/server.ts'
import { notJudged, verdicts } from './targets.ts'
import { say, workspace } from './workspace.ts'

/** How long a server is left alone before its memory is read. */
const REST_MS = 1000
/** Failed operations for each that succeeds, at most. */
const TOLERATED_ERRORS = 0.001

const options = readOptions()
if (options.flood) {
  const result = await flood(options)
  print(floodForMachines(result), floodReport(result))
} else if (options.policy) {
  const result = await policyBench(options)
  print(policyForMachines(result), policyReport(result))
} else {
  const result = await bench(options)
  print(forMachines(result), report(result))
  process.exitCode = result.failures.length > 0 ? 2 : 0
}

function print(machines: object, people: string): void {
  process.stdout.write(options.json ? `${JSON.stringify(machines, null, 2)}\n` : `\n${people}`)
}

/** A server under test, while it is tested. */
type Entrant = { prepared: Prepared; measured: Measured; child: Child | null; rounds: Map<string, Figures[]> }

async function bench(options: Options): Promise<Result> {
  const directory = await workspace(options.directory)
  const failures: string[] = []
  const entrants: Entrant[] = []
  try {
    for (const server of options.servers) {
      const entrant = await attempt(server.name, failures, () => enter(server, directory, options))
      if (entrant) entrants.push(entrant)
    }
    for (let count = 0; count < options.starts; count++) {
      for (const entrant of entrants) await attempt(`${entrant.measured.name}, start`, failures, () => timeStart(entrant))
    }
    for (const entrant of entrants) await attempt(entrant.measured.name, failures, () => settle(entrant))

    const ratios = collectRatios()
    for (let round = 0; round < options.rounds; round++) {
      for (const workload of options.workloads) {
        const measured = new Map<Entrant, Figures>()
        // None is always the first.
        for (const entrant of round % 2 === 0 ? entrants : entrants.toReversed()) {
          const { name } = entrant.measured
          say(`round ${round + 1} of ${options.rounds}: ${workload}, ${name}`)
          const figures = await attempt(`${name}, ${workload}`, failures, () => measure(entrant, workload, options))
          if (figures) {
            entrant.rounds.set(workload, [...(entrant.rounds.get(workload) ?? []), figures])
            measured.set(entrant, figures)
          }
        }
        const [us, ...others] = entrants
        const ours = us && measured.get(us)
        for (const other of others) {
          const its = measured.get(other)
          if (ours && its) ratios.add(other.measured.name, workload, ratioOf(ours, its))
        }
      }
    }

    for (const { child, measured, rounds } of entrants) {
      await pause(REST_MS)
      if (child) measured.memory_after = residentMemory(child.group)
      for (const [workload, figures] of rounds) measured.workloads.set(workload, together(figures))
    }

    const middle = ratios.medians()
    const servers = entrants.map(({ measured }) => measured)
    return {
      circumstances: await circumstances(directory, options),
      servers,
      ratios: middle,
      verdicts: servers.length > 1 ? verdicts(servers, middle, options.idTokenAlg) : [],
      not_judged: notJudged(servers, options.idTokenAlg),
      failures,
    }
  } finally {
    for (const { child, prepared } of entrants) {
      await child?.stop()
      await prepared.close()
    }
  }
}

/** Writes a server's files, and starts it once: the first start makes what later ones find. */
async function enter(server: Server, parent: string, options: Options): Promise<Entrant> {
  const { name, version, setup } = server
  const directory = join(parent, name)
  await mkdir(directory, { mode: 0o700 })
  const prepared = await server.prepare({ directory, port: await freePort(), idTokenAlg: options.idTokenAlg })
  let filled: string | null = null
  try {
    await (await launch(prepared)).child.stop()
    if (prepared.fill) filled = await prepared.fill((text) => say(`${name}: ${text}`))
  } catch (error) {
    await prepared.close()
    throw error
  }
  const measured: Measured = {
    name,
    version,
    setup,
    filled,
    signatures: null,
    size: prepared.size ?? null,
    starts: [],
    memory_at_rest: null,
    memory_after: null,
    workloads: new Map(),
  }
  return { prepared, measured, child: null, rounds: new Map() }
}

async function timeStart({ prepared, measured }: Entrant): Promise<void> {
  say(`starting ${measured.name}`)
  const { child, milliseconds } = await launch(prepared)
  measured.starts.push(milliseconds)
  await child.stop()
}

/** Starts a server for the whole run, and looks at it before there is any load. */
async function settle(entrant: Entrant): Promise<void> {
  const { prepared, measured } = entrant
  entrant.child = (await launch(prepared)).child
  await pause(REST_MS)
  measured.memory_at_rest = residentMemory(entrant.child.group)
  measured.signatures = await signatures(await discover(prepared.issuer, prepared.profile))
}

/** One workload on one server, by a load generator of its own. Throws where too many operations failed for the figures to mean anything. */
async function measure({ child, prepared }: Entrant, workload: string, options: Options): Promise<Figures> {
  if (child === null) throw new Error('it did not start')
  const { issuer, profile } = prepared
  const { connections, warmup, seconds } = options
  const job: Job = {
    workload,
    issuer,
    profile,
    connections,
    warmup,
    seconds,
    server: processesOf(child.group),
    core: canPin ? MEASURED_CORE : null,
  }
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', fileURLToPath(new URL('load/main.ts', import.meta.url))]
  const figures: Figures = JSON.parse(await run(LOAD_CORE, command, JSON.stringify(job)))
  const { operations, errors, first_error } = figures
  if (errors > TOLERATED_ERRORS * operations)
    throw new Error(`${errors} operations failed, ${operations} did not; the first: ${first_error}`)
  if (operations === 0) throw new Error('no operation ended in time')
  return figures
}

/** What `work` gives; undefined, and a line among `failures`, where it throws. */
async function attempt<T>(what: string, failures: string[], work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    failures.push(`${what}: ${error instanceof Error ? error.message : error}`)
    return undefined
  }
}
