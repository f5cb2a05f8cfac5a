/** What a process wrote, synced and answered, by strace; and what a disk may hold that lost its power at any moment of it. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Calls in their order. `answer`: what went to somebody. */
export type Call =
  | { kind: 'write'; file: string; at: number; bytes: Buffer }
  | { kind: 'truncate'; file: string; size: number }
  | { kind: 'sync'; file: string }
  | { kind: 'answer'; text: string }

const traced = 'pwrite64,pwritev,write,writev,sendto,sendmsg,fsync,fdatasync,ftruncate'

/** The command that traces another one into `directory`, a file for each thread. */
export const tracer = (directory: string): string[] => [
  'strace',
  '-ff',
  '-o',
  join(directory, 'trace'),
  '--seccomp-bpf',
  '-y',
  '-e',
  `trace=${traced}`,
  '-e',
  'signal=none',
  '-xx',
  '-s',
  '10000000',
]

/** Why nothing can be traced here, in a sentence; null where it can. */
export function untraceable(): string | null {
  const { error, status, stderr } = spawnSync('strace', ['-o', '/dev/null', '--seccomp-bpf', '-f', 'true'], { encoding: 'utf8' })
  if (error) return 'strace is not there'
  return status === 0 ? null : `strace may not trace here: ${stderr.trim()}`
}

const bytesOf = (text: string) => Buffer.from(text.replaceAll('\\x', ''), 'hex')
const pathOf = (text: string) => (text.includes('\\x') ? bytesOf(text).toString() : text)

function callOf(line: string): Call | undefined {
  const [, name = '', path = '', rest = '', result = ''] = /^(\w+)\(\d+<([^>]*)>(?:, )?(.*)\) += (-?\d+)/.exec(line) ?? []
  const file = pathOf(path)
  const done = Number(result)
  if (name === '' || done < 0) return undefined
  if (name === 'fsync' || name === 'fdatasync') return { kind: 'sync', file }
  if (name === 'ftruncate') return { kind: 'truncate', file, size: Number(rest) }
  const [, data = ''] = /^"([^"]*)"/.exec(rest) ?? []
  if (name === 'pwrite64') return { kind: 'write', file, at: Number(/, (\d+)$/.exec(rest)?.[1]), bytes: bytesOf(data).subarray(0, done) }
  if (name === 'pwritev') throw new Error(`A way to write that is not understood here: ${line.slice(0, 200)}`)
  if (!file.startsWith('socket:')) return undefined
  const parts = name === 'write' || name === 'sendto' ? [data] : [...rest.matchAll(/iov_base="([^"]*)"/g)].map(([, part = '']) => part)
  return { kind: 'answer', text: Buffer.concat(parts.map(bytesOf)).subarray(0, done).toString('latin1') }
}

/** The calls of the main thread, which is the one that commits and answers: that of the largest trace. */
export function callsIn(directory: string): Call[] {
  const [largest = ''] = readdirSync(directory)
    .filter((name) => name.startsWith('trace.'))
    .map((name) => join(directory, name))
    .sort((a, b) => statSync(b).size - statSync(a).size)
  return readFileSync(largest, 'latin1')
    .split('\n')
    .flatMap((line) => callOf(line) ?? [])
}

const sector = 512

/** `bytes` with a write in it; what is beyond its end is zero. */
function written(bytes: Buffer, at: number, data: Buffer): Buffer {
  const larger = at + data.length > bytes.length ? Buffer.concat([bytes, Buffer.alloc(at + data.length - bytes.length)]) : bytes
  data.copy(larger, at)
  return larger
}

const truncated = (bytes: Buffer, size: number): Buffer =>
  size <= bytes.length ? Buffer.from(bytes.subarray(0, size)) : written(bytes, size, Buffer.alloc(0))

const changed = (bytes: Buffer, call: Call): Buffer =>
  call.kind === 'write' ? written(bytes, call.at, call.bytes) : call.kind === 'truncate' ? truncated(bytes, call.size) : bytes

/** Of what was not synced each call has reached the disk, or not, or up to the end of some sector. */
function torn(call: Call, random: () => number): Call | undefined {
  const chance = random()
  if (chance < 0.35) return undefined
  if (chance < 0.7 || call.kind !== 'write') return call
  const end = Math.floor((call.at + random() * call.bytes.length) / sector) * sector - call.at
  return end > 0 ? { ...call, bytes: call.bytes.subarray(0, end) } : undefined
}

/**
 * Goes through the calls, and at each of `moments` (indices of calls, in order) tells what the disk may hold when the power fails right before that call, and
 * what had been answered by then. `files`: what it holds at the beginning.
 */
export async function powerCuts(
  calls: readonly Call[],
  files: ReadonlyMap<string, Buffer>,
  moments: readonly number[],
  random: () => number,
  told: (disk: ReadonlyMap<string, Buffer>, answers: readonly string[], moment: number) => Promise<void>,
): Promise<void> {
  const synced = new Map([...files].map(([file, bytes]) => [file, Buffer.from(bytes) as Buffer]))
  const pending = new Map<string, Call[]>()
  const answers: string[] = []
  const due = [...moments]
  for (const [at, call] of calls.entries()) {
    while (due[0] === at) {
      due.shift()
      const disk = new Map<string, Buffer>(
        [...new Set([...synced.keys(), ...pending.keys()])].map((file) => [file, Buffer.from(synced.get(file) ?? '')]),
      )
      for (const [file, waiting] of pending)
        for (const one of waiting) disk.set(file, changed(disk.get(file) ?? Buffer.alloc(0), torn(one, random) ?? { kind: 'sync', file }))
      await told(disk, answers, at)
    }
    if (call.kind === 'answer') answers.push(call.text)
    else if (call.kind === 'sync') {
      for (const one of pending.get(call.file) ?? []) synced.set(call.file, changed(synced.get(call.file) ?? Buffer.alloc(0), one))
      pending.delete(call.file)
    } else pending.set(call.file, [...(pending.get(call.file) ?? []), call])
  }
}
