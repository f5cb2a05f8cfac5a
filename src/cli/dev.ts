import { createHash, randomBytes } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { controlSocketIn, fitsSocket } from '../config/places.ts'
import { ConfigError, type ConfigInput, type LiveConfig, toConfig } from '../config.ts'
import { type Daemon, startDaemon } from '../daemon.ts'
import type { Log } from '../deps.ts'
import { type DevMesh, startDevMesh } from '../identity/dev_mesh.ts'
import { allInWords, PolicyError } from '../load_policy.ts'
import { compile } from '../policy/index.ts'
import { lockState } from '../store/lock.ts'
import { type Command, UsageError } from './command.ts'
import { configName, developmentDirectory } from './config_file.ts'
import { createLog } from './log.ts'
import { runsFromSources, shipped } from './shipped.ts'

/** The example policy of a checkout. */
export const examplePolicy = fileURLToPath(new URL('../../policy/example.hujson', import.meta.url))

/** The policy to begin with: of a checkout the example itself, else a copy in `directory`, which is there to be edited and so stays once it is. */
function firstPolicy(directory: string): string {
  if (runsFromSources) return examplePolicy
  const file = join(directory, 'policy.hujson')
  if (!existsSync(file)) writeFileSync(file, shipped('policy/example.hujson'), { mode: 0o600 })
  return file
}

/** A folder for sockets: the state directory, or a short one of its own where the kernel would not take the path. Throws ConfigError. */
function socketDirectory(directory: string): string {
  if (fitsSocket(controlSocketIn(directory))) return directory
  const short = join(tmpdir(), `meshidp-${createHash('sha256').update(directory).digest('hex').slice(0, 12)}`)
  mkdirSync(short, { recursive: true, mode: 0o700 })
  // Anybody can put something into the system's folder for temporary files, under a name that they can guess too.
  const { uid, mode } = lstatSync(short)
  if (uid !== statSync(directory).uid || mode & 0o077)
    throw new ConfigError(
      `${short}, where the sockets would be, is open to others. Remove it, or choose a state directory with a shorter path.`,
    )
  return short
}

/** Makes the secrets that the policy names and that are not there yet. */
function makeSecrets(policyFile: string, directory: string): void {
  const compiled = compile(readFileSync(policyFile, 'utf8'))
  if (!compiled.ok) throw new PolicyError(allInWords(policyFile, compiled.problems))
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  for (const { client_secret_file } of compiled.policy.clients.values()) {
    const file = client_secret_file && join(directory, client_secret_file)
    if (file && !existsSync(file)) writeFileSync(file, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 })
  }
}

type Place = { port: number; directory: string; policyFile?: string; more?: Partial<ConfigInput> }

/** Makes all that a daemon on a development mesh needs below `directory`, and starts nothing; the mesh is to be at `socket`. `more` changes its configuration. */
export function prepareDevelopment({ port, directory, policyFile, more = {} }: Place) {
  const state_directory = resolve(directory)
  mkdirSync(state_directory, { recursive: true, mode: 0o700 })
  lockState(state_directory).release() // throws where one runs here already: its configuration and its mesh are not to be replaced
  const runtime_directory = socketDirectory(state_directory)
  const socket = join(runtime_directory, 'mesh.sock')
  const configFile = join(state_directory, configName)
  const written: ConfigInput = {
    issuer: `http://localhost:${port}`,
    state_directory,
    runtime_directory,
    policy_file: resolve(policyFile ?? firstPolicy(state_directory)),
    listen: { port },
    mesh: { socket },
    development: true,
    email_domains: ['example.com'],
    ...more,
  }
  const config = toConfig(written)
  makeSecrets(config.policy_file, config.secrets_directory)
  writeFileSync(configFile, `// Written by "meshidp dev" at each start.\n${JSON.stringify(written, null, 2)}\n`, { mode: 0o600 })
  return { config, configFile, socket }
}

export type Development = { config: LiveConfig; configFile: string; daemon: Daemon; mesh: DevMesh; close: () => Promise<void> }

