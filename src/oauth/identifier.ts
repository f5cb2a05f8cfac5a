/** Identifiers that sort by time and can be read aloud: 26 letters, as a ULID's. */

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** 80 bits of `bytes` (at least 10) as 16 letters of Crockford's base32. */
function letters(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < 10; at += 5) {
    const [a = 0, b = 0, c = 0, d = 0, e = 0] = bytes.subarray(at, at + 5)
    for (const five of [a >> 3, (a << 2) | (b >> 6), b >> 1, (b << 4) | (c >> 4), (c << 1) | (d >> 7), d >> 2, (d << 3) | (e >> 5), e])
      text += alphabet[five & 31]
  }
  return text
}

function timeLetters(milliseconds: number): string {
  let text = ''
  for (let rest = milliseconds, at = 0; at < 10; at++, rest = Math.floor(rest / 32)) text = alphabet[rest % 32] + text
  return text
}

const mostASecond = 2 ** 20

/**
 * A source of identifiers: 10 letters of time, 4 that count within the second, 12 of chance. New ones always come last, so the rows that they name lie side
 * by side on disk, and a commit of many touches few pages. `now`: seconds.
 */
export function createIdentifiers(now: () => number, randomBytes: (size: number) => Buffer): () => string {
  let second = -1
  let time = ''
  let count = 0
  return () => {
    const at = now()
    if (at !== second) {
      second = at
      time = timeLetters(at * 1000)
      count = 0
    }
    const bytes = randomBytes(10)
    const sequence = count++ % mostASecond
    bytes.writeUInt16BE(sequence >> 4)
    bytes[2] = ((sequence & 15) << 4) | ((bytes[2] ?? 0) & 15)
    return time + letters(bytes)
  }
}

/** The identifier that belongs to `facts` (a digest of 10 bytes or more) since `now`: the same facts at the same time give the same. */
export const idOf = (now: number, facts: Uint8Array): string => timeLetters(now * 1000) + letters(facts)
