/** The control socket: the admin's actions for whoever can open a file that only the operator can (mode 0600). */

import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Deps } from '../deps.ts'
import { createCarrier } from '../http/carrier.ts'
import { json } from '../http/endpoint.ts'
import { onSocket } from '../http/listeners.ts'
import { errorJson, toOAuthError } from '../http/render_error.ts'
import { logRefusal } from '../http/request_line.ts'
import { type AdminDeps, runAction } from './actions.ts'

/** The largest policy, as JSON with every byte escaped. */
const mostBytes = 32 * 1024 * 1024

export type ControlServer = { close: () => Promise<void> }

/** Listens on the unix socket `path`: `POST /NAME` with the action's input as JSON. Throws ConfigError where it cannot. */
export async function startControl(
  path: string,
  deps: Deps,
  daemon: Pick<NonNullable<AdminDeps['live']>, 'policyInForce' | 'addresses'>,
): Promise<ControlServer> {
  const app = createCarrier({ bodyLimit: mostBytes })
  const { log } = deps
  let stopping = false
  const adminDeps: AdminDeps = { ...deps, live: { ...deps, ...daemon, stopping: () => stopping } }
  app.post<{ Params: { name: string } }>('/:name', async (request, reply) => {
    const { name } = request.params
    const answer = await runAction(adminDeps, name, request.body).then(
      (value) => json(value),
      (thrown) => {
        const error = toOAuthError(thrown)
        logRefusal({ log }, request, error)
        return errorJson(error, request.id, error.message)
      },
    )
    log.info({ action: name, subject: 'local:control', status: answer.status }, `control: ${name}`)
    return reply.code(answer.status).headers(answer.headers).send(answer.body)
  })
  await onSocket(path, () => {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    return app.listen({ path })
  })
  return {
    close() {
      stopping = true // what takes long ends itself
      return app.close()
    },
  }
}
