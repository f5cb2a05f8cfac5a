/**
 * JSON Lines, for what moves from one installation to another. The first line says what it is:
 * `{"format":"meshidp-export","version":1,"made_at":1795986900,"issuer":"https://…","tailnet":"…"}`; then a line for each row, with its `type`; the last is
 * `{"type":"end","rows":N,"sha256":"…"}`, of all bytes before it: so a file that was cut short or changed is known for what it is.
 */
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { syncDirectory, unfinishedOf } from '../store/private_file.ts'
import type { MovedRow } from '../store/transfer.ts'
import { BackupRefused } from './refused.ts'

const version = 1

const headSchema = z.strictObject({
  format: z.literal('meshidp-export'),
  version: z.literal(version),
  /** Seconds. */
  made_at: z.int(),
  issuer: z.string().nullable(),
  tailnet: z.string().nullable(),
})

export type Head = z.output<typeof headSchema>

export const headOf = (facts: Pick<Head, 'made_at' | 'issuer' | 'tailnet'>): Head => ({ format: 'meshidp-export', version, ...facts })

/** Bytes that are read or written at once. */
const chunk = 256 * 1024

/** Writes the file (0600), which is there when it is whole, and on disk. Resolves with the number of rows. */
export async function writeLines(file: string, head: Head, rows: Iterable<MovedRow>): Promise<number> {
  const unfinished = unfinishedOf(file)
  await rm(unfinished, { force: true })
  const handle = await open(unfinished, 'wx', 0o600)
  try {
    const hash = createHash('sha256')
    let text = `${JSON.stringify(head)}\n`
    let count = 0
    const flush = async () => {
      hash.update(text)
      await handle.writeFile(text)
      text = ''
    }
    for (const row of rows) {
      text += `${JSON.stringify(row)}\n`
      count++
      if (text.length > chunk) await flush()
    }
    await flush()
    await handle.writeFile(`${JSON.stringify({ type: 'end', rows: count, sha256: hash.digest('hex') })}\n`)
    await handle.sync()
    await rename(unfinished, file)
    syncDirectory(dirname(file))
    return count
  } catch (error) {
    await rm(unfinished, { force: true })
    throw error
  } finally {
    await handle.close()
  }
}

/** Bytes of a line at the most; the longest that is written, a policy of 8 MiB, is shorter. */
const longest = 64 * 1024 * 1024

/** The lines of a file, without what ends them; what stands after the last newline too. Throws BackupRefused. */
function* linesOf(file: string): Generator<Buffer> {
  const descriptor = openFile(file)
  try {
    let number = 1
    let [parts, length]: [Buffer[], number] = [[], 0]
    for (let bytes = chunkOf(descriptor); bytes.length > 0; bytes = chunkOf(descriptor)) {
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10)) {
        yield Buffer.concat([...parts, bytes.subarray(0, end)])
        bytes = bytes.subarray(end + 1)
        ;[parts, length] = [[], 0]
        number++
      }
      parts.push(bytes)
      length += bytes.length
      if (length > longest) throw refused(file, number, `this line is longer than ${longest / 1024 / 1024} MiB`)
    }
    if (length > 0) yield Buffer.concat(parts)
  } finally {
    closeSync(descriptor)
  }
}

/** What cannot be read twice, such as a pipe, would be waited for for ever. */
function openFile(file: string): number {
  if (!statSync(file).isFile()) throw new BackupRefused(`${file} is no file.`)
  return openSync(file, 'r')
}

/** The next bytes; none at the end. */
function chunkOf(descriptor: number): Buffer {
  const bytes = Buffer.allocUnsafe(chunk)
  return bytes.subarray(0, readSync(descriptor, bytes))
}

const refused = (file: string, line: number, what: string, cause?: unknown) =>
  new BackupRefused(`${file}:${line}: ${what}. Nothing was taken from it.`, { cause })

function jsonOf(file: string, number: number, line: Buffer): Record<string, unknown> {
  try {
    const value = JSON.parse(line.toString()) as unknown
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {}
  throw refused(file, number, 'this is no JSON object')
}

/** The first line, after the whole file was found to be as it was written. Throws BackupRefused. */
export function verifyLines(file: string): Head {
  const hash = createHash('sha256')
  let number = 0
  let head: Head | undefined
  let end: Record<string, unknown> | undefined
  for (const line of linesOf(file)) {
    number++
    if (end) throw refused(file, number, 'something stands after its end')
    const value = jsonOf(file, number, line)
    if (number === 1) {
      const { success, data } = headSchema.safeParse(value)
      if (!success)
        throw refused(file, number, value.format === 'meshidp-export' ? 'it is of another version' : 'this is no export of meshidp')
      head = data
    }
    if (value.type === 'end') end = value
    else hash.update(line).update('\n')
  }
  if (!head || !end) throw refused(file, number, 'its end is missing')
  if (end.rows !== number - 2 || end.sha256 !== hash.digest('hex')) throw refused(file, number, 'it was changed since it was written')
  return head
}

/** The rows of a file that was verified; `told` hears of each line's number before its row is taken. */
export function* rowsOf(file: string, told: (line: number) => void): Generator<MovedRow> {
  let number = 0
  for (const line of linesOf(file)) {
    number++
    const value = number === 1 ? undefined : jsonOf(file, number, line)
    if (!value || value.type === 'end') continue
    told(number)
    yield value as MovedRow
  }
}
