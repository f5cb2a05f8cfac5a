/** Whether the daemon can do its work: the one judgement, for `/readyz`, `meshidp status` and the metrics. */
import type { Deps } from '../deps.ts'
import { controlLost } from '../identity/answers.ts'
import { isServable } from './certificate_state.ts'

export type Readiness = {
  ready: boolean
  /** "ok", or what is wrong with it. */
  store: string
  /** Ids of the doctor's cheap checks that find a fault. */
  ailments: readonly string[]
  /** Whether the mesh goes on without its control server: for a while that harms nobody. */
  control_lost: boolean
}

type Whole = Pick<Deps, 'identity' | 'policyState' | 'unheard' | 'troubles' | 'ailments' | 'certificate' | 'store' | 'now'>

/** The mesh is Running, the store takes and gives, the last policy was good, somebody listens where this node can be reached, the certificate has not ended, and the doctor finds no fault. */
export async function readinessOf(deps: Whole): Promise<Readiness> {
  const troubles = deps.troubles()
  const store = await deps.store.meta.find('tailnet').then(
    () => troubles.find(({ name }) => name === 'store')?.brief ?? 'ok',
    () => troubles.find(({ name }) => name === 'store')?.brief ?? 'cannot be read',
  )
  const ailments = deps.ailments()
  const mesh = deps.identity.status()
  const ready =
    mesh.running &&
    store === 'ok' &&
    troubles.length === 0 &&
    deps.policyState().problem === null &&
    deps.unheard() === null &&
    isServable(deps.certificate(), deps.now()) &&
    ailments.length === 0
  return { ready, store, ailments, control_lost: mesh.health.includes(controlLost) }
}
