/** One spelling for each IP address, so that nobody is somebody else by writing theirs in another way. */
import { isIPv6 } from 'node:net'

/** IPv4 as it is, also where it is mapped into IPv6 (RFC 4291 §2.5.5.2); IPv6 as RFC 5952 writes it. Text that is no address stays as it is. */
export function canonicalAddress(text: string): string {
  const [bare = ''] = text.split('%')
  if (!isIPv6(bare)) return text
  const written = new URL(`http://[${bare}]/`).hostname.slice(1, -1)
  const [, high, low] = /^::ffff:([\da-f]+):([\da-f]+)$/.exec(written) ?? []
  if (high === undefined || low === undefined) return written
  const bytes = [high, low].flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 255])
  return bytes.join('.')
}
