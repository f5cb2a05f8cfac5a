/**
 * The two spellings of an ECDSA P-256 signature: DER, in which OpenSSL speaks, and the 64 bytes of RFC 7518 §3.4. Node can convert by itself, but takes
 * as long for it as for the signature.
 */

const size = 32
const [sequence, integer] = [0x30, 0x02]

/** r‖s, 64 bytes, of a DER signature that OpenSSL made. */
export function toConcatenated(der: Buffer): Buffer {
  const both = Buffer.alloc(2 * size)
  let at = 2
  for (const end of [size, 2 * size]) {
    const length = der[at + 1] ?? 0
    const number = der.subarray(at + 2, at + 2 + length)
    const significant = number.subarray(Math.max(0, length - size)) // a leading zero only says that it is positive
    significant.copy(both, end - significant.length)
    at += 2 + length
  }
  return both
}

/** DER (X.690 §8.3: as few bytes as possible, the first bit for the sign) of r‖s; undefined where that is not 64 bytes. */
export function toDer(both: Buffer): Buffer | undefined {
  if (both.length !== 2 * size) return undefined
  const numbers = [both.subarray(0, size), both.subarray(size)].map((bytes) => {
    let from = 0
    while (from < size - 1 && bytes[from] === 0) from++
    const sign = (bytes[from] ?? 0) & 0x80 ? [0] : []
    return Buffer.from([integer, sign.length + size - from, ...sign, ...bytes.subarray(from)])
  })
  return Buffer.concat([Buffer.from([sequence, numbers.reduce((sum, { length }) => sum + length, 0)]), ...numbers])
}
