/** The other people of the flood, in a process of its own: a job on standard input, its figures on standard output, both JSON. */
import { text } from 'node:stream/consumers'
import type { Profile } from '../servers/server.ts'
import { keepUp, type Player, personAt } from './steady.ts'
import { discover } from './target.ts'
import { workloads } from './workloads.ts'

export type CrowdJob = {
  issuer: string
  profile: Profile
  /** Of the people. */
  addresses: readonly string[]
  /** Workload → operations a second, of all people together. */
  rates: Readonly<Record<string, number>>
  /** What happens before this counts as warm-up. Milliseconds since the epoch. */
  from: number
  seconds: number
}

const { issuer, profile, addresses, rates, from, seconds }: CrowdJob = JSON.parse(await text(process.stdin))
const target = await discover(issuer, profile)
const people = addresses.map((address) => personAt(address, target.origin))
const beats = Object.entries(rates).map(([name, rate]) => {
  const workload = workloads.get(name)
  if (!workload || !('player' in workload)) throw new Error(`A crowd cannot do "${name}".`)
  return { name, rate, players: people.map((person): Player => ({ person, next: workload.player(target) })) }
})
process.stdout.write(JSON.stringify(await keepUp(beats, from, seconds)), () => process.exit(0)) // connections are still kept
