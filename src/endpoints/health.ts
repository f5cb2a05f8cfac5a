import type { PolicyProblem } from '../deps.ts'
import { daysLeft, isServable } from '../http/certificate_state.ts'
import type { Endpoint } from '../http/endpoint.ts'
import { json } from '../http/endpoint.ts'

/** Whether the process answers; nothing is asked of anybody. */
export const healthz: Endpoint = {
  path: '/healthz',
  methods: ['GET'],
  cost: 'free',
  handle: () => json({ status: 'ok' }),
}

/**
 * Whether it can do its work: the mesh is Running, the store can be read and written to, the last policy was good, the certificate has not ended. Which policy is in force,
 * and for how long the certificate is good, stand beside it.
 */
export const readyz: Endpoint = {
  path: '/readyz',
  methods: ['GET'],
  cost: 'free',
  async handle(deps) {
    const { hash, source, loaded_at, problem } = deps.policyState()
    const mesh = deps.identity.status()
    const troubles = new Map(deps.troubles().map(({ name, brief }) => [name, brief]))
    const store = await deps.store.meta.find('tailnet').then(
      () => troubles.get('store') ?? 'ok',
      () => troubles.get('store') ?? 'cannot be read',
    )
    const descriptors = troubles.get('descriptors')
    const unheard = deps.unheard()
    const certificate = deps.certificate()
    const now = deps.now()
    const ready =
      mesh.running && store === 'ok' && descriptors === undefined && problem === null && unheard === null && isServable(certificate, now)
    return json(
      {
        ready,
        mesh: mesh.state,
        store,
        ...(descriptors !== undefined && { descriptors }),
        ...(unheard !== null && { listening: 'an address of this node is not listened on' }),
        ...(certificate && {
          certificate: { days_left: daysLeft(certificate, now), ...(certificate.problem && { problem: 'no newer one could be had' }) },
        }),
        policy: { hash, source, loaded_at, ...(problem && { problem: forStrangers(problem) }) },
      },
      ready ? 200 : 503,
      ready ? {} : { 'retry-after': '5' },
    )
  },
}

/** Where, and not what: anybody of the mesh may ask. */
const forStrangers = ({ place }: PolicyProblem): string =>
  `the file on disk is not usable${place ? ` (line ${place.line}, column ${place.column})` : ''}; the last good one is in force`
