/**
 * The shape of a backup: a tar archive (POSIX.1 ustar), so that any machine can look inside, whose last entry SHA256SUMS covers all others:
 * `tar -xf FILE && sha256sum -c SHA256SUMS`.
 */
import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BackupRefused, broken } from './refused.ts'
import { block, headersOf, nextFile, padding } from './tar_header.ts'

/** `content` yields exactly `bytes` bytes. */
export type Entry = { name: string; bytes: number; content: Iterable<Uint8Array> | AsyncIterable<Uint8Array> }

/** What a backup may hold; a file system holds no name that is longer. */
export const isName = (name: string): boolean =>
  /^(?:manifest\.json|meshidp\.db|(?:keys|secrets)\/(?!\.{1,2}$)[A-Za-z0-9._-]{1,255})$/.test(name)

const sums = 'SHA256SUMS'

/** The bytes of an archive of these entries. `at`: the time that they are given, seconds. */
export async function* pack(entries: Iterable<Entry>, at: number): AsyncGenerator<Uint8Array> {
  let lines = ''
  for (const { name, bytes, content } of entries) {
    if (!isName(name))
      throw new BackupRefused(`A file of the name ${JSON.stringify(name)} cannot be backed up. Use letters, digits, ".", "_" and "-".`)
    yield headersOf(name, bytes, at)
    const hash = createHash('sha256')
    let written = 0
    for await (const chunk of content) {
      hash.update(chunk)
      written += chunk.length
      yield chunk
    }
    if (written !== bytes) throw new BackupRefused(`${name} has changed while it was read. Try again.`)
    yield padding(bytes)
    lines += `${hash.digest('hex')}  ${name}\n`
  }
  const last = Buffer.from(lines)
  yield Buffer.concat([headersOf(sums, last.length, at), last, padding(last.length), Buffer.alloc(2 * block)])
}

/** Reads a stream of chunks by count. */
function reader(source: AsyncIterable<Uint8Array>) {
  const chunks = source[Symbol.asyncIterator]()
  let rest: Buffer = Buffer.alloc(0)
  /** Up to `most` bytes, at least one. */
  async function some(most: number): Promise<Buffer> {
    while (rest.length === 0) {
      const { done, value } = await chunks.next()
      if (done) throw broken('it ends too early')
      rest = Buffer.from(value.buffer, value.byteOffset, value.length)
    }
    const taken = rest.subarray(0, most)
    rest = rest.subarray(taken.length)
    return taken
  }
  async function exactly(bytes: number): Promise<Buffer> {
    const parts: Buffer[] = []
    for (let left = bytes; left > 0; left -= parts.at(-1)?.length ?? 0) parts.push(await some(left))
    return Buffer.concat(parts)
  }
  return { some, exactly }
}

/** The largest list of sums. */
const mostSums = 1024 * 1024

/**
 * Unpacks the archive below `directory`, which is empty: files of mode 0600, on disk when this resolves.
 * Throws BackupRefused where anything is missing, too much, or not as SHA256SUMS says.
 */
export async function unpack(source: AsyncIterable<Uint8Array>, directory: string): Promise<void> {
  const { some, exactly } = reader(source)
  const found = new Map<string, string>()
  for (;;) {
    const file = await nextFile(exactly)
    if (!file) throw broken(`it has no ${sums}`)
    const { name, bytes } = file
    if (name === sums) {
      if (bytes > mostSums) throw broken(`its ${sums} is too large`)
      return compare((await exactly(bytes)).toString(), found)
    }
    if (!isName(name) || found.has(name)) throw broken(`${JSON.stringify(name)} does not belong into it`)
    mkdirSync(dirname(join(directory, name)), { recursive: true, mode: 0o700 })
    const handle = await open(join(directory, name), 'wx', 0o600)
    try {
      const hash = createHash('sha256')
      for (let left = bytes; left > 0; ) {
        const chunk = await some(left)
        hash.update(chunk)
        await handle.writeFile(chunk)
        left -= chunk.length
      }
      await handle.sync()
      found.set(name, hash.digest('hex'))
    } finally {
      await handle.close()
    }
    await exactly(padding(bytes).length)
  }
}

function compare(said: string, found: ReadonlyMap<string, string>): void {
  const lines = [...found].map(([name, hash]) => ({ name, line: `${hash}  ${name}\n` }))
  const damaged = lines.find(({ line }) => !said.includes(line))
  if (damaged) throw broken(`${damaged.name} is damaged`)
  if (said !== lines.map(({ line }) => line).join('')) throw broken('something is missing from it')
}
