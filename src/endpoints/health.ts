import type { PolicyProblem } from '../deps.ts'
import { daysLeft } from '../http/certificate_state.ts'
import type { Endpoint } from '../http/endpoint.ts'
import { json } from '../http/endpoint.ts'
import { readinessOf } from '../http/readiness.ts'

/** Whether the process answers; nothing is asked of anybody. */
export const healthz: Endpoint = {
  path: '/healthz',
  methods: ['GET'],
  cost: 'free',
  handle: () => json({ status: 'ok' }),
}

/** Whether it can do its work (`http/readiness`). What keeps it, which policy is in force and for how long the certificate is good stand beside it. */
export const readyz: Endpoint = {
  path: '/readyz',
  methods: ['GET'],
  cost: 'free',
  async handle(deps) {
    const { hash, source, loaded_at, problem } = deps.policyState()
    const { ready, store, ailments, control_lost } = await readinessOf(deps)
    const descriptors = deps.troubles().find(({ name }) => name === 'descriptors')?.brief
    const certificate = deps.certificate()
    return json(
      {
        ready,
        mesh: deps.identity.status().state,
        ...(control_lost && { control: 'out of reach' }),
        store,
        ...(descriptors !== undefined && { descriptors }),
        ...(deps.unheard() !== null && { listening: 'an address of this node is not listened on' }),
        ...(certificate && {
          certificate: {
            days_left: daysLeft(certificate, deps.now()),
            ...(certificate.problem && { problem: 'no newer one could be had' }),
          },
        }),
        ...(ailments.length > 0 && { doctor: ailments }),
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
