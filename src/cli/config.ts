/** `meshidp config`: the configuration as it is in effect, whether it is usable, and its JSON Schema. */

import { jsonSchemaOf } from '../config/json_schema.ts'
import type { Key } from '../config/keys.ts'
import type { Origin } from '../config/layers.ts'
import { type Config, ConfigError, configKeys, configSchema, type Settled } from '../config.ts'
import type { Command, Terminal, Values } from './command.ts'
import { configFileOf, configOption, settledConfig } from './config_file.ts'
import { inJson } from './json.ts'
import { harmless } from './paint.ts'
import { nothing, table } from './table.ts'

const options = { config: configOption, json: { type: 'boolean', help: 'print the answer as JSON' } } as const

const valueAt = (config: Config, { path }: Key): unknown =>
  path.reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], config)

/** Where a value comes from, as one looks for it: `FILE:LINE`, the variable, the option. */
const originInWords = (origin: Origin): string =>
  origin.from === 'default' ? 'default' : origin.from === 'file' ? `${origin.name}:${origin.line}` : origin.name

const shown = (value: unknown): string =>
  value === undefined ? nothing : harmless(typeof value === 'string' ? value : JSON.stringify(value))

const answerOf = ({ config, originOf }: Settled, file: string | null) => ({
  file,
  keys: Object.fromEntries(
    configKeys.map((key) => [
      key.name,
      { value: valueAt(config, key) ?? null, ...originOf(key), variable: key.variable, flag: `--${key.flag}` },
    ]),
  ),
})

export const configShow: Command = {
  summary: 'each key of the configuration: its value in effect, and where that comes from',
  description: `Prints every key with its value in effect and where that comes from: an option of the command line, else a variable of the environment,
else the file, else the default. No secret can be among them: what looks like one is refused, and secrets stand in files that are only
named here. Of "issuer" nothing is shown where the node says it, at the first start of the daemon.

  meshidp config show
  meshidp config show --listen-port 8443`,
  options,
  async run(terminal, values) {
    const { file, ...settled } = settledConfig(terminal, values)
    if (values.json) terminal.write(inJson(answerOf(settled, file)))
    else
      terminal.write(
        table(
          ['KEY', 'VALUE', 'FROM'],
          configKeys.map((key) => [key.name, shown(valueAt(settled.config, key)), originInWords(settled.originOf(key))]),
        ),
      )
    return 0
  },
}

/** The lines of what is wrong; none where the configuration is usable. */
function problemsOf(terminal: Terminal, values: Values): string[] {
  try {
    settledConfig(terminal, values)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.length > 0 ? [...error.problems] : [error.message]
    throw error
  }
}

export const configCheck: Command = {
  summary: 'whether the configuration is usable, and what is wrong with it',
  description: `Reads the configuration as "meshidp serve" would, with environment and options. Each problem is FILE:LINE:COLUMN:, the variable or the
option, and a sentence. The exit code is 0 where it is usable, 1 where it is not. Whether it fits this machine is what "meshidp doctor" says.

  meshidp config check --config config.hujson`,
  options,
  async run(terminal, values) {
    const file = configFileOf(terminal, values)
    const problems = problemsOf(terminal, values)
    const ok = problems.length === 0
    if (values.json) terminal.write(inJson({ file, ok, problems }))
    else terminal.write(ok ? `${file ?? 'The configuration'} is usable.\n` : `${harmless(problems.join('\n'))}\n`)
    return ok ? 0 : 1
  },
}

export const configSchemaCommand: Command = {
  summary: 'print the JSON Schema of the configuration file, for editors',
  description: `Prints the JSON Schema of a configuration file. An editor that knows it shows what may stand where, and marks what may not.

  meshidp config schema > config.schema.json
  { "$schema": "./config.schema.json", … }    at the top of the configuration`,
  options: {},
  async run(terminal) {
    terminal.write(inJson(jsonSchemaOf(configSchema)))
    return 0
  },
}
