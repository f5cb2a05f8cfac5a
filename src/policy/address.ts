/** IP addresses and prefixes of the mesh, as text that can be looked up. */
import { isIP } from 'node:net'

/** A prefix: how many bits count, of which family. */
export type Prefix = { family: 4 | 6; bits: number }

/**
 * The network of `bits` bits that an address is in, as one canonical text ("4/10/64400000"): equal texts, same network.
 * Null for what is no address, an address with a zone or one of the other family.
 */
export function networkOf(address: string, { family, bits }: Prefix): string | null {
  const bytes = bytesOf(address)
  if (!bytes || bytes.length !== (family === 4 ? 4 : 16)) return null
  const masked = bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - i * 8))))
  return `${family}/${bits}/${Buffer.from(masked).toString('hex')}`
}

/** "100.64.0.0/10" or a single address. Null for anything else, and for a prefix with bits set beyond its length. */
export function parsePrefix(text: string): (Prefix & { network: string }) | null {
  const [address = '', length, ...rest] = text.split('/')
  const family = isIP(address)
  if (rest.length > 0 || (family !== 4 && family !== 6)) return null
  const most = family === 4 ? 32 : 128
  if (length !== undefined && !/^(0|[1-9]\d{0,2})$/.test(length)) return null
  const bits = length === undefined ? most : Number(length)
  if (bits > most) return null
  const network = networkOf(address, { family, bits })
  const whole = networkOf(address, { family, bits: most })
  if (network === null || network.split('/')[2] !== whole?.split('/')[2]) return null
  return { family, bits, network }
}

function bytesOf(address: string): number[] | null {
  const family = isIP(address)
  if (family === 4) return address.split('.').map(Number)
  if (family !== 6 || address.includes('%')) return null
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  const hex = (high: string | undefined, low: string | undefined) => ((Number(high) << 8) | Number(low)).toString(16)
  const plain = dotted ? `${dotted[1]}${hex(dotted[2], dotted[3])}:${hex(dotted[4], dotted[5])}` : address
  const [head = [], tail = []] = plain.split('::').map((half) => (half === '' ? [] : half.split(':')))
  const words = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail]
  return words.flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 0xff])
}
