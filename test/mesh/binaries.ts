/** The programs of the mesh lab, built once from Go modules: the control plane in test/mesh/lab, and tailscaled with its command line. */
import { hash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const sources = fileURLToPath(new URL('lab', import.meta.url))

/** What tailscaled does without here, so that it is built in half the time. */
const omitted =
  `aws bird captiveportal capture clientupdate cloud completion conn25 dbus debugportmapper desktop_sessions doctor drive flashappliance
  identityfederation kube linkspeed networkmanager oauthkey portmapper posture qrcodes relayserver remoteconfig resolved routecheck sdnotify ssh synology
  syslog syspolicy systray taildrop tap tpm wakeonlan webbrowser webclient`.split(/\s+/)

/** With the command line in the same file, which then answers to the name "tailscale", too. */
export const tags = ['ts_include_cli', ...omitted.map((feature) => `ts_omit_${feature}`)].join(',')

/** The folder of what these sources and tags make; it is there as a whole, or not at all. */
export function binaries(): string {
  const texts = readdirSync(sources)
    .toSorted()
    .map((file) => readFileSync(join(sources, file), 'utf8'))
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  return join(cache, 'meshidp', `mesh-lab-${hash('sha256', [tags, ...texts].join('\0')).slice(0, 16)}`)
}

export const areBuilt = () => existsSync(binaries())
