/** What is counted of what happens. The whole list; how things stand is in `gauges`. */
import { createRegistry, type Registry } from './instruments.ts'
import { phases, type Trace } from './trace.ts'

export type Metrics = {
  registry: Registry
  /** A request was answered. `endpoint`: its path as the program has it, "none" where there is nothing; `outcome`: "ok" or the error's code. */
  answered: (endpoint: string, outcome: string, seconds: number, trace: Trace | undefined) => void
  /** A request was refused at the door, before anybody looked at it. */
  refused: (status: number) => void
  decided: (entry: string, outcome: string, reason: string | null, count?: number) => void
  issued: (kind: 'access_token' | 'refresh_token' | 'id_token') => void
  /** tailscaled was asked who has an address. */
  whois: (seconds: number, outcome: 'found' | 'nobody' | 'failed') => void
  committed: (seconds: number, outcome: 'ok' | 'guard' | 'failed') => void
}

export function createMetrics(): Metrics {
  const registry = createRegistry()
  const { counter, histogram } = registry
  const requests = counter('meshidp_requests_total', 'Requests that were answered.', ['endpoint', 'outcome'])
  const durations = histogram('meshidp_request_seconds', 'From the head of a request to its answer.', ['endpoint'])
  const waits = histogram('meshidp_request_phase_seconds', 'What a request spent in a phase, where it spent anything.', ['phase'])
  const refusals = counter('meshidp_requests_refused_total', 'Requests that were refused at the door: 429 asked too often, 503 busy.', [
    'status',
  ])
  const decisions = counter('meshidp_decisions_total', 'Decisions, as they are recorded.', ['entry', 'outcome', 'reason'])
  const tokens = counter('meshidp_tokens_issued_total', 'Tokens that were issued.', ['kind'])
  const questions = histogram('meshidp_whois_seconds', 'Questions of whois to tailscaled.', ['outcome'])
  const commits = histogram('meshidp_commit_seconds', 'Commits, until they are on disk.', ['outcome'])
  return {
    registry,
    answered(endpoint, outcome, seconds, trace) {
      requests.add(1, endpoint, outcome)
      if (!trace) return
      durations.observe(seconds, endpoint)
      for (const phase of phases) if (trace[phase] > 0) waits.observe(trace[phase] / 1000, phase)
    },
    refused: (status) => refusals.add(1, String(status)),
    decided: (entry, outcome, reason, count = 1) => decisions.add(count, entry, outcome, reason ?? ''),
    issued: (kind) => tokens.add(1, kind),
    whois: (seconds, outcome) => questions.observe(seconds, outcome),
    committed: (seconds, outcome) => commits.observe(seconds, outcome),
  }
}
