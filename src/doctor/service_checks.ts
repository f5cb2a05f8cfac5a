/** Checks of the daemon as a service: its certificate, its port, and whether it does its work. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { certificate } from './certificate_check.ts'
import { type Check, type Finding, fault, type Subject, skipped, warning, well } from './check.ts'

const fewestFiles = 4096

/** Whether this user can listen there now. Resolves with the error's code, or null. */
const tried = (host: string, port: number) =>
  new Promise<string | null>((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)))
  })

const portFindings = new Map<string, (place: string) => Finding>([
  ['EADDRINUSE', (place) => fault(`Another program listens on ${place}.`, 'Stop that one, or set "listen.port".')],
  [
    'EACCES',
    (place) => fault(`This user may not listen on ${place}.`, 'Choose a port above 1023, or give the service CAP_NET_BIND_SERVICE.'),
  ],
])

/** Of an address that this machine does not have, now or (where IPv6 is switched off) at all. */
const notHere = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT'])

/** `away`: addresses of this node that this machine does not have. */
function absent(away: readonly string[], isAll: boolean, isRunning: boolean): Finding {
  const found = `${away.join(', ')}: not an address of this machine now.`
  if (!isRunning) return warning(found, 'See whether the mesh is up; the daemon waits for it.')
  if (!isAll) return warning(found, 'The daemon listens on the others. Where IPv6 is switched off here, that is why.')
  return fault(
    found,
    'tailscaled says that this node has it, so run meshidp where tailscaled runs: in the same container or network namespace.',
  )
}

async function port({ config: { listen, mesh, development }, mesh: status, daemon }: Subject): Promise<Finding> {
  if (daemon instanceof Error) return skipped('A daemon may run, but does not answer this user.')
  if (daemon)
    return daemon.listening.length > 0
      ? well(`${daemon.listening.join(', ')}.`)
      : fault(daemon.unheard ?? 'The daemon listens nowhere yet.', 'See its log.')
  if (mesh.identity === 'serve') return well(`The unix socket ${listen.socket}.`)
  const meshAddresses = status instanceof Error ? [] : (status.Self?.TailscaleIPs ?? [])
  const isLoopback = development || mesh.identity === 'userspace' || (!(status instanceof Error) && status.TUN === false)
  const hosts = isLoopback ? [listen.host ?? '127.0.0.1'] : meshAddresses
  if (hosts.length === 0) return skipped('The mesh does not say which addresses this node has.')
  const place = (host: string) => `${host.includes(':') ? `[${host}]` : host}:${listen.port}`
  const away: string[] = []
  for (const host of hosts) {
    const code = await tried(host, listen.port)
    if (notHere.has(code ?? '')) away.push(place(host))
    else if (code !== null) return portFindings.get(code)?.(place(host)) ?? fault(`${place(host)}: ${code}.`, 'Set "listen.port".')
  }
  if (away.length > 0) return absent(away, away.length === hosts.length, !(status instanceof Error) && status.BackendState === 'Running')
  return well(`${hosts.map(place).join(', ')} can be listened on.`)
}

function trustBundles({ config, daemon }: Subject): Finding {
  if (Object.keys(config.spiffe.trust_domains).length === 0) return skipped('None is configured.')
  if (daemon === null || daemon instanceof Error) return skipped('They are known to a daemon that runs and answers.')
  const wrong = daemon.trust_bundles.filter(({ problem }) => problem !== null)
  if (wrong.length === 0) return well(`${daemon.trust_bundles.map(({ trust_domain }) => trust_domain).join(', ')}.`)
  const found = wrong.map(({ trust_domain, source, problem }) => `${trust_domain}, ${source}: ${problem}.`).join(' ')
  const never = wrong.some(({ read_at }) => read_at === null)
  return (never ? fault : warning)(found, 'See to the file or the endpoint that "spiffe.trust_domains" names; the last good bundle stays.')
}

export const serviceChecks: readonly Check[] = [
  {
    id: 'certificate',
    title: 'the certificate',
    why: 'Off this computer meshidp speaks https only; clients refuse a certificate that has ended or is for another name.',
    run: certificate,
  },
  { id: 'port', title: 'where it listens', why: 'Two programs cannot listen on one port.', run: port },
  {
    id: 'daemon',
    title: 'the daemon',
    why: 'Without it nobody signs in, and every refresh fails.',
    run({ daemon }) {
      if (daemon === null) return skipped('None is running on this state.')
      if (daemon instanceof Error) return warning(daemon.message, 'Run the doctor as the user that the daemon runs as.')
      const { troubles } = daemon
      return troubles.length === 0 ? well('It answers.') : fault(troubles.join('\n'), 'Do what that says; until then it is not ready.')
    },
  },
  {
    id: 'trust_bundles',
    title: 'the keys of SPIFFE trust domains',
    why: 'Workloads are known by them. An old bundle refuses those whose keys are new, and believes keys that were taken back.',
    run: trustBundles,
  },
  {
    id: 'open_files',
    title: 'files that may be open',
    why: 'Each connection is one. Where no more may be opened, new connections wait.',
    run() {
      const [, soft = 'unlimited'] = /^Max open files +(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
      return soft === 'unlimited' || Number(soft) >= fewestFiles
        ? well(`${soft} for this user.`)
        : warning(`${soft} for this user.`, 'Set LimitNOFILE=65536 for the service.')
    },
  },
  {
    id: 'sign_in',
    title: 'a whole sign-in against itself',
    why: 'It goes through endpoints, keys and store as that of a person does, and leaves nothing behind.',
    async run({ signIn }) {
      try {
        const began = performance.now()
        const steps = await signIn()
        if (!steps) return skipped('There is no state yet.')
        return well(`${steps.join(', ')}, in ${Math.round(performance.now() - began)} ms.`)
      } catch (error) {
        return fault((error as Error).message, 'See the log of the daemon.')
      }
    },
  },
]
