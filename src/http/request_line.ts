/** One line of the log for each request: who asked for what, what came of it, and what took how long. Never a query, a body or a header: those hold secrets. */
import { performance } from 'node:perf_hooks'
import type { Deps, Log } from '../deps.ts'
import { type OAuthError, Unavailable } from '../oauth/error.ts'
import { phases, type Trace } from '../observe/trace.ts'

const levelOf = (error: OAuthError): keyof Log => (error instanceof Unavailable ? 'warn' : error.code === 'server_error' ? 'error' : 'info')

const fieldsOf = (error: OAuthError) => ({
  error: error.code,
  ...(error.details.decision_id !== undefined && { decision_id: error.details.decision_id }),
  ...(error.cause !== undefined && { err: error instanceof Unavailable ? String(error.cause) : error.cause }),
})

/** Logs a refusal with the words that go out. */
export const logRefusal = ({ log }: Pick<Deps, 'log'>, { id }: { id: string }, error: OAuthError): void =>
  log[levelOf(error)]({ request_id: id, ...fieldsOf(error) }, error.message)

/** Whole microseconds of all, and of them each phase in which there were any. */
function microseconds(trace: Trace, total: number): Record<string, number> {
  const times: Record<string, number> = { us: Math.round(total * 1000) }
  for (const phase of phases) if (trace[phase] > 0) times[`us_${phase}`] = Math.round(trace[phase] * 1000)
  return times
}

export type Answered = { id: string; method: string; endpoint: string; status: number; trace: Trace; isFree: boolean }

/**
 * Counts a request that is being answered, and writes its line: at level info, or as its refusal demands. What is answered from memory (`isFree`: metadata,
 * keys, health) is only counted, unless it is refused.
 */
export function tell({ log, metrics }: Pick<Deps, 'log' | 'metrics'>, { id, method, endpoint, status, trace, isFree }: Answered): void {
  const { principal, client_id, decision_id, error } = trace
  const total = performance.now() - trace.began
  metrics.answered(endpoint, error?.code ?? 'ok', total / 1000, isFree ? undefined : trace)
  if (isFree && !error) return
  const fields = {
    request_id: id,
    method,
    endpoint,
    status,
    ...(principal !== undefined && { principal }),
    ...(client_id !== undefined && { client_id }),
    ...(decision_id !== undefined && { decision_id }),
    ...(error && fieldsOf(error)),
    ...microseconds(trace, total),
  }
  if (error) log[levelOf(error)](fields, error.message)
  else log.info(fields, `${method} ${endpoint} ${status}`)
}
