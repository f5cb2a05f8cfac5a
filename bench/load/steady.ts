/**
 * Open-loop load: operations begin when they are due, whether earlier ones were answered or not, and their time is counted from then. So a server that
 * stands still for a second shows in all that should have happened in it (no coordinated omission).
 */
import { Agent, type IncomingHttpHeaders, request as plain } from 'node:http'
import { Agent as SecureAgent, request as secure } from 'node:https'
import { setTimeout as pause } from 'node:timers/promises'
import { quantile } from './drive.ts'
import type { Answer, Conversation, Request } from './http.ts'

const ANSWER_TIMEOUT_MS = 30_000

/** Operations of one kind, so many a second, by one player after the other. */
export type Beat = { name: string; rate: number; players: readonly Player[] }
export type Player = { next: () => Conversation; person: Person }

export type Steady = {
  operations: number
  /** Milliseconds from when an operation was due to its end. */
  p50: number
  p99: number
  errors: number
  first_error: string | null
}

/** Keeps up all beats from now on; what is due within `seconds` of `from` (milliseconds since the epoch; now, where that is past) counts. Resolves when all of that is answered. */
export async function keepUp(beats: readonly Beat[], from: number, seconds: number): Promise<Record<string, Steady>> {
  const each = beats.map(async (beat) => [beat.name, await keep(beat, from, seconds)] as const)
  return Object.fromEntries(await Promise.all(each))
}

async function keep({ rate, players }: Beat, from: number, seconds: number): Promise<Steady> {
  const latencies: number[] = []
  let errors = 0
  let firstError: string | null = null
  const begun = performance.now()
  const first = begun + Math.max(0, from - Date.now())
  const counted = { from: first, to: first + seconds * 1000 }

  async function operation(due: number, { next, person }: Player): Promise<void> {
    const counts = due >= counted.from
    try {
      await hold(next(), person)
      if (counts) latencies.push(performance.now() - due)
    } catch (error) {
      if (!counts) return
      firstError ??= (error as Error).message
      errors++
    }
  }

  const underWay = new Set<Promise<void>>()
  for (let n = 0; ; n++) {
    const due = begun + (n * 1000) / rate
    if (due >= counted.to) break
    const early = due - performance.now()
    if (early > 0) await pause(early)
    const one = operation(due, players[n % players.length] as Player).then(() => void underWay.delete(one))
    underWay.add(one)
  }
  await Promise.all(underWay)
  const sorted = Float64Array.from(latencies).sort()
  return { operations: sorted.length, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), errors, first_error: firstError }
}

/** Sends a request, from somebody's own address. */
export type Person = (request: Request) => Promise<Answer>

type Way = {
  /** Where the server is. */
  to?: string
  /** Whether connections are kept. */
  keepAlive?: boolean
}

/** Somebody who calls from `localAddress`. `origin`: what the Host header says; over TLS whatever certificate there is will do. */
export function personAt(localAddress: string, origin: string, { to = '127.0.0.1', keepAlive = true }: Way = {}): Person {
  const { protocol, host, hostname, port } = new URL(origin)
  const isSecure = protocol === 'https:'
  const agent = isSecure ? new SecureAgent({ keepAlive, rejectUnauthorized: false, servername: hostname }) : new Agent({ keepAlive })
  const send = isSecure ? secure : plain
  return ({ method, path, headers, body }) =>
    new Promise((resolve, reject) => {
      const options = { agent, localAddress, host: to, port: port || (isSecure ? 443 : 80), method, path, timeout: ANSWER_TIMEOUT_MS }
      const sent = send({
        ...options,
        headers: { host, ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }), ...headers },
      })
      sent.on('error', reject).on('timeout', () => sent.destroy(new Error('no answer in time')))
      sent.on('response', (response) => {
        let text = ''
        response.setEncoding('utf8').on('error', reject)
        response.on('data', (more) => {
          text += more
        })
        response.on('end', () => resolve(answerOf(response.statusCode ?? 0, text, response.headers)))
      })
      sent.end(body)
    })
}

const answerOf = (status: number, body: string, headers: IncomingHttpHeaders): Answer => ({
  status,
  body,
  header: (name) => [headers[name] ?? []].flat(),
})

/** Has the conversation with the server to its end. Rejects with what it throws. */
export async function hold(conversation: Conversation, person: Person): Promise<void> {
  for (let step = conversation.next(); !step.done; ) step = conversation.next(await person(step.value))
}
