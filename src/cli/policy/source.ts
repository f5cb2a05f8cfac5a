/** Which policy a command is about, and what the daemon knows: over its control socket, or, without a daemon, from its state. */

import { type Config, ConfigError } from '../../config.ts'
import type { Principal } from '../../oauth/principal.ts'
import { type Policy, principalFrom } from '../../policy/index.ts'
import { askAdmin, Refused } from '../ask.ts'
import { type Terminal, Unusable, type Values } from '../command.ts'
import { readConfig } from '../config_file.ts'
import { compiled, readPolicyFile } from './read_file.ts'

export const fileOption = {
  type: 'string',
  argument: 'FILE',
  help: 'the policy in FILE (- is standard input) instead of the one in force',
} as const

/** Asks the daemon of the configuration that the command line names. Throws Unusable with a sentence. */
export type Asking = (action: string, input?: object) => Promise<Record<string, unknown>>

export function asking(terminal: Terminal, values: Values): Asking {
  const unusable = (error: Error): never => {
    throw error instanceof Refused || error instanceof ConfigError ? new Unusable(error.message, { cause: error }) : error
  }
  let config: Config
  try {
    config = readConfig(terminal, values)
  } catch (error) {
    return unusable(error as Error)
  }
  return (action, input = {}) => askAdmin(config, action, input, terminal).catch(unusable)
}

/** `name`: the file; `since`: when it came into force, seconds; null where it may not be in force. */
export type Source = { policy: Policy; name: string; since: number | null }

/** The policy of `--file`, or the one in force. Throws Unusable, Unsound. */
export async function policySource(terminal: Terminal, values: Values): Promise<Source> {
  if (values.file !== undefined) {
    const file = await readPolicyFile(String(values.file))
    return { policy: compiled(file), name: file.name, since: null }
  }
  const found = await asking(
    terminal,
    values,
  )('policy.show').catch((error: Error) => {
    throw error instanceof Unusable
      ? new Unusable(`${error.message} A policy without a daemon is named with --file FILE.`, { cause: error })
      : error
  })
  const { text, file, loaded_at } = found as { text: string; file: string; loaded_at: number }
  return { policy: compiled({ name: file, text }), name: file, since: loaded_at }
}

/** Somebody as whois said when a decision last kept it; `at`: seconds. */
export type Seen = { principal: Principal; at: number }

/** What was last known of a login name, or of a node by its name. */
export async function lastSeen(asks: Asking, principal: string): Promise<Seen | null> {
  const { identity, used_at } = await asks('identities.last', { principal })
  return identity === null ? null : { principal: principalFrom(String(identity)), at: Number(used_at) }
}
