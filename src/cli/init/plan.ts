/** What `meshidp init` will do. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { layered } from '../../config/layers.ts'
import { type Config, configKeys, type LiveConfig, settle } from '../../config.ts'
import { systemClock } from '../../daemon.ts'
import { nameOf, type StatusAnswer } from '../../identity/answers.ts'
import { openLocalApi } from '../../identity/local_api.ts'
import { issuerOf, statusOfNode } from '../../this_node.ts'
import type { Terminal, Values } from '../command.ts'
import { defaultConfigFile } from '../config_file.ts'
import { type Admin, adminOf } from './admin.ts'
import { sshAddress } from './machine.ts'
import { starterConfig, starterPolicy } from './starter.ts'

const defaultState = '/var/lib/meshidp'

/** What is to be there in the end. A text is null where the file is there already. */
export type Plan = {
  file: string
  config: LiveConfig
  configText: string | null
  policyText: string | null
  admin: Admin | null
  status: StatusAnswer
}

/** Those that hold a path. What stands in a file is read from wherever a command is run, so it must not depend on that. */
const paths = new Set([
  'state_directory',
  'runtime_directory',
  'policy_file',
  'secrets_directory',
  'listen.socket',
  'listen.tls_certificate_file',
  'listen.tls_key_file',
  'mesh.socket',
])

const said = (name: string, text: string | undefined) => (text && paths.has(name) ? resolve(text) : text)

/** Asks the mesh, and changes nothing. Throws ConfigError, UsageError, Refused, Unavailable, each with what to do. */
export async function planOf(terminal: Terminal, values: Values): Promise<Plan> {
  const { env, pid } = terminal
  const file = resolve(String(values.config ?? env.MESHIDP_CONFIG ?? defaultConfigFile))
  const flags = Object.fromEntries(configKeys.map(({ name, flag }) => [flag, said(name, values[flag] as string | undefined)]))
  const settled = (text: string) => settle({ text, name: file, env, flags }).config
  const before = existsSync(file) ? readFileSync(file, 'utf8') : null
  const draft = before ?? starterConfig(draftOf(file, flags))
  const config = settled(draft)
  const status = await statusOfNode(config)
  const issuer = config.issuer ?? issuerOf(nameOf(status.Self), config)
  const live: LiveConfig = { ...config, issuer }
  const configText = before === null ? starterConfig({ issuer, ...draftOf(file, flags) }) : null
  if (existsSync(config.policy_file)) return { file, config: live, configText, policyText: null, admin: null, status }
  const admin = await asAdmin(config, { status, named: values.admin as string | undefined, ssh: sshAddress(env, pid) })
  const domain = new URL(issuer).hostname.split('.').slice(1).join('.')
  const policyText = starterPolicy(admin.login, { file: config.policy_file, domain })
  return { file, config: live, configText, policyText, admin, status }
}

/** The keys of a new configuration: what the command line says, and what it leaves open. */
function draftOf(file: string, flags: Readonly<Record<string, string | undefined>>): object {
  const said = layered(configKeys, { flags }).value as { state_directory?: string }
  return {
    state_directory: defaultState,
    ...(said.state_directory === undefined && { runtime_directory: '/run/meshidp' }),
    policy_file: join(dirname(file), 'policy.hujson'),
    ...said,
  }
}

async function asAdmin(
  { mesh }: Config,
  who: { status: StatusAnswer; named: string | undefined; ssh: string | undefined },
): Promise<Admin> {
  const api = openLocalApi({ socket: mesh.socket })
  try {
    return await adminOf({ api, self: who.status.Self, named: who.named, ssh: who.ssh, now: systemClock() })
  } finally {
    await api.close()
  }
}
