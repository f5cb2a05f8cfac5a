/** Checks of the mesh, as this user sees it through tailscaled's socket. */
import { readFileSync, statSync } from 'node:fs'
import { complaintsOf, hasExpired, nameOf, type Peer, type StatusAnswer, seconds } from '../identity/answers.ts'
import { LocalApiFault } from '../identity/local_api.ts'
import { overflowUser } from '../identity/socket_owner.ts'
import { capabilityOf } from '../policy/index.ts'
import { type Check, type Finding, fault, type Subject, skipped, warning, well } from './check.ts'

const aDay = 86_400

/** Runs `look` where tailscaled answers that it is running; else there is nothing to look at. */
const running =
  (look: (status: StatusAnswer & { Self: Peer }, subject: Subject) => Finding | Promise<Finding>): Check['run'] =>
  (subject) => {
    const { mesh } = subject
    if (mesh instanceof Error || mesh.BackendState !== 'Running') return skipped('The mesh is not running.')
    const { Self } = mesh
    return Self ? look({ ...mesh, Self }, subject) : fault('tailscaled does not say which node this is.', 'Restart tailscaled.')
  }

/** What is said of the socket, without the advice for strangers. */
const saidOf = (error: Error): string => (error.cause instanceof Error ? error.cause.message : error.message)

/** Which people and nodes whois is asked for, to see what the control plane shows. */
const mostAsked = 5

async function answersOfPeers(status: StatusAnswer, { api }: Subject) {
  const { Peer } = await api.status({ peers: true })
  const people = Object.values(Peer ?? {}).filter(({ Tags, UserID }) => !Tags?.length && UserID)
  const addresses = [...people, ...(status.Self ? [status.Self] : [])].flatMap(({ TailscaleIPs }) => TailscaleIPs?.slice(0, 1) ?? [])
  const answers = await Promise.all(addresses.slice(0, mostAsked).map((address) => api.whois(address)))
  return answers.filter((answer) => answer !== null && answer !== 'malformed')
}