/** Starts a daemon on a development mesh of its own. */
export async function startDevelopment({
  log,
  page = true,
  port,
  directory,
  policyFile,
  more = {},
  ...seams
}: Place & { log: Log; page?: boolean } & Pick<Parameters<typeof startDaemon>[0], 'now' | 'randomBytes' | 'fetch'>): Promise<Development> {
  const { config, configFile, socket } = prepareDevelopment({ port, directory, more, ...(policyFile !== undefined && { policyFile }) })
  const mesh = await startDevMesh({ socket, ...(page && { page: { port: port + 1 } }) })
  try {
    const daemon = await startDaemon({ config, log, ...seams })
    return {
      config: daemon.deps.config,
      configFile,
      daemon,
      mesh,
      async close() {
        await daemon.close()
        await mesh.close()
      },
    }
  } catch (error) {
    await mesh.close()
    throw error
  }
}

/** How a command is told of this daemon; from a checkout it finds the one in its default place by itself. */
const told = (configFile: string) => (configFile === resolve(developmentDirectory, configName) ? '' : ` --config ${configFile}`)

/** What to type in another terminal, and what for. */
function tries({ config: { issuer }, configFile }: Development): [what: string, ...type: string[]][] {
  const program = runsFromSources ? 'npm run -s meshidp --' : 'meshidp'
  return [
    ...(runsFromSources ? [['the whole story, with a real MCP client and server', 'npm run demo'] as [string, string]] : []),
    ['be bob, from the command line: his laptop is 127.0.0.3', `curl --interface 127.0.0.3 ${issuer}/`],
    [
      'register software as mallory, be refused, and read why',
      `curl --interface 127.0.0.5 ${issuer}/register --json '{"redirect_uris":["http://127.0.0.1/cb"]}'`,
      `${program} decisions list${told(configFile)}`,
    ],
  ]
}

const numbered = ([what, ...type]: readonly string[], index: number) =>
  [`  ${index + 1}. ${what}`, ...type.map((line) => `       ${line}`)].join('\n')

const welcome = (development: Development) => `
  meshidp, on a development mesh of this computer only

  issuer       ${development.config.issuer}
  open         ${development.config.issuer}/         who you are to it
               ${development.mesh.page}          be somebody else: alice, bob, carol, mallory

  Things to try, in another terminal:
${tries(development).map(numbered).join('\n')}

  The policy is ${relative('', development.config.policy_file)}; edit it: it is loaded as soon as it is saved.
  Secrets of its clients are in ${development.config.secrets_directory}. Stop with Ctrl-C; tokens outlive it.
`

/** What the machine does not let us have, in words: a port, a folder, a file. */
async function started(options: Parameters<typeof startDevelopment>[0]): Promise<Development> {
  try {
    return await startDevelopment(options)
  } catch (error) {
    const { code, syscall, path, port } = error as NodeJS.ErrnoException & { port?: number }
    if (code === 'EADDRINUSE')
      throw new ConfigError(
        `Port ${port} is in use by another program, perhaps by another development daemon: it takes two ports, that of --port and the next. Choose others with --port N.`,
        { cause: error },
      )
    if (syscall !== undefined && path !== undefined)
      throw new ConfigError(`${path} cannot be used (${syscall}: ${code}).`, { cause: error })
    throw error
  }
}

function portOf(text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65_534) throw new UsageError(`--port must be a number from 1 to 65534, not ${text}.`)
  return port
}

export const dev: Command = {
  summary: 'run a daemon on a development mesh, to try things out',
  description:
    'Runs the daemon with a mesh that is only pretended: people and machines have addresses 127.0.0.x. It listens on loopback and nowhere else. Everything it needs is made.',
  options: {
    port: { type: 'string', default: '8484', argument: 'N', help: 'port of the daemon; the page of the mesh is on the next one' },
    'state-dir': { type: 'string', default: developmentDirectory, argument: 'DIR', help: 'where database, keys and secrets are kept' },
    policy: { type: 'string', argument: 'FILE', help: 'another policy than the example' },
  },
  async run(terminal, values) {
    const log = await createLog('info', { interactive: terminal.interactive, to: 2 })
    const policyFile = values.policy as string | undefined
    const development = await started({
      port: portOf(String(values.port)),
      directory: String(values['state-dir']),
      log,
      ...(policyFile !== undefined && { policyFile }),
    })
    terminal.write(welcome(development))
    terminal.onHangup(() => development.daemon.reload('SIGHUP'))
    await terminal.untilStopped()
    await development.close()
    return 0
  },
}
