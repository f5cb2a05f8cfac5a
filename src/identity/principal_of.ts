/** From what whois says to a principal, or to the reason why there is none. The one place that decides who counts as somebody. */
import type { Caller, Capabilities, MeshNode, NoIdentityReason } from '../oauth/principal.ts'
import { hasExpired, seconds, type WhoisAnswer } from './answers.ts'
import { nobody } from './nobody.ts'

export type Circumstances = {
  /** StableID of the node that meshidp runs on. */
  self_id: string
  /** Whether that node counts as its owner: only for a person's own machine (S5). */
  allowSelf: boolean
  /** Seconds. */
  now: number
}

type Refusal = (answer: WhoisAnswer, circumstances: Circumstances) => boolean

/** The user that stands for all tagged nodes: nobody. */
const placeholder = { id: '2147455555', login: 'tagged-devices' }

/** In this order; the first that holds is the reason. */
const refusals: readonly (readonly [NoIdentityReason, Refusal])[] = [
  ['malformed', ({ Node, UserProfile }) => Node.User !== UserProfile.ID],
  ['malformed', ({ Node }) => isTagged(Node) && !Node.Tags?.every((tag) => /^tag:./.test(tag))],
  [
    'malformed',
    ({ Node, UserProfile }) => !isTagged(Node) && (UserProfile.ID === placeholder.id || UserProfile.LoginName === placeholder.login),
  ],
  ['shared', ({ Node }) => Node.Sharer != null && String(Node.Sharer) !== '0'],
  ['self', ({ Node }, { self_id, allowSelf }) => Node.StableID === self_id && !allowSelf],
  ['unsigned', ({ Node }) => Node.UnsignedPeerAPIOnly === true],
  ['expired', ({ Node }, { now }) => hasExpired(Node, now)],
]

/**
 * Who the mesh says is at `address` (bare, unmapped).
 * A tagged node is a workload, and never a user: its owner is a placeholder.
 */
export function principalOf(answer: WhoisAnswer, address: string, circumstances: Circumstances): Caller {
  const refused = refusals.find(([, holds]) => holds(answer, circumstances))
  if (refused) return nobody(refused[0], address)

  const { Node, UserProfile } = answer
  const capabilities = capabilitiesOf(answer.CapMap)
  if (isTagged(Node)) return { principal: { kind: 'node', tags: Node.Tags ?? [], capabilities, node: meshNode(Node), address } }
  return {
    principal: {
      kind: 'user',
      user_id: UserProfile.ID,
      login: UserProfile.LoginName,
      display_name: UserProfile.DisplayName || null,
      picture: UserProfile.ProfilePicURL || null,
      groups: UserProfile.Groups ?? null,
      capabilities,
      node: meshNode(Node),
      address,
    },
  }
}

const isTagged = (node: WhoisAnswer['Node']) => (node.Tags?.length ?? 0) > 0

const meshNode = (node: WhoisAnswer['Node']): MeshNode => ({
  id: node.StableID,
  name: (node.Name ?? '').replace(/\.$/, ''),
  addresses: (node.Addresses ?? []).map((prefix) => prefix.replace(/\/\d+$/, '')),
  key_expiry: seconds(node.KeyExpiry),
  os: node.Hostinfo?.OS || null,
  os_version: node.Hostinfo?.OSVersion || null,
  ...(node.CapMap && { attributes: Object.keys(node.CapMap).sort() }),
})

const none: Capabilities = new Map()

/** `CapMap` may be null, and so may a value of it. One that has another shape counts for nothing as a whole, as in tailscaled. */
function capabilitiesOf(capMap: unknown): Capabilities {
  if (capMap == null || typeof capMap !== 'object' || Array.isArray(capMap)) return none
  const entries = Object.entries(capMap).map(([name, values]) => [name, values ?? []] as const)
  return entries.every(([, values]) => Array.isArray(values)) ? new Map(entries) : none
}
