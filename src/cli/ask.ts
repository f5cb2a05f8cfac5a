/** Asks the running daemon over its control socket; where none runs, opens the state itself, under the same lock. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'undici'
import { type AdminDeps, runAction } from '../admin/actions.ts'
import { controlSocketIn } from '../config/places.ts'
import type { Config } from '../config.ts'
import { systemClock } from '../daemon.ts'
import { OAuthError } from '../oauth/error.ts'
import { createIdentifiers } from '../oauth/identifier.ts'
import { openState, stateHeader, stateIdentity } from '../state.ts'
import { StateInUse } from '../store/refused.ts'
import type { Terminal } from './command.ts'

/** The daemon, or the state, would not do it; the message says why. */
export class Refused extends Error {
  override name = 'Refused'
}

/** As `ask`, for a command; what the daemon refuses is Refused. `patience`: milliseconds. */
export const askAdmin = (config: Config, name: string, input: object, { env }: Pick<Terminal, 'env'>, patience?: number) =>
  ask(config, name, input, env.CREDENTIALS_DIRECTORY, patience).catch((error: Error) => {
    throw error instanceof OAuthError ? new Refused(error.message) : error
  })

/** No daemon runs, and there is no state that could be opened instead. */
export class NoState extends Refused {
  override name = 'NoState'
}

const nobodyListens = new Set(['ENOENT', 'ECONNREFUSED'])
const notAllowed = new Set(['EACCES', 'EPERM'])
const usualPatience = 30_000

/** Runs an admin's action by name. Throws Refused with the daemon's own sentence, or one about the daemon. */
export async function ask(
  config: Config,
  name: string,
  input: object,
  credentials: string | undefined,
  patience = usualPatience,
): Promise<Record<string, unknown>> {
  const socketPath = controlSocketIn(config.runtime_directory)
  const client = new Client('http://control', { socketPath, headersTimeout: patience, bodyTimeout: patience })
  try {
    const { statusCode, body } = await client.request({
      method: 'POST',
      path: `/${name}`,
      headers: { 'content-type': 'application/json', [stateHeader]: stateIdentity(config) },
      body: JSON.stringify(input),
    })
    const answer = (await body.json()) as Record<string, unknown>
    if (statusCode !== 200) throw new Refused(String(answer.error_description))
    return answer
  } catch (error) {
    if (error instanceof Refused) throw error
    const { code = '', message } = error as NodeJS.ErrnoException
    if (nobodyListens.has(code)) return withoutDaemon(config, name, input, credentials)
    if (notAllowed.has(code))
      throw new Refused(`This user may not open the control socket ${socketPath}. Run the command as the user that the daemon runs as.`)
    throw new Refused(`The daemon behind ${socketPath} did not answer: ${message}. Its log may say why.`, { cause: error })
  } finally {
    await client.destroy()
  }
}

async function withoutDaemon(
  config: Config,
  name: string,
  input: object,
  credentials: string | undefined,
): Promise<Record<string, unknown>> {
  if (!existsSync(join(config.state_directory, 'meshidp.db')))
    throw new NoState(`No daemon is running, and this user finds no state in ${config.state_directory}.`)
  const state = await openState(config, { now: systemClock, randomBytes, credentials }).catch((error: Error) => {
    throw error instanceof StateInUse
      ? new Refused(
          `A daemon uses ${config.state_directory}, but has no control socket in ${config.runtime_directory}. It is starting or stopping just now, or has another "runtime_directory".`,
        )
      : error
  })
  try {
    const deps: AdminDeps = {
      config,
      store: state.store,
      keys: state.keys,
      now: systemClock,
      randomBytes,
      newId: createIdentifiers(systemClock, randomBytes),
    }
    return (await runAction(deps, name, input)) as Record<string, unknown>
  } finally {
    await state.close()
  }
}
