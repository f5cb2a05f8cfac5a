/** Which configuration a command works with. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, ConfigError, parseConfig } from '../config.ts'
import { type Terminal, UsageError, type Values } from './command.ts'

export const configOption = {
  type: 'string',
  argument: 'FILE',
  help: 'the configuration; default $MESHIDP_CONFIG, /etc/meshidp/config.hujson, or that of the development daemon here',
} as const

/** Where `meshidp dev` keeps its things, from the folder that it is started in. */
export const developmentDirectory = '.dev'
export const configName = 'config.hujson'

/** Reads the configuration that the command line, the environment or a default place names. Throws UsageError, ConfigError. */
export function readConfig({ env }: Pick<Terminal, 'env'>, values: Values): Config {
  const places = [`/etc/meshidp/${configName}`, join(developmentDirectory, configName)]
  const file = (values.config as string | undefined) ?? env.MESHIDP_CONFIG ?? places.find((place) => existsSync(place))
  if (file === undefined)
    throw new UsageError(
      `There is no configuration at ${places.join(' nor at ')}. Name one with --config FILE, or start a development daemon with: meshidp dev`,
    )
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new ConfigError(`The configuration cannot be read: ${(cause as Error).message}`, { cause })
  }
  try {
    return parseConfig(text)
  } catch (cause) {
    throw new ConfigError(`${file}: ${(cause as Error).message}`, { cause })
  }
}
