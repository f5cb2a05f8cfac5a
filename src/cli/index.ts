/** Every command, and the help that is made from them. A name is one word, or two where commands belong together. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import manifest from '../../package.json' with { type: 'json' }
import { didYouMean } from '../hujson/nearest.ts'
import { adminCommands } from './admin_commands.ts'
import { backup } from './backup.ts'
import { keygen } from './backup_keygen.ts'
import { type Command, type Terminal, UsageError, type Values } from './command.ts'
import { configCheck, configSchemaCommand, configShow } from './config.ts'
import { configFlags } from './config_file.ts'
import { dev } from './dev.ts'
import { doctor } from './doctor.ts'
import { exportLines } from './export.ts'
import { importLines } from './import.ts'
import { init } from './init/index.ts'
import { licenses } from './licenses.ts'
import { policyCommands } from './policy/index.ts'
import { resource } from './resource.ts'
import { restore } from './restore.ts'
import { serve } from './serve.ts'
import { service } from './service.ts'

export const commands = new Map<string, Command>([
  ['serve', serve],
  ['dev', dev],
  ['init', init],
  ['doctor', doctor],
  ['service', service],
  ['config show', configShow],
  ['config check', configCheck],
  ['config schema', configSchemaCommand],
  ['backup', backup],
  ['backup keygen', keygen],
  ['restore', restore],
  ['export', exportLines],
  ['import', importLines],
  ['resource', resource],
  ['licenses', licenses],
  ...policyCommands,
  ...adminCommands,
])

const general = () => `meshidp: sign-in for a private mesh. Whois says who is calling, a policy file says what they may do.

Usage: meshidp COMMAND [OPTION …]

${listed('')}
meshidp COMMAND --help says more; meshidp --version says which this is. Exit codes: 0 well, 1 falls short, 2 not understood.
`

const aligned = (rows: readonly (readonly [string, string])[]): string => {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('')
}

/** The commands whose names begin with `start`, a line each. */
const listed = (start: string): string =>
  aligned([...commands].flatMap(([name, { summary }]) => (name.startsWith(start) ? [[name, summary] as const] : [])))

/** The commands that belong together under a first word: "meshidp policy --help". */
const groupHelp = (first: string) => `Usage: meshidp ${first} COMMAND [OPTION …]

${listed(`${first} `)}
meshidp ${first} COMMAND --help says more.
`

const secondWords = (first: string): string[] =>
  [...commands.keys()].flatMap((name) => (name.startsWith(`${first} `) ? [name.slice(first.length + 1)] : []))

function helpOf(name: string, { usage, description, options }: Command): string {
  const rows = Object.entries(options).map(
    ([option, { argument, help, default: standard }]) =>
      [`--${option}${argument ? ` ${argument}` : ''}`, standard === undefined ? help : `${help}; default ${standard}`] as const,
  )
  if (options.config) rows.push(['--KEY VALUE', 'any key of the configuration, such as --listen-port 8443 or --log-level debug'])
  return `Usage: meshidp ${name}${usage ? ` ${usage}` : ''} [OPTION …]\n\n${description}\n\n${aligned(rows)}`
}

/** Runs a command line (without program name). Resolves with the exit code; throws UsageError for what is not understood. */
export async function run(terminal: Terminal, argv: readonly string[]): Promise<number> {
  const words = commands.has(argv.slice(0, 2).join(' ')) ? 2 : 1
  const [name, rest] = [argv.slice(0, words).join(' ') || undefined, argv.slice(words)]
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    terminal.write(general())
    return name === undefined ? 2 : 0
  }
  if (name === '--version') {
    terminal.write(`${manifest.version}\n`)
    return 0
  }
  const command = commands.get(name)
  const seconds = secondWords(name)
  if (!command && seconds.length > 0) {
    if (rest[0] !== '--help' && rest[0] !== '-h') throw new UsageError(`Say which: meshidp ${name} ${seconds.join(' | ')}`)
    terminal.write(groupHelp(name))
    return 0
  }
  if (!command)
    throw new UsageError(
      sentences(
        `There is no ${name.startsWith('-') ? 'option' : 'command'} "${name}".`,
        didYouMean(name, new Set([...commands.keys()].flatMap((one) => one.split(' ')[0] ?? [])))(),
        'See: meshidp --help',
      ),
    )
  const { values, positionals } = parsed(name, command, rest)
  if (values.help) {
    terminal.write(helpOf(name, command))
    return 0
  }
  if (command.usage === undefined && positionals.length > 0)
    throw new UsageError(`"${positionals[0]}" means nothing after "meshidp ${name}". See: meshidp ${name} --help`)
  return command.run(terminal, values, positionals)
}

function parsed(name: string, { options }: Command, args: string[]) {
  const all: ParseArgsOptionsConfig = { ...(options.config && configFlags), ...options, help: { type: 'boolean', short: 'h' } }
  try {
    const { values, positionals, tokens } = parseArgs({ args, options: all, allowPositionals: true, tokens: true })
    const single = tokens.flatMap((token) => (token.kind === 'option' && !all[token.name]?.multiple ? [token.name] : []))
    const twice = single.find((option, at) => single.indexOf(option) < at)
    if (twice !== undefined) throw new UsageError(`--${twice} is there twice; say it once.`)
    return { values: values as Values, positionals }
  } catch (cause) {
    if (cause instanceof UsageError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    const hint = code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' ? nearestOption(message, Object.keys(all)) : undefined
    throw new UsageError(sentences(misunderstood(message), hint, `See: meshidp ${name} --help`), { cause })
  }
}

const sentences = (...parts: readonly (string | undefined)[]): string => parts.filter((part) => part !== undefined).join(' ')

/** The option that was perhaps meant. Node names what it does not know in its words. */
function nearestOption(message: string, known: readonly string[]): string | undefined {
  const [, written] = /'(--[^']+)'/.exec(message) ?? []
  return written === undefined
    ? undefined
    : didYouMean(
        written,
        known.map((option) => `--${option}`),
      )()
}

/** Node's words, without its advice, which is about another thing. */
const misunderstood = (message: string): string => `${message.replace(/\. To specify .*$/s, '').replace(/\.$/, '')}.`