export const meshChecks: readonly Check[] = [
  {
    id: 'mesh_socket',
    title: "tailscaled's socket",
    why: 'meshidp asks it for each caller who they are. Without it every request that needs an identity is 503.',
    run: ({ mesh, config }) =>
      mesh instanceof Error
        ? fault(`${saidOf(mesh)}.`, mesh.cause instanceof LocalApiFault ? `${mesh.cause.remedy}.` : 'Restart tailscaled.')
        : well(`${config.mesh.socket} answers.`),
  },
  {
    id: 'mesh_running',
    title: 'this node in the mesh',
    why: 'Only while tailscaled says "Running" does its word count; otherwise every sign-in is 503.',
    run({ mesh }) {
      if (mesh instanceof Error) return skipped('tailscaled was not reached.')
      const { BackendState, Self } = mesh
      return BackendState === 'Running'
        ? well(`Running, as ${calledOf(Self)}.`)
        : fault(`tailscaled says "${BackendState}".`, 'Run "tailscale up" here. "NeedsMachineAuth" waits for an admin of the tailnet.')
    },
  },
  {
    id: 'mesh_health',
    title: 'what tailscaled complains of',
    why: 'A control server out of reach lets the mesh go on, but nobody new comes in, and nobody who was removed goes.',
    run: running((status) => {
      const complaints = complaintsOf(status)
      return complaints.length > 0 ? warning(complaints.join(' '), 'See "tailscale status" on this node.') : well('Nothing.')
    }),
  },
  {
    id: 'node_key',
    title: "this node's key",
    why: 'When it expires, meshidp knows nobody any more until somebody signs the node in again.',
    run: running(({ Self }, { now }) => {
      const expiry = seconds(Self.KeyExpiry)
      const remedy = 'Run "tailscale up --force-reauth", and switch key expiry off for this node, or tag it, in the admin console.'
      if (hasExpired(Self, now())) return fault('It has expired.', remedy)
      if (expiry === null) return well('It does not expire.')
      const days = Math.floor((expiry - now()) / aDay)
      const found = `It expires in ${days} days.`
      return days < 30 ? warning(found, remedy) : well(found)
    }),
  },
  {
    id: 'identity_strategy',
    title: 'where identity comes from',
    why: 'Each strategy believes other things. The wrong one lets nobody in, or looks in the wrong place.',
    run: running(({ TUN }, { config: { mesh, development } }) => {
      if (development) return well('The development mesh: whoever calls from 127.0.0.x is whom that address stands for.')
      const fits = TUN === false ? 'userspace' : 'tun'
      if (mesh.identity === 'auto') return well(`"auto", which is "${fits}" here.`)
      if (mesh.identity === 'serve' || mesh.identity === fits) return well(`"${mesh.identity}".`)
      return fault(
        `"${mesh.identity}" is configured, but tailscaled runs ${TUN === false ? 'without' : 'with'} a TUN device.`,
        `Set "mesh.identity" to "${fits}" or "auto"; or to "serve" behind tailscale serve.`,
      )
    }),
  },
  {
    id: 'user_namespace',
    title: "who owns tailscaled's socket",
    why: 'In userspace mode a connection counts only if the owner of this socket opened it. In a user namespace everybody foreign looks like the same user, so nobody is believed.',
    async run({ config, mesh }) {
      if (mesh instanceof Error) return skipped('tailscaled was not reached.')
      const owner = statSync(config.mesh.socket, { throwIfNoEntry: false })?.uid
      const isAsked = config.mesh.identity === 'userspace' || (config.mesh.identity === 'auto' && mesh.TUN === false)
      if (!isAsked || owner !== (await overflowUser())) return well(`User ${owner}.`)
      return isEverybodyMapped()
        ? fault(`User ${owner}, as whom nobody is believed: in a user namespace that is everybody.`, 'Run tailscaled as another user.')
        : fault(
            `It seems to belong to user ${owner}, which is everybody whom a user namespace does not map.`,
            'Run meshidp without PrivateUsers= (systemd), or in the user namespace of tailscaled.',
          )
    },
  },
  {
    id: 'whois',
    title: 'whois, asked for this very node',
    why: 'It is the one question on which every decision rests.',
    run: running(async ({ Self }, { api, config }) => {
      if (config.development) return skipped('On the development mesh this computer is whoever was chosen.')
      const [address] = Self.TailscaleIPs ?? []
      if (address === undefined) return fault('This node has no mesh address.', 'Run "tailscale up" here.')
      const answer = await api.whois(address)
      if (answer !== null && answer !== 'malformed' && answer.Node.StableID === Self.ID) return well(`${address} is ${calledOf(Self)}.`)
      return fault(`For ${address} it does not answer with this node.`, 'Restart tailscaled; if that does not help, update it.')
    }),
  },
  {
    id: 'groups',
    title: 'groups from the control plane',
    why: 'Groups that only the tailnet policy defines count here only where whois shows them.',
    run: running(async (status, subject) => {
      const answers = await answersOfPeers(status, subject)
      const shown = answers.some(({ UserProfile: { Groups } }) => Groups?.length)
      return well(shown ? 'whois shows groups.' : 'whois shows none; groups of the policy file count as they stand there.')
    }),
  },
  {
    id: 'capability',
    title: 'grants from the tailnet policy',
    why: 'Where the policy file takes grants from there ("mesh_grants"), the capability must arrive here, or they give nothing.',
    run: running(async (status, subject) => {
      const name = subject.policy instanceof Error ? null : capabilityOf(subject.policy)
      if (name === null) return skipped('The policy file takes none.')
      const answers = await answersOfPeers(status, subject)
      const giving = answers.filter(({ CapMap }) => CapMap !== null && typeof CapMap === 'object' && name in CapMap)
      return giving.length > 0
        ? well(`${name} arrives.`)
        : warning(
            `None of the ${answers.length} machines that were asked for has ${name}.`,
            `Give it in the tailnet policy: {"src": […], "dst": [this node], "app": {"${name}": [{…}]}}.`,
          )
    }),
  },
  {
    id: 'issuer_name',
    title: "the issuer's name",
    why: 'Clients find this server by it, and the certificate of the mesh is for the name of this node.',
    run: running(({ Self }, { config: { issuer, development } }) => {
      if (issuer === undefined) return skipped('This node has no name.')
      const { hostname } = new URL(issuer)
      if (development) return well(`${hostname}, on the development mesh.`)
      const name = calledOf(Self)
      return hostname === name
        ? well(`${hostname}, as this node.`)
        : warning(
            `${hostname}, but this node is ${name}.`,
            'Set "issuer" to the name of this node before anybody has tokens, or see that its name and certificate lead here.',
          )
    }),
  },
]

/** Whether this process is in no user namespace, or in one that changes nothing. */
const isEverybodyMapped = () => /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'))

const calledOf = (self: Peer | null | undefined): string => nameOf(self) || 'a node without a name'
