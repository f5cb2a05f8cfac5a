/** The command line of the benchmark. */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { workloads } from './load/workloads.ts'
import { meshidp } from './servers/meshidp.ts'
import { oidcProviderInMemory, oidcProviderInSqlite } from './servers/oidc_provider.ts'
import type { Server } from './servers/server.ts'
import { BINARY, FULL } from './targets.ts'

/** The first is ours: ratios are between it and each other one. */
const all: ReadonlyMap<string, Server> = new Map(
  [meshidp('meshidp'), oidcProviderInMemory, oidcProviderInSqlite].map((server) => [server.name, server]),
)

const USAGE = `usage: npm run bench -- [options]
  --seconds N          measured time of each workload (6)
  --warmup N           time before that, which does not count (2)
  --connections N      clients at the same time (16)
  --rounds N           how often all is repeated; figures are medians (1)
  --starts N           how often each server is started to see how long it takes (5)
  --workload A,B       of ${[...workloads.keys()].join(', ')} (all)
  --servers A,B        of ${[...all.keys()].join(', ')} (all)
  --rows N             also measures meshidp with so many refresh tokens in its database, of a tenth as many clients (0: does not)
  --binary             also builds and measures the single executable
  --flood              instead of all that: what others notice of a stranger who floods meshidp
  --policy             instead of all that: policies of 10,000 grants, compiled and asked
  --id-token ALG       how ID tokens are signed on all: RS256 or ES256 (RS256)
  --directory DIR      where the servers may write; should be a disk (.dev below the project)
  --json               for machines`

export type Options = ReturnType<typeof readOptions>

/** What was asked for. Ends the process with a sentence, and 2, where it is not possible. */
export function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        seconds: { type: 'string', default: '6' },
        warmup: { type: 'string', default: '2' },
        connections: { type: 'string', default: '16' },
        rounds: { type: 'string', default: '1' },
        starts: { type: 'string', default: '5' },
        workload: { type: 'string', default: [...workloads.keys()].join(',') },
        servers: { type: 'string', default: [...all.keys()].join(',') },
        rows: { type: 'string', default: '0' },
        binary: { type: 'boolean', default: false },
        flood: { type: 'boolean', default: false },
        policy: { type: 'boolean', default: false },
        'id-token': { type: 'string', default: 'RS256' },
        directory: { type: 'string', default: fileURLToPath(new URL('../.dev', import.meta.url)) },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      console.log(USAGE)
      process.exit(0)
    }
    const idTokenAlg = values['id-token']
    if (idTokenAlg !== 'RS256' && idTokenAlg !== 'ES256') throw new Error(`--id-token is RS256 or ES256, not "${idTokenAlg}".`)
    const rows = number('rows', values.rows, 0)
    return {
      seconds: number('seconds', values.seconds, 0.1),
      warmup: number('warmup', values.warmup, 0),
      connections: number('connections', values.connections, 1),
      rounds: number('rounds', values.rounds, 1),
      starts: number('starts', values.starts, 0),
      workloads: values.workload.split(',').map((name) => named('workload', name, workloads).name),
      servers: inOrder(values.servers.split(',').map((name) => named('servers', name, all))).concat(
        rows > 0 ? [meshidp(FULL, { rows })] : [],
        values.binary ? [meshidp(BINARY, { binary: true })] : [],
      ),
      flood: values.flood,
      policy: values.policy,
      idTokenAlg,
      directory: values.directory,
      json: values.json,
    } as const
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`)
    process.exit(2)
  }
}

function number(name: string, text: string, least: number): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= least) return value
  throw new Error(`--${name} is a number of at least ${least}, not "${text}".`)
}

function named<T>(option: string, name: string, known: ReadonlyMap<string, T>): T {
  const found = known.get(name)
  if (found !== undefined) return found
  throw new Error(`--${option} knows ${[...known.keys()].join(', ')}, not "${name}".`)
}

/** As listed above, whatever the order they were asked for in, and each once. */
const inOrder = (servers: readonly Server[]): Server[] => [...all.values()].filter((server) => servers.includes(server))
