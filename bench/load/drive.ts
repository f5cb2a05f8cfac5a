/**
 * Closed-loop load with autocannon: each connection has one operation under way, and begins the next when it is answered. autocannon moves the
 * requests; an operation may take several of them, so operations are timed and counted here.
 */
import { setTimeout as pause } from 'node:timers/promises'
import autocannon from 'autocannon'
import { coreTime, processorTime } from '../machine.ts'
import type { Answer, Conversation, Request } from './http.ts'

/** After so many failures a run is given up: nothing is learned from more. */
const FAILURE_LIMIT = 1000
const ANSWER_TIMEOUT_SECONDS = 30
/** How soon autocannon notices that it shall stop. */
const SAMPLE_MS = 50

export type Plan = {
  /** http://localhost:PORT: what the Host header says. The connections go to 127.0.0.1. */
  origin: string
  connections: number
  warmup: number
  seconds: number
  /** Processes of the server, whose processor time is of interest. */
  server: readonly number[]
  /** The core that it is kept on; null where it may run anywhere. */
  core: number | null
} & (
  | { /** The path of a document. */ fixed: string /** The document. */; expected: string }
  | { player: () => () => Conversation /** Whether there is nothing left to do. */; exhausted?: () => boolean }
)

export type Figures = {
  operations: number
  /** Operations a second. */
  rate: number
  /** Milliseconds an operation. */
  p50: number
  p99: number
  errors: number
  first_error: string | null
  /** Share of a core that was used while it was measured; null where it cannot be known. */
  server_busy: number | null
  /** Share of the measured core that went to neither the server nor idleness: anything that runs beside makes the figures worse. */
  others_busy: number | null
  generator_busy: number
}

/** Runs a plan. What ended before the warm-up was over, or after the time was up, does not count. */
export async function drive(plan: Plan): Promise<Figures> {
  const latencies: number[] = []
  let errors = 0
  let firstError: string | null = null
  let counting = false

  const { promise: finished, resolve: finish } = Promise.withResolvers<void>()
  const { promise: seen, resolve: see } = Promise.withResolvers<void>()

  const succeeded = (milliseconds: number) => {
    if (!counting) return
    latencies.push(milliseconds)
    see()
  }
  const failed = (why: unknown) => {
    firstError ??= why instanceof Error ? why.message : String(why)
    errors++
    see()
    if (errors >= FAILURE_LIMIT) finish()
  }

  const { host, port } = new URL(plan.origin)
  const options: autocannon.Options = {
    url: `http://127.0.0.1:${port}`,
    headers: { host },
    connections: plan.connections,
    duration: plan.warmup + plan.seconds + ANSWER_TIMEOUT_SECONDS,
    timeout: ANSWER_TIMEOUT_SECONDS,
    sampleInt: SAMPLE_MS,
  }
  if ('fixed' in plan) {
    options.url += plan.fixed
    options.expectBody = plan.expected
  } else {
    const { player, exhausted = () => false } = plan
    options.setupClient = (client) => {
      const converse = conversation(player(), { succeeded, failed, ended: () => exhausted() && finish() })
      client.setRequests([converse])
    }
  }

  const { promise: done, resolve: stopped, reject: refused } = Promise.withResolvers<void>()
  const instance = autocannon(options, (error) => (error ? refused(error) : stopped()))
  done.finally(() => finish()).catch(() => {}) // so that nothing waits for the time to be up; what went wrong is thrown below
  instance.on('reqError', failed)
  if ('fixed' in plan) {
    instance.on('response', (_client, status, _bytes, milliseconds) => {
      if (status === 200) succeeded(milliseconds)
      else failed(`status ${status}`)
    })
    ;(instance as NodeJS.EventEmitter).on('reqMismatch', () => failed('the answer is not the same as before'))
  }

  await Promise.race([pause(plan.warmup * 1000, undefined, { ref: false }), finished])
  const from = { at: performance.now(), own: process.cpuUsage(), server: processorTime(plan.server), core: coreTime(plan.core) }
  counting = true
  await Promise.race([pause(plan.seconds * 1000, undefined, { ref: false }), finished])
  await Promise.race([seen, finished]) // a measurement is one operation long at least
  counting = false
  const seconds = (performance.now() - from.at) / 1000
  const own = process.cpuUsage(from.own)
  const server = (processorTime(plan.server) - from.server) / seconds
  const core = (coreTime(plan.core) - from.core) / seconds
  instance.stop?.() // it has none if it refused its options
  await done

  const sorted = Float64Array.from(latencies).sort()
  return {
    operations: sorted.length,
    rate: sorted.length / seconds,
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    errors,
    first_error: firstError,
    server_busy: Number.isNaN(server) ? null : server,
    others_busy: Number.isNaN(core - server) ? null : Math.max(0, core - server),
    generator_busy: (own.user + own.system) / 1e6 / seconds,
  }
}

/** The value below which a share `q` of sorted values lies; NaN of none. */
export function quantile(sorted: Float64Array, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}

type Events = { succeeded(milliseconds: number): void; failed(why: unknown): void; ended(): void }

/** autocannon's view of a connection that holds conversations: one request that is made anew each time, from what was answered before. */
function conversation(begin: () => Conversation, { succeeded, failed, ended }: Events): autocannon.Request {
  let current: Conversation | undefined
  let next: Request | undefined
  let begunAt = 0

  const end = () => {
    current = next = undefined
    ended()
  }
  return {
    setupRequest(request) {
      // A connection that was lost asks again without having been answered: that operation failed.
      if (current !== undefined && next === undefined) {
        failed('the server closed the connection')
        end()
      }
      if (current === undefined || next === undefined) {
        begunAt = performance.now()
        current = begin()
        next = current.next().value as Request
      }
      const { method, path, headers, body = '' } = next
      next = undefined
      return { ...request, method, path, headers: { ...request.headers, ...headers }, body }
    },
    onResponse(status, body, _context, headers) {
      if (current === undefined) return
      try {
        const step = current.next(answerOf(status, body, headers as Record<string, string | string[]>))
        if (!step.done) {
          next = step.value
          return
        }
        succeeded(performance.now() - begunAt)
      } catch (error) {
        failed(error)
      }
      end()
    },
  }
}

const answerOf = (status: number, body: string, headers: Record<string, string | string[]>): Answer => ({
  status,
  body,
  header(name) {
    const values: string[] = []
    for (const key in headers) if (key.toLowerCase() === name) values.push(...[headers[key] ?? []].flat())
    return values
  },
})
