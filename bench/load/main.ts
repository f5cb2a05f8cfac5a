/** The load generator, a process of its own: a job on standard input, its figures on standard output, both JSON. */
import { text } from 'node:stream/consumers'
import type { Profile } from '../servers/server.ts'
import { drive, type Figures } from './drive.ts'
import { discover, type Target } from './target.ts'
import { refreshChain, workloads } from './workloads.ts'

export type Job = {
  workload: string
  issuer: string
  profile: Profile
  connections: number
  warmup: number
  seconds: number
  /** Processes of the server. */
  server: readonly number[]
  /** The core that it is kept on; null where it may run anywhere. */
  core: number | null
}

/** First sight: so many tokens are made for each second of the measurement, which ends when they are used up. */
const TOKENS_PER_SECOND = 4000
const WARMUP_SECONDS = 0.5
const TOKENS_PER_WARMUP_SECOND = 16_000 // more than any server looks at, so that some are left
const MINTING_SECONDS = 30

const job: Job = JSON.parse(await text(process.stdin))
process.stdout.write(JSON.stringify(await measure(job)))

async function measure({ workload: name, issuer, profile, server, core, ...times }: Job): Promise<Figures> {
  const workload = workloads.get(name)
  if (!workload) throw new Error(`There is no workload "${name}".`)
  const target = await discover(issuer, profile)
  const plan = { origin: target.origin, server, core, ...times }

  if ('fixed' in workload) {
    const fixed = workload.fixed(target)
    const expected = await (await fetch(target.origin + fixed)).text()
    return drive({ ...plan, fixed, expected })
  }
  if ('player' in workload) return drive({ ...plan, player: () => workload.player(target) })

  const warmup = Math.min(times.warmup, WARMUP_SECONDS)
  const wanted = Math.ceil(warmup * TOKENS_PER_WARMUP_SECOND + times.seconds * TOKENS_PER_SECOND)
  const tokens = await mint(target, wanted, times.connections)
  let presented = 0
  // When all are used up the measurement is over; what the connections still ask meanwhile is asked about the same again.
  const operation = () => workload.first_sight(target, tokens[presented++ % tokens.length] ?? '')
  return drive({
    ...plan,
    warmup,
    player: () => operation,
    exhausted: () => presented >= tokens.length,
  })
}

/** So many access tokens that nobody has looked at, made by refreshing. */
async function mint(target: Target, count: number, connections: number): Promise<string[]> {
  const tokens: string[] = []
  const { first_error } = await drive({
    origin: target.origin,
    connections,
    warmup: 0,
    seconds: MINTING_SECONDS,
    server: [],
    core: null,
    player: () => refreshChain(target, target.profile.introspection, ({ access_token }) => tokens.push(access_token)),
    exhausted: () => tokens.length >= count,
  })
  if (tokens.length === 0) throw new Error(`no tokens to present: ${first_error}`)
  return tokens
}
