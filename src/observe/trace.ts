/** What is known of a request while it is answered: for its line in the log, and for the metrics. */
import { performance } from 'node:perf_hooks'
import type { OAuthError } from '../oauth/error.ts'

/** What a request waits for, or works at; the rest is neither. */
export const phases = ['whois', 'policy', 'sign', 'store'] as const
export type Phase = (typeof phases)[number]

/** Milliseconds for each phase (what runs at the same time counts for each), and who and what, as far as it was found out: nothing that a stranger made up. */
export type Trace = Record<Phase, number> & {
  began: number
  principal: string | undefined
  client_id: string | undefined
  decision_id: string | undefined
  /** The refusal that goes out. */
  error: OAuthError | undefined
}

export const newTrace = (): Trace => ({
  began: performance.now(),
  whois: 0,
  policy: 0,
  sign: 0,
  store: 0,
  principal: undefined,
  client_id: undefined,
  decision_id: undefined,
  error: undefined,
})

/** Runs `work`, and counts its time as that phase. */
export function timed<T>(trace: Trace, phase: Phase, work: () => T): T {
  const began = performance.now()
  try {
    return work()
  } finally {
    trace[phase] += performance.now() - began
  }
}

/** The same for work that is waited for. */
export async function waited<T>(trace: Trace, phase: Phase, work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  try {
    return await work()
  } finally {
    trace[phase] += performance.now() - began
  }
}
