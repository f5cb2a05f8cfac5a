/** `meshidp service install | uninstall`: the daemon as a service of systemd. */
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Config, configKeys } from '../config.ts'
import { openLocalApi } from '../identity/local_api.ts'
import { outOfReach } from '../systemd/reach.ts'
import { type Place, startedUnits, type Units, unitsOf } from '../systemd/units.ts'
import { Refused } from './ask.ts'
import { type Command, type Terminal, UsageError, type Values } from './command.ts'
import { configOption, defaultConfigFile, settledConfig } from './config_file.ts'
import { changing, outdated } from './systemctl.ts'

const folders: Readonly<Record<string, string>> = {
  system: 'etc/systemd/system',
  'sysusers.d': 'etc/sysusers.d',
  'tmpfiles.d': 'etc/tmpfiles.d',
}

/** Where a unit goes below `root`. */
const placeOf = (root: string, name: string): string => join(root, folders[dirname(name)] ?? '', name.slice(name.indexOf('/') + 1))

/** What is to be listened on, as the mesh and the configuration say now. Throws Unavailable, Refused. */
async function listenOf({ listen, mesh }: Config): Promise<Omit<Place, 'program'>> {
  if (mesh.identity === 'serve') return { identity: 'serve', listen: [listen.socket], group: listen.socket_group }
  const api = openLocalApi({ socket: mesh.socket })
  try {
    const { TUN, Self } = await api.status({ peers: false })
    const identity = mesh.identity === 'auto' ? (TUN === false ? 'userspace' : 'tun') : mesh.identity
    const hosts = identity === 'userspace' ? [listen.host ?? '127.0.0.1'] : (Self?.TailscaleIPs ?? [])
    if (hosts.length === 0) throw new Refused('This node has no address in the mesh yet. Run "tailscale up", then this again.')
    return { identity, listen: hosts.map((host) => `${host.includes(':') ? `[${host}]` : host}:${listen.port}`) }
  } finally {
    await api.close()
  }
}

/** Writes what differs, and says of each file what became of it. Throws Refused where it may not. */
function write(terminal: Terminal, root: string, units: Units): void {
  for (const [name, text] of units) {
    const file = placeOf(root, name)
    const before = existsSync(file) ? readFileSync(file, 'utf8') : null
    if (before !== text)
      try {
        mkdirSync(dirname(file), { recursive: true })
        writeFileSync(file, text, { mode: 0o644 })
      } catch (error) {
        throw new Refused(`${file} cannot be written: ${(error as Error).message}. Run this as root: sudo meshidp service install`)
      }
    terminal.write(`  ${file} ${before === null ? 'written' : before === text ? 'is as it should be' : 'replaced'}\n`)
  }
}

/** The service has neither this command line nor this environment: what they say must stand in the file that it reads. Throws Refused. */
function mustStandInFile({ file, originOf }: ReturnType<typeof settledConfig>): void {
  if (file !== defaultConfigFile)
    throw new Refused(`The service reads ${defaultConfigFile}, not ${file ?? 'this command line'}. Put it there first.`)
  for (const origin of configKeys.map(originOf))
    if (origin.from === 'command line' || origin.from === 'environment')
      throw new Refused(`The service reads ${defaultConfigFile}, and would not hear of ${origin.name}. Write it there.`)
}

/** Who has edited the unit (`systemctl edit`) may have given the service what it needs. */
const isEdited = () => existsSync('/etc/systemd/system/meshidp.service.d')

/** A service that cannot work is not installed; for another machine, or where somebody has seen to it, it is only said. Throws Refused. */
function tellOutOfReach(terminal: Terminal, sentences: readonly string[], isForHere: boolean): void {
  if (sentences.length === 0) return
  const text = sentences.join('\n  ')
  if (isForHere && !isEdited()) throw new Refused(`This could not work as a service.\n  ${text}`)
  terminal.writeError(`meshidp: By itself this would not work as a service.\n  ${text}\n`)
}

