/** Identifiers that sort by time and can be read aloud: a ULID's 10 letters of time and 16 of chance. */

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

/** A new identifier. `now`: seconds. */
export const newId = (now: number, randomBytes: (size: number) => Buffer): string => timeLetters(now * 1000) + letters(randomBytes(10))

/** The identifier that belongs to `facts` (a digest of 10 bytes or more) since `now`: the same facts at the same time give the same. */
export const idOf = (now: number, facts: Uint8Array): string => timeLetters(now * 1000) + letters(facts)
