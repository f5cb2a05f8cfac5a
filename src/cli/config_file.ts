/** Which configuration a command works with. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, ConfigError, configKeys, type Settled, settle } from '../config.ts'
import { type Terminal, UsageError, type Values } from './command.ts'

export const configOption = {
  type: 'string',
  argument: 'FILE',
  help: 'the configuration; default $MESHIDP_CONFIG, /etc/meshidp/config.hujson, or that of the development daemon here',
} as const

/** What every command that takes a configuration takes besides: an option for each key. */
export const configFlags: Readonly<Record<string, { type: 'string' }>> = Object.fromEntries(
  configKeys.map(({ flag }) => [flag, { type: 'string' }]),
)

/** Where `meshidp dev` keeps its things, from the folder that it is started in. */
export const developmentDirectory = '.dev'
export const configName = 'config.hujson'

/** Where the configuration of a machine is, unless somebody says otherwise. */
export const defaultConfigFile = `/etc/meshidp/${configName}`

/** The file that the command line, the environment or a default place names; null where there is none, and a key is said without one. Throws UsageError. */
export function configFileOf({ env }: Pick<Terminal, 'env'>, values: Values): string | null {
  const places = [defaultConfigFile, join(developmentDirectory, configName)]
  const file = (values.config as string | undefined) ?? env.MESHIDP_CONFIG ?? places.find((place) => existsSync(place))
  if (file !== undefined) return file
  if (configKeys.some(({ variable, flag }) => env[variable] !== undefined || values[flag] !== undefined)) return null
  throw new UsageError(
    `There is no configuration at ${places.join(' nor at ')}. Name one with --config FILE, or start a development daemon with: meshidp dev`,
  )
}

/** The configuration, and where each of its values comes from. Throws UsageError, ConfigError. */
export function settledConfig({ env }: Pick<Terminal, 'env'>, values: Values): Settled & { file: string | null } {
  const file = configFileOf({ env }, values)
  const flags = Object.fromEntries(configKeys.map(({ flag }) => [flag, values[flag] as string | undefined]))
  return { file, ...settle({ ...(file !== null && { text: textOf(file), name: file }), env, flags }) }
}

export const readConfig = (terminal: Pick<Terminal, 'env'>, values: Values): Config => settledConfig(terminal, values).config

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new ConfigError(`The configuration cannot be read: ${(cause as Error).message}`, { cause })
  }
}
