/** The control socket: the admin's actions for whoever can open a file that only the operator can (mode 0600). */

import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'
import type { Deps } from '../deps.ts'
import { createCarrier } from '../http/carrier.ts'
import { json } from '../http/endpoint.ts'
import { errorJson, toOAuthError } from '../http/render_error.ts'
import { logRefusal } from '../http/request_line.ts'
import { endListening, onSocket } from '../http/unix_socket.ts'
import { OAuthError } from '../oauth/error.ts'
import { stateHeader, stateIdentity } from '../state.ts'
import { type AdminDeps, runAction } from './actions.ts'

/** The largest policy, as JSON with every byte escaped. */
const mostBytes = 32 * 1024 * 1024

export type ControlServer = { close: () => Promise<void> }

/** Listens on the unix socket `path`: `POST /NAME` with the action's input as JSON, for this state only. Throws ConfigError where it cannot. */
export async function startControl(
  path: string,
  deps: Deps,
  daemon: Pick<NonNullable<AdminDeps['live']>, 'policyInForce' | 'addresses'>,
): Promise<ControlServer> {
  const app = createCarrier({ bodyLimit: mostBytes })
  const { log } = deps
  let stopping = false
  const adminDeps: AdminDeps = { ...deps, live: { ...deps, ...daemon, stopping: () => stopping } }
  const act = async (name: string, { headers, body }: FastifyRequest) => {
    if (headers[stateHeader] !== stateIdentity(deps.config)) throw new OAuthError('misdirected_request', anothersState(deps.config))
    return runAction(adminDeps, name, body)
  }
  app.post<{ Params: { name: string } }>('/:name', async (request, reply) => {
    const { name } = request.params
    const answer = await act(name, request as FastifyRequest).then(
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
  await onSocket(app.server, { path, key: 'runtime_directory' }, () => {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    return app.listen({ path })
  })
  return {
    close() {
      stopping = true // what takes long ends itself
      endListening(app.server)
      return app.close()
    },
  }
}

const anothersState = ({ state_directory }: Config) =>
  `The daemon behind this control socket keeps its state in ${state_directory}, and the command was for another one. Give each daemon a "runtime_directory" of its own, and the command the configuration of the daemon that it is for.`
