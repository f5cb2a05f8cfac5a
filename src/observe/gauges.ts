/** How things stand, asked at each look at the metrics. The whole list. */
import manifest from '../../package.json' with { type: 'json' }
import type { Deps } from '../deps.ts'
import type { Sample } from './instruments.ts'

/** Bytes, seconds, and seconds since the epoch; null where nobody says. */
export type ProcessUsage = () => { resident_bytes: number; cpu_seconds: number; started_at: number } | null

/** What only the daemon around knows. */
export type Around = {
  /** By how much the event loop was late at worst since the last look, seconds. */
  lag: () => number
  inProgress: () => number
  /** Of the database with its log, bytes. */
  databaseBytes: () => number
  isReady: () => Promise<boolean>
  /** Of this process; null where nobody says. */
  usage: ProcessUsage
}

const one = (value: number | null | undefined): Sample[] => (value === null || value === undefined ? [] : [[[], value]])

export function gaugesOf(deps: Deps, { lag, inProgress, databaseBytes, isReady, usage }: Around): void {
  const { gauge } = deps.metrics.registry
  gauge('meshidp_info', 'This program.', ['version'], () => [[[manifest.version], 1]])
  gauge('meshidp_ready', '1 where it can do its work, as /readyz says.', [], async () => one(Number(await isReady())))
  gauge('meshidp_requests_in_progress', 'Requests that are being answered.', [], () => one(inProgress()))
  gauge('meshidp_mesh_running', '1 while the mesh says who calls.', [], () => one(Number(deps.identity.status().running)))
  gauge('meshidp_mesh_info', 'The mesh as last seen.', ['strategy', 'state'], () => {
    const { strategy, running, state } = deps.identity.status()
    return [[[strategy, running ? state : 'dark'], 1]]
  })
  gauge('meshidp_mesh_health_problems', 'What tailscaled complains of.', [], () => one(deps.identity.status().health.length))
  gauge('meshidp_policy_info', 'The policy in force.', ['hash', 'source'], () => {
    const { hash, source } = deps.policyState()
    return [[[hash, source], 1]]
  })
  gauge('meshidp_policy_loaded_timestamp_seconds', 'When it came into force.', [], () => one(deps.policyState().loaded_at))
  gauge('meshidp_policy_problem', '1 where the policy file is not usable, so that an older policy is in force.', [], () =>
    one(Number(deps.policyState().problem !== null)),
  )
  gauge('meshidp_certificate_end_timestamp_seconds', 'When the certificate that is served ends.', ['name'], () => {
    const state = deps.certificate()
    return state?.until == null ? [] : [[[state.name], state.until]]
  })
  gauge('meshidp_certificate_problem', '1 where there is no certificate, or no newer one could be had.', [], () => {
    const state = deps.certificate()
    return one(state && Number(state.problem !== null))
  })
  gauge('meshidp_key_signs_from_timestamp_seconds', 'Since when, or from when on, a key signs.', ['kid', 'alg', 'state'], () =>
    deps.keys.list().map(({ kid, alg, state, signs_from }) => [[kid, alg, state], signs_from]),
  )
  gauge('meshidp_trouble', '1 where this keeps the daemon from its work.', ['name'], () => {
    const names = deps.troubles().map(({ name }) => name)
    return (['store', 'descriptors'] as const).map((name) => [[name], Number(names.includes(name))])
  })
  gauge('meshidp_database_bytes', 'Of the database with its log.', [], () => one(databaseBytes()))
  gauge('meshidp_event_loop_lag_seconds', 'By how much the event loop was late, at worst since the last look.', [], () => one(lag()))
  gauge('process_resident_memory_bytes', 'Resident memory.', [], () => one(usage()?.resident_bytes))
  gauge('process_cpu_seconds_total', 'Processor time, of user and system.', [], () => one(usage()?.cpu_seconds))
  gauge('process_start_time_seconds', 'When the daemon started.', [], () => one(usage()?.started_at))
}
