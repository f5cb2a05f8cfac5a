/**
 * `npm run soak [-- --minutes N]`: a daemon with TLS in a network of its own, at 60 % of what it can, while its policy, keys and certificate change. Ends with 0
 * where every answer was the one that was expected, its memory stays, and its database is bounded; 1 where not; a sentence where there can be no such network.
 */
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import Database from 'better-sqlite3'
import { run, start } from '../child.ts'
import { LOAD_CORE, MEASURED_CORE, residentMemory } from '../machine.ts'
import { workspace } from '../workspace.ts'
import { startChanges } from './changes.ts'
import type { Soaked, SoakJob } from './load_process.ts'
import { type Figures, verdictsOf } from './verdicts.ts'
import { aDay, lifetimes, makeWorld, ownAddress, people, speed } from './world.ts'

/** How much of the top speed is asked for, and for how long that is looked for, in seconds. */
const share = 0.6
const TOP_SECONDS = 10
const CLIENTS = 16
/** When the memory is looked at that must not grow, and the database whose size must stay, in seconds from the start of the soak. */
const SETTLED = 120
const FILLED = Math.ceil((lifetimes.refresh_token + aDay) / speed) + 75

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '20' }, inside: { type: 'boolean', default: false } } })
const seconds = Number(values.minutes) * 60
if (!(seconds > FILLED + 20)) {
  console.error(`--minutes is a number of at least ${Math.ceil((FILLED + 20) / 60)}, for what ends must have had the time to go.`)
  process.exit(2)
}
if (values.inside) process.exitCode = await soak()
else enter()

/** Runs this again in a network of its own, in which the addresses of the mesh are this machine's. */
function enter(): void {
  const script = `for n in 1 2 3 4 5; do ip address add 100.64.0.$n/32 dev lo; done; ip link set lo up; exec "$@"`
  const root = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  if (spawnSync('unshare', [...root, '--net', 'ip', 'link', 'set', 'lo', 'up']).status !== 0) {
    console.error('The soak is skipped: unshare --net is not possible here, or there is no ip (iproute2).')
    return
  }
  const self = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    fileURLToPath(import.meta.url),
    '--inside',
    '--minutes',
    values.minutes,
  ]
  const { status } = spawnSync('unshare', [...root, '--net', 'bash', '-euc', script, 'bash', ...self], { stdio: 'inherit' })
  process.exitCode = status ?? 1
}

async function soak(): Promise<number> {
  const directory = await workspace(fileURLToPath(new URL('../../.dev', import.meta.url)))
  const files = makeWorld(directory)
  const node = (file: string, ...args: string[]) => [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    '--max-semi-space-size=8',
    fileURLToPath(new URL(file, import.meta.url)),
    ...args,
  ]
  const mesh = start(LOAD_CORE, node('mesh_process.ts', files.mesh))
  const daemon = start(MEASURED_CORE, node('daemon_process.ts', files.config))
  const load = async (job: SoakJob): Promise<Soaked> => JSON.parse(await run(LOAD_CORE, node('load_process.ts'), JSON.stringify(job)))
  const memory = () => residentMemory(daemon.group) ?? Number.NaN
  const database = join(files.state, 'meshidp.db')
  const size = () => statSync(database).size / 2 ** 20
  try {
    await Promise.race([pause(3000), daemon.failed, mesh.failed])
    const top = (await load({ seconds: TOP_SECONDS, rate: null, clients: CLIENTS })).story
    if (!top || top.operations === 0 || top.errors > 0) throw new Error(`The top speed is not known: ${top?.first_error}`)
    const rate = (share * top.operations) / TOP_SECONDS
    console.log(
      `top speed ${Math.round(top.operations / TOP_SECONDS)} stories a second of ${people.length} people at ${ownAddress}; ${Math.round(rate)} a second for ${values.minutes} minutes`,
    )
    const changes = startChanges(files)
    const soaking = load({ seconds, rate, clients: CLIENTS })
    const seen: Partial<Figures> = {}
    const began = performance.now()
    const at = (second: number) => pause(began + second * 1000 - performance.now())
    const watching = (async () => {
      const looks: [number, () => Partial<Figures>][] = [
        [SETTLED, () => ({ settled: memory() })],
        [FILLED, () => ({ filled: size() })],
        [seconds - 1, () => ({ end: memory(), size: size() })],
      ]
      for (const [second, look] of looks.sort(([a], [b]) => a - b)) {
        await at(second)
        Object.assign(seen, look())
        console.log(`after ${second} s: ${Math.round(memory())} MiB resident, database ${Math.round(size())} MiB`)
      }
    })()
    const answers = await Promise.race([soaking, daemon.failed, mesh.failed])
    await watching
    const changed = await changes.stop()
    const overdue = countOverdue(database)
    await daemon.stop()
    return verdictsOf({ ...(seen as Figures), answers, changed, overdue }, daemon.said())
  } finally {
    await daemon.stop()
    await mesh.stop()
  }
}

/** Authorizations that should have been removed by now, two rounds of the janitor ago at the latest. The newest says what time it is for the server. */
function countOverdue(file: string): number {
  const db = new Database(file, { readonly: true })
  try {
    const now = db.prepare('SELECT max(created_at) FROM authorizations').pluck().get() as number
    return db
      .prepare('SELECT count(*) FROM authorizations WHERE expires_at <= ?')
      .pluck()
      .get(now - aDay - 120 * speed) as number
  } finally {
    db.close()
  }
}
