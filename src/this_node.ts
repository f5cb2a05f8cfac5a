/** What the configuration leaves to this node: which issuer it is, by its name in the mesh. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Config, ConfigError, type LiveConfig, tailscaleOn } from './config.ts'
import { nameOf, type StatusAnswer } from './identity/answers.ts'
import { LocalApiFault, openLocalApi } from './identity/local_api.ts'
import type { Store } from './store/index.ts'
import { setMeta } from './store/meta.ts'

/** How long a tailscaled that is on its way is waited for, and how often it is asked. Milliseconds. */
const patience = { all: 15_000, every: 250 }
const onItsWay = new Set(['NoState', 'Starting'])

/** Behind "tailscale serve" the mesh sees its port, not ours. */
export const issuerOf = (name: string, { listen: { port }, mesh: { identity } }: Config): string =>
  `https://${name}${identity === 'serve' || port === 443 ? '' : `:${port}`}`

/**
 * The configuration with its issuer: as written; else as it was at the first start, for it is part of every token; else by the name of this node now. Throws
 * ConfigError with what to do where nobody says that name.
 */
export async function withIssuer(config: Config, { meta, commit }: Pick<Store, 'meta' | 'commit'>): Promise<LiveConfig> {
  if (config.issuer !== undefined) return { ...config, issuer: config.issuer }
  const before = await meta.find('issuer')
  if (before !== undefined) return { ...config, issuer: before }
  const issuer = issuerOf(nameOf((await statusOfNode(config)).Self), config)
  await commit([setMeta('issuer', issuer)])
  return { ...config, issuer }
}

/** What tailscaled says of this node, once it is in the mesh and has a name. Throws ConfigError with what to do where it is not. */
export async function statusOfNode({ mesh: { socket } }: Config): Promise<StatusAnswer> {
  const api = openLocalApi({ socket })
  const status = () =>
    api.status({ peers: false }).catch((error: Error) => {
      const fault = error.cause instanceof LocalApiFault ? error.cause : new LocalApiFault(error.message, '', error)
      throw nameless(`${fault.message}.`, `${fault.remedy}.${others(socket)}`, error)
    })
  try {
    for (const end = performance.now() + patience.all; ; await sleep(patience.every)) {
      const found = await status()
      const { BackendState, Self } = found
      if (BackendState === 'Running' && nameOf(Self)) return found
      if (!onItsWay.has(BackendState) || performance.now() > end) throw nameless(...whyNameless(BackendState, tailscaleOn(socket)))
    }
  } finally {
    await api.close()
  }
}

function whyNameless(state: string, tailscale: string): [why: string, remedy: string] {
  if (state === 'Running')
    return [
      'This node has no name in the mesh.',
      'Switch MagicDNS on for the tailnet: in the admin console under DNS, or in headscale\'s "dns".',
    ]
  const approved = state === 'NeedsMachineAuth'
  return [`tailscaled says "${state}".`, approved ? 'Let an admin of the tailnet approve this machine.' : `Run: ${tailscale} up`]
}

const nameless = (why: string, remedy: string, cause?: unknown) =>
  new ConfigError(
    `Nobody says the name of this node, which the issuer is made of. ${why} ${remedy}\nThen start again; or write "issuer" into the configuration.`,
    { cause },
  )

/** Sockets of other tailscaleds that run here, as a hint: which of them is to be believed only an admin can say. */
function others(socket: string): string {
  let table = ''
  try {
    table = readFileSync('/proc/net/unix', 'utf8')
  } catch {
    // Not on Linux: then there is no hint.
  }
  const found = [...table.matchAll(/ (\/\S*tailscaled\.sock(?:et)?)$/gm)].flatMap(([, path = '']) => (path === socket ? [] : [path]))
  const [first, ...more] = new Set(found)
  return first === undefined ? '' : ` One is at ${[first, ...more].join(', and one at ')}.`
}
