/** What the LocalAPI of the development mesh answers: in the shape of tailscaled's real answers. */
import type { Machine, MeshDocument } from './dev_mesh_document.ts'

/** The user that owns all tagged nodes in tailscaled's answers. */
const taggedDevices = { ID: 2147455555, LoginName: 'tagged-devices', DisplayName: 'Tagged Devices' }
const never = '0001-01-01T00:00:00Z'

/** Text → a JSON integer of any size. (TypeScript's library does not know `JSON.rawJSON` yet.) */
const integer = (text: string): unknown => (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text)

/** `whois?addr=` "IP", "IP:port", "[IP]:port" → its body; null is 404. */
export function whoisBody(mesh: MeshDocument, addr: string): string | null {
  const address = addr.replace(/^\[?::ffff:/, '').replace(/\]?(:\d+)?$/, '')
  const self = mesh.machines[mesh.self]
  const name =
    address === self?.address ? mesh.browser : Object.keys(mesh.machines).find((name) => mesh.machines[name]?.address === address)
  const machine = name === undefined ? undefined : mesh.machines[name]
  if (name === undefined || !machine || machine.removed) return null

  return JSON.stringify({
    Node: {
      ID: Object.keys(mesh.machines).indexOf(name) + 1,
      StableID: machine.id ?? name,
      Name: `${name}.${mesh.suffix}.`,
      User: ownerOf(mesh, machine).ID,
      ...(machine.shared && { Sharer: 4711 }),
      ...(machine.key_expiry && { KeyExpiry: machine.key_expiry }),
      ...(machine.expired && { Expired: true }),
      ...(machine.unsigned && { UnsignedPeerAPIOnly: true }),
      Addresses: [`${machine.address}/32`],
      Hostinfo: { OS: machine.os ?? '', ...(machine.os_version && { OSVersion: machine.os_version }), Hostname: name },
      ...(machine.attributes && { CapMap: Object.fromEntries(machine.attributes.map((attribute) => [attribute, null])) }),
      ...(machine.tags?.length && { Tags: machine.tags }),
      Online: true,
      MachineAuthorized: true,
      ComputedName: name,
    },
    UserProfile: ownerOf(mesh, machine),
    CapMap: machine.capabilities ?? null,
  })
}

/** `status?peers=` → its body. */
export function statusBody(mesh: MeshDocument, peers: boolean): string {
  const { [mesh.self]: self, ...others } = mesh.machines
  const shown = Object.entries(others).filter(([, machine]) => !machine.removed)
  return JSON.stringify({
    Version: 'development-mesh',
    TUN: true,
    BackendState: mesh.state,
    HaveNodeKey: true,
    AuthURL: '',
    TailscaleIPs: self ? [self.address] : null,
    Self: self ? peerOf(mesh, mesh.self, self) : null,
    Health: [],
    MagicDNSSuffix: mesh.suffix,
    CurrentTailnet: { Name: mesh.tailnet, MagicDNSSuffix: mesh.suffix, MagicDNSEnabled: true },
    CertDomains: null,
    Peer: peers ? Object.fromEntries(shown.map(([name, machine]) => [`nodekey:${name}`, peerOf(mesh, name, machine)])) : null,
  })
}

const peerOf = (mesh: MeshDocument, name: string, machine: Machine) => ({
  ID: machine.id ?? name,
  HostName: name,
  DNSName: `${name}.${mesh.suffix}.`,
  OS: machine.os ?? '',
  UserID: ownerOf(mesh, machine).ID,
  TailscaleIPs: [machine.address],
  ...(machine.tags?.length && { Tags: machine.tags }),
  ...(machine.expired && { Expired: true }),
  KeyExpiry: machine.key_expiry ?? never,
  Online: true,
  InNetworkMap: true,
})

function ownerOf(mesh: MeshDocument, { owner }: Machine) {
  const person = owner === undefined ? undefined : mesh.people[owner]
  if (!person) return taggedDevices
  return {
    ID: integer(person.id),
    LoginName: owner,
    DisplayName: person.name ?? '',
    ...(person.picture && { ProfilePicURL: person.picture }),
    ...(person.groups && { Groups: person.groups }),
  }
}
