/** The clients of the soak, in a process of its own: a job on standard input, what became of it on standard output, both JSON. */
import { text } from 'node:stream/consumers'
import type { Conversation } from '../load/http.ts'
import { hold, keepUp, type Person, personAt, type Steady } from '../load/steady.ts'
import { discoverBy } from '../load/target.ts'
import { workloads } from '../load/workloads.ts'
import { story } from './story.ts'
import { issuer, ownAddress, people, profile } from './world.ts'

/** Stories a second; null: as many as so many clients can, one after the other. */
export type SoakJob = { seconds: number; rate: number | null; clients: number }
export type Soaked = Record<string, Steady>

const { seconds, rate, clients }: SoakJob = JSON.parse(await text(process.stdin))
const ask = (index: number, keepAlive = true): Person =>
  personAt(people[index % people.length] as string, issuer, { to: ownAddress, keepAlive })
const target = await discoverBy(ask(0), issuer, profile)

/** As fast as they can. */
async function closed(): Promise<Soaked> {
  const end = performance.now() + seconds * 1000
  let operations = 0
  let errors = 0
  let first_error: string | null = null
  const one = async (person: Person) => {
    while (performance.now() < end)
      try {
        await hold(story(target), person)
        operations++
      } catch (error) {
        errors++
        first_error ??= (error as Error).message
      }
  }
  await Promise.all(Array.from({ length: clients }, (_, index) => one(ask(index))))
  return { story: { operations, p50: Number.NaN, p99: Number.NaN, errors, first_error } }
}

function open(rate: number): Promise<Soaked> {
  const register = workloads.get('register')
  if (!register || !('player' in register)) throw new Error('There is no workload "register".')
  const next = register.player(target)
  const kept = people.map((_, index) => ({ person: ask(index), next: () => story(target) as Conversation }))
  // On a connection of its own each, with whatever certificate there is by now.
  const fresh = people.map((_, index) => ({ person: ask(index, false), next }))
  return keepUp(
    [
      { name: 'story', rate, players: kept },
      { name: 'register', rate: Math.max(1, rate / 10), players: fresh },
    ],
    Date.now(),
    seconds,
  )
}

process.stdout.write(JSON.stringify(await (rate === null ? closed() : open(rate))), () => process.exit(0))
