/** Addresses that are not for strangers' URLs to name: RFC 6890 and its registries, and the mesh. */
import { BlockList, isIP } from 'node:net'

const ipv4 = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // carrier-grade NAT: the mesh, and 100.100.100.100
  '127.0.0.0/8', // loopback
  '169.254.0.0/16', // link-local, with the clouds' metadata services
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, and broadcast
]

/**
 * Public addresses are those of 2000::/3, so all the rest is refused at once: ::, loopback, IPv4-mapped (::ffff:0:0/96), NAT64 (64:ff9b::/96),
 * unique local (fc00::/7, with the mesh's fd7a:115c:a1e0::/48), link-local, multicast.
 */
const ipv6 = [
  '::/3',
  '4000::/2',
  '8000::/1',
  '2001::/23', // protocol assignments: Teredo, ORCHID
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4: holds an IPv4 address
  '3fff::/20', // documentation
]

/** A list for each family: Node compares IPv4 addresses with IPv6 ranges as mapped ones, and ::/3 would hold them all. */
function blockList(family: 'ipv4' | 'ipv6', ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [network = '', bits] = range.split('/')
    list.addSubnet(network, Number(bits), family)
  }
  return list
}

const lists = new Map([
  [4, { family: 'ipv4', list: blockList('ipv4', ipv4) }],
  [6, { family: 'ipv6', list: blockList('ipv6', ipv6) }],
] as const)

/** Whether nobody may be sent to this address. Text that is no IP address counts as such; brackets are not part of one. */
export function isSpecialUse(address: string): boolean {
  const found = lists.get(isIP(address) as 4 | 6)
  return found === undefined || address.includes('%') || found.list.check(address, found.family)
}
