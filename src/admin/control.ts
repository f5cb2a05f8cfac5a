/** The control socket: the admin's actions for whoever can open a file that only the operator can (mode 0600). */
import { chmodSync, rmSync } from 'node:fs'
import type { ReloadResult } from '../daemon.ts'
import type { Deps } from '../deps.ts'
import { createCarrier } from '../http/carrier.ts'
import { json } from '../http/endpoint.ts'
import { isStaleSocket } from '../http/listeners.ts'
import { errorJson, logError, toOAuthError } from '../http/render_error.ts'
import { runAction } from './actions.ts'

export type ControlServer = { close: () => Promise<void> }

/** Listens on the unix socket `path`: `POST /NAME` with the action's input as JSON. `live.reload` loads the policy again. */
export async function startControl(path: string, deps: Deps, live: { reload: () => ReloadResult }): Promise<ControlServer> {
  const app = createCarrier()
  const adminDeps = {
    store: deps.store,
    now: deps.now,
    live: { identity: deps.identity, policy: deps.policy, health: deps.health, config: deps.config, ...live },
  }
  app.post<{ Params: { name: string } }>('/:name', async (request, reply) => {
    const { name } = request.params
    const answer = await runAction(adminDeps, name, request.body).then(
      (value) => json(value),
      (thrown) => {
        const error = toOAuthError(thrown)
        logError(deps, request, error)
        return errorJson(error, request.id)
      },
    )
    deps.log.info({ action: name, subject: 'local:control', status: answer.status }, `control: ${name}`)
    return reply.code(answer.status).headers(answer.headers).send(answer.body)
  })
  if (isStaleSocket(path)) rmSync(path)
  await app.listen({ path })
  chmodSync(path, 0o600)
  return { close: () => app.close() }
}
