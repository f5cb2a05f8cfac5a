/** Asks the running daemon over its control socket; where none runs, opens the state itself, under the same lock. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'undici'
import { type AdminDeps, runAction } from '../admin/actions.ts'
import type { Config } from '../config.ts'
import { systemClock } from '../daemon.ts'
import { openState } from '../state.ts'
import { StoreRefused } from '../store/refused.ts'

/** The daemon, or the state, would not do it; the message says why. */
export class Refused extends Error {
  override name = 'Refused'
}

const nobodyListens = new Set(['ENOENT', 'ECONNREFUSED'])

/** Runs an admin's action by name. Throws Refused with the daemon's own sentence. */
export async function ask(config: Config, name: string, input: object, credentials: string | undefined): Promise<Record<string, unknown>> {
  const client = new Client('http://control', { socketPath: join(config.runtime_directory, 'control.sock') })
  try {
    const { statusCode, body } = await client.request({
      method: 'POST',
      path: `/${name}`,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(input),
    })
    const answer = (await body.json()) as Record<string, unknown>
    if (statusCode !== 200) throw new Refused(String(answer.error_description))
    return answer
  } catch (error) {
    if (!nobodyListens.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    return withoutDaemon(config, name, input, credentials)
  } finally {
    await client.close()
  }
}

async function withoutDaemon(
  config: Config,
  name: string,
  input: object,
  credentials: string | undefined,
): Promise<Record<string, unknown>> {
  if (!existsSync(join(config.state_directory, 'meshidp.db')))
    throw new Refused(`No daemon is running, and there is no state in ${config.state_directory}.`)
  const state = await openState(config, { now: systemClock, randomBytes, credentials }).catch((error: Error) => {
    throw error instanceof StoreRefused ? new Refused(`${error.message} Its control socket does not answer.`) : error
  })
  try {
    const deps: AdminDeps = { store: state.store, now: systemClock }
    return (await runAction(deps, name, input)) as Record<string, unknown>
  } finally {
    await state.close()
  }
}
