/** Addresses as sockets and headers write them, and the ranges that belong to the mesh. */
import { BlockList, isIP, SocketAddress } from 'node:net'

/** Tailscale's carrier-grade NAT range and its ULA prefix: nobody else on the mesh may have these. */
export const meshRanges: readonly string[] = ['100.64.0.0/10', 'fd7a:115c:a1e0::/48']

/**
 * Left out of it by Tailscale, for virtual machines of ChromeOS: nodes have no such addresses, and tailscaled's firewall lets them in from other interfaces,
 * so that a host on the LAN may come with one.
 */
export const exceptedRanges: readonly string[] = ['100.115.92.0/23']

/** "::ffff:100.64.0.5" → "100.64.0.5", as a `[::]` listener sees IPv4 peers (RFC 4291 §2.5.5.2); all else as it came. */
export const unmapped = (address: string) => (address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address)

/** Only from a socket, so the text is the kernel's: canonical. */
export const isLoopback = (address: string) => address === '::1' || address.startsWith('127.')

/** Text that somebody sent → the one canonical spelling of that address, unmapped; null where it is not exactly one bare address. */
export function parseAddress(text: string): string | null {
  const family = text.includes('%') ? 0 : isIP(text)
  if (family === 4) return text
  return family === 6 ? unmapped(new SocketAddress({ address: text, family: 'ipv6' }).address) : null
}

/** Whether an address is in one of `ranges` (CIDR). Throws on a range that is none. */
export function inRanges(ranges: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits = ''] = range.split('/')
    if (!isIP(address) || !/^\d{1,3}$/.test(bits)) throw new Error(`"${range}" is not a range of addresses, such as 100.64.0.0/10.`)
    list.addSubnet(address, Number(bits), isIP(address) === 6 ? 'ipv6' : 'ipv4')
  }
  return (address) => {
    const family = isIP(address)
    return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
}
