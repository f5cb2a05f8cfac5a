/** The headers of a tar archive (POSIX.1 ustar), with what GNU tar added for names that are longer and files that are larger than those can say. */
import { broken } from './refused.ts'

/** Bytes; all that is in an archive begins at a multiple of it. */
export const block = 512
/** What eleven octal digits can say. */
const mostOctal = 8 ** 11 - 1
const sumOf = (header: Buffer) => header.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 32 : byte), 0)
const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`

/** What a header can say of a name. A longer one stands before it, as the content of an entry of this type and name: so GNU tar does it, and all others read it. */
const longestName = 100
const longName = { type: 'L', name: '././@LongLink' }

/** The header of a file (0600) of nobody's. `at`: seconds. */
function headerOf(name: string, bytes: number, at: number, type = '0'): Buffer {
  const header = Buffer.alloc(block)
  header.write(name, 0, longestName)
  header.write(octal(0o600, 7) + octal(0, 7) + octal(0, 7), 100)
  if (bytes <= mostOctal) header.write(octal(bytes, 11), 124)
  else header.writeBigUInt64BE(BigInt(bytes), header.writeUInt32BE(0x80000000, 124)) // as GNU tar says what is larger
  header.write(octal(at, 11), 136)
  header.write(type, 156)
  header.write('ustar\x0000', 257)
  header.write(`${octal(sumOf(header), 6)} `, 148)
  return header
}

/** What stands behind a content of so many bytes. */
export const padding = (bytes: number) => Buffer.alloc((block - (bytes % block)) % block)

/** All that stands before the content of a file. */
export function headersOf(name: string, bytes: number, at: number): Buffer {
  if (name.length <= longestName) return headerOf(name, bytes, at)
  const content = Buffer.from(`${name}\0`)
  const before = headerOf(longName.name, content.length, at, longName.type)
  return Buffer.concat([before, content, padding(content.length), headerOf(name, bytes, at)])
}

/** The text of a field, which a NUL ends. */
const textIn = (field: Buffer) => field.toString('latin1').replace(/\0.*$/s, '')

/** What a header says; null where the archive ends. */
function readHeader(header: Buffer): { type: string; name: string; bytes: number } | null {
  if (header.every((byte) => byte === 0)) return null
  const text = (from: number, length: number) => textIn(header.subarray(from, from + length))
  const type = text(156, 1)
  if (text(257, 5) !== 'ustar' || Number.parseInt(text(148, 8), 8) !== sumOf(header) || !['0', longName.type].includes(type))
    throw broken('it is damaged, or something else')
  const bytes = header.readUInt32BE(124) === 0x80000000 ? Number(header.readBigUInt64BE(128)) : Number.parseInt(text(124, 12), 8)
  return { type, name: text(0, longestName), bytes }
}

/** The next file's name and size, from its header and what may stand before it; null where the archive ends. `exactly` reads so many bytes. Throws BackupRefused. */
export async function nextFile(exactly: (bytes: number) => Promise<Buffer>): Promise<{ name: string; bytes: number } | null> {
  const first = readHeader(await exactly(block))
  if (first?.type !== longName.type) return first
  if (first.bytes > block) throw broken('a name in it is too long')
  const name = textIn((await exactly(block)).subarray(0, first.bytes))
  const file = readHeader(await exactly(block))
  if (file?.type !== '0') throw broken('it is damaged, or something else')
  return { name, bytes: file.bytes }
}
