/** Which local user owns a TCP connection's other end, from Linux's /proc: what tells tailscaled from any other local process (S3). */
import { readFile } from 'node:fs/promises'
import { isIPv4 } from 'node:net'
import { endianness } from 'node:os'

/** A TCP connection on this machine, from the side of the process that opened it. */
export type Ends = {
  address: string
  port: number
  peerAddress: string
  /** Absent: any connection from that port counts. */
  peerPort?: number | undefined
}

/** Users, by their numbers. */
export type Owners = {
  /** Of all sockets that are this end of this connection. */
  here: number[]
  /** Of all sockets with the same address and port that lead elsewhere: for two destinations the kernel may give one port. */
  elsewhere: number[]
}

/** How the kernel writes the states of a connection that is in use, and of a socket that waits for connections. */
const [established, listening] = ['01', '0A']

/**
 * Who owns that end, by a table (the text of /proc/net/tcp or tcp6). Only sockets with an inode: one whose process closed it is shown as root's (user 0),
 * which would be a way in. Here only established ones count; elsewhere all but those that listen, for such a one leads nowhere.
 */
export function ownersIn(table: string, { address, port, peerAddress, peerPort }: Ends): Owners {
  const hexPort = (value: number) => value.toString(16).toUpperCase().padStart(4, '0')
  const forms = (ip: string) => (isIPv4(ip) ? [hexOf(ip), hexOf(`::ffff:${ip}`)] : [hexOf(ip)])
  const near = forms(address).map((hex) => `${hex}:${hexPort(port)}`)
  const far = forms(peerAddress).map((hex) => `${hex}:${peerPort === undefined ? '' : hexPort(peerPort)}`)
  const owners: Owners = { here: [], elsewhere: [] }
  for (const from of near)
    for (const line of linesWith(table, ` ${from} `)) {
      const [, local, to = '', state = '', , , , user, , inode] = line.trim().split(/\s+/)
      if (local !== from || inode === '0') continue
      const isHere = far.some((end) => to.startsWith(end))
      if (isHere ? state !== established : state === listening) continue
      owners[isHere ? 'here' : 'elsewhere'].push(Number(user))
    }
  return owners
}

/** The lines that hold `text`; a table may have tens of thousands of others, of connections that strangers have just closed. */
function linesWith(table: string, text: string): string[] {
  const lines: string[] = []
  for (let at = table.indexOf(text); at >= 0; ) {
    const end = table.indexOf('\n', at)
    lines.push(table.slice(table.lastIndexOf('\n', at) + 1, end < 0 ? undefined : end))
    at = end < 0 ? -1 : table.indexOf(text, end)
  }
  return lines
}

const readTables = sharedReading(() =>
  Promise.all([readFile('/proc/self/net/tcp', 'utf8'), readFile('/proc/self/net/tcp6', 'utf8').catch(() => '')]),
)

/** The same on this machine now. Throws where there is no such table (not Linux). */
export async function owners(ends: Ends): Promise<Owners> {
  const found = (await readTables()).map((table) => ownersIn(table, ends))
  return { here: found.flatMap(({ here }) => here), elsewhere: found.flatMap(({ elsewhere }) => elsewhere) }
}

/**
 * Every answer was read after it was asked for, and yet there is never more than one reading: who asks during one shares the next. For a table is as long as
 * this machine has connections, and who opens many shall not make each request read all of them.
 */
export function sharedReading<T>(read: () => Promise<T>): () => Promise<T> {
  let reading: Promise<T> | null = null
  let next: Promise<T> | null = null
  const begin = (): Promise<T> => {
    const one = read().finally(() => {
      if (reading === one) reading = null
    })
    reading = one
    return one
  }
  return () => {
    if (!reading) return begin()
    next ??= reading
      .catch(() => {})
      .then(() => {
        next = null
        return begin()
      })
    return next
  }
}

/** The user that everybody is whom a user namespace does not map: never equal to anything, not even to itself. */
export const overflowUser = async () => Number(await readFile('/proc/sys/kernel/overflowuid', 'utf8').catch(() => '65534'))

/** An address as the kernel prints it: words of four bytes, each in the machine's byte order. */
function hexOf(address: string): string {
  const bytes = Buffer.from(isIPv4(address) ? address.split('.').map(Number) : bytesOfIPv6(address))
  if (endianness() === 'LE') bytes.swap32()
  return bytes.toString('hex').toUpperCase()
}

/** Of a canonical address without zone; the last 32 bits may be written as IPv4. */
function bytesOfIPv6(address: string): number[] {
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_all, ...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number)
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
  })
  const [head = '', tail] = plain.split('::')
  const groups = (text: string | undefined) => (text ? text.split(':') : [])
  const zeros = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length
  return [...groups(head), ...Array<string>(zeros).fill('0'), ...groups(tail)].flatMap((group) => {
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 255]
  })
}
