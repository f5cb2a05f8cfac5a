/** The doctor: every check there is, and what they found. */
import type { Config } from '../config.ts'
import { nameOf } from '../identity/answers.ts'
import { openLocalApi } from '../identity/local_api.ts'
import { loadPolicy, PolicyError } from '../load_policy.ts'
import { issuerOf } from '../this_node.ts'
import type { Check, Finding, Subject } from './check.ts'
import { meshChecks } from './mesh_checks.ts'
import { policyChecks } from './policy_checks.ts'
import { serviceChecks } from './service_checks.ts'
import { stateChecks } from './state_checks.ts'

export { signInAgainstItself } from './self_sign_in.ts'

export const areas: ReadonlyMap<string, readonly Check[]> = new Map([
  ['mesh', meshChecks],
  ['policy', policyChecks],
  ['state', stateChecks],
  ['service', serviceChecks],
])

/** For a question to tailscaled: what is slow is no fault yet. */
const deadlineMs = 10_000

export type Examination = Finding & { area: string } & Pick<Check, 'id' | 'title' | 'why'>

export type Patient = Pick<Subject, 'config' | 'now' | 'credentials' | 'daemon' | 'signIn'>

/** Runs every check, and yields what each found, in order. A check that fails itself is a fault; it never rejects. */
export async function* examinations(patient: Patient): AsyncGenerator<Examination> {
  const { config, now } = patient
  const api = openLocalApi({ socket: config.mesh.socket, deadlineMs })
  try {
    const mesh = await api.status({ peers: false }).catch((error: Error) => error)
    const issuer = issuerSaidBy(patient, mesh)
    const subject: Subject = { ...patient, config: { ...config, issuer }, api, mesh, policy: policyOf(config, now) }
    for (const [area, checks] of areas)
      for (const { run, id, title, why } of checks) {
        const finding = await attempt(run, subject)
        yield { area, id, title, why, ...finding }
      }
  } finally {
    await api.close()
  }
}

/** The issuer where the configuration leaves it to this node: that of the daemon, or of the one that would be started now; undefined where nobody says. */
function issuerSaidBy({ config, daemon }: Patient, mesh: Subject['mesh']): string | undefined {
  if (config.issuer !== undefined) return config.issuer
  if (daemon !== null && !(daemon instanceof Error)) return daemon.issuer
  const name = mesh instanceof Error ? '' : nameOf(mesh.Self)
  return name === '' ? undefined : issuerOf(name, config)
}

async function attempt(run: Check['run'], subject: Subject): Promise<Finding> {
  try {
    return await run(subject)
  } catch (error) {
    return { outcome: 'fault', found: (error as Error).message, remedy: 'Mend what that says, and run the doctor again.' }
  }
}

function policyOf(config: Config, now: () => number): Subject['policy'] {
  try {
    return loadPolicy(config, { source: 'start', loaded_at: now() })
  } catch (error) {
    if (error instanceof PolicyError) return error
    throw error
  }
}