async function install(terminal: Terminal, values: Values): Promise<number> {
  const settled = settledConfig(terminal, values)
  const { config } = settled
  const isForHere = values['dry-run'] !== true && values.root === undefined
  if (isForHere) mustStandInFile(settled)
  const program = String(values.program ?? realpathSync(terminal.program))
  if (!program.startsWith('/') || /\s/.test(program))
    throw new UsageError(`--program must be an absolute path without spaces, not ${program}.`)
  tellOutOfReach(terminal, outOfReach(program, config), isForHere)
  const place: Place = { program, ...(await listenOf(config)) }
  const units = unitsOf(place)
  const root = String(values.root ?? '/')
  if (values['dry-run']) {
    for (const [name, text] of units) terminal.write(`# ${placeOf(root, name)}\n${text}\n`)
    return 0
  }
  write(terminal, root, units)
  if (root !== '/') return 0
  await changing(terminal, 'systemd-sysusers', 'meshidp.conf')
  await changing(terminal, 'systemd-tmpfiles', '--create', 'meshidp.conf')
  await changing(terminal, 'systemctl', 'daemon-reload')
  const anew = restarted(await outdated(startedUnits, (unit) => placeOf('/', `system/${unit}`)))
  if (values.now && anew.length > 0) await changing(terminal, 'systemctl', 'restart', ...anew)
  if (values.now) await changing(terminal, 'systemctl', 'enable', '--now', ...startedUnits)
  terminal.write(`\n${values.now ? running : next(anew)}\n`)
  return 0
}

/** What has to be started anew, in one command, where those are outdated: a socket only together with what it is for. */
const restarted = (units: readonly string[]): string[] =>
  units.includes('meshidp.socket') ? [...new Set(['meshidp.socket', 'meshidp.service', ...units])] : [...units]

const running = 'It is running. Look at it: systemctl status meshidp; meshidp doctor'

const next = (anew: readonly string[]) =>
  anew.length > 0
    ? `What runs is as it was before. Start it anew: systemctl restart ${anew.join(' ')}`
    : `Start it, now and at each boot: systemctl enable --now ${startedUnits.join(' ')}`

async function uninstall(terminal: Terminal, values: Values): Promise<number> {
  const root = String(values.root ?? '/')
  const files = [...unitsOf({ program: '/', listen: [], identity: 'tun' }).keys()]
    .map((name) => placeOf(root, name))
    .filter((file) => existsSync(file))
  if (files.length === 0) {
    terminal.write('No service is installed.\n')
    return 0
  }
  // One that an older meshidp installed has fewer of them.
  const started = startedUnits.filter((unit) => files.includes(placeOf(root, `system/${unit}`)))
  if (root === '/') await changing(terminal, 'systemctl', 'disable', '--now', ...started.toReversed())
  for (const file of files) {
    rmSync(file)
    terminal.write(`  ${file} removed\n`)
  }
  if (root === '/') await changing(terminal, 'systemctl', 'daemon-reload')
  terminal.write('\nConfiguration, policy and state are left as they are.\n')
  return 0
}

const verbs = new Map([
  ['install', install],
  ['uninstall', uninstall],
])

export const service: Command = {
  summary: 'the daemon as a service of systemd: install, uninstall',
  usage: [...verbs.keys()].join(' | '),
  description:
    'Writes a hardened service and its sockets, for the addresses that this node has in the mesh. When those change: meshidp service install --now. It also starts anew what runs as an older file says. The sockets stay open while the daemon restarts, so that no request is refused. "uninstall" leaves configuration, policy and state.',
  options: {
    config: configOption,
    now: { type: 'boolean', help: 'start it, too, now and at each boot; anew, where its files have changed' },
    program: { type: 'string', argument: 'PATH', help: 'the program that the service runs; default: this one' },
    root: { type: 'string', argument: 'DIR', help: 'write below DIR, and tell systemd nothing: for packages and images' },
    'dry-run': { type: 'boolean', help: 'print what would be written' },
  },
  async run(terminal, values, [verb = '', ...more]) {
    const act = more.length === 0 ? verbs.get(verb) : undefined
    if (!act) throw new UsageError(`Say which: meshidp service ${[...verbs.keys()].join(' | ')}`)
    return act(terminal, values)
  },
}
