/** Processes of the benchmark: each in a process group of its own, on a core of its own, and none outlives it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { pinned } from './machine.ts'

const STOP_DEADLINE_MS = 5000
const KEPT_OUTPUT = 4000

export type Child = {
  /** Its process group, which is its own process id. */
  group: number
  /** When it was spawned, as `performance.now()` counts. */
  spawnedAt: number
  /** The end of what it wrote to standard output and standard error. */
  said(): string
  /** Rejects as soon as it ends, with the last that it said; never resolves. */
  failed: Promise<never>
  /** Ends the whole group: SIGTERM, then SIGKILL after five seconds. */
  stop(): Promise<void>
}

const living = new Set<ChildProcess>()

/** Starts `command` on `core`. */
export function start(core: number, command: readonly string[], env: Record<string, string> = {}): Child {
  const [program, ...args] = pinned(core, command)
  if (program === undefined) throw new Error('a command needs a program')
  const spawnedAt = performance.now()
  const child = spawn(program, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  living.add(child)

  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-KEPT_OUTPUT)
    })
  }
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()).once('error', () => resolve()))
  const failed = ended.then(() => {
    living.delete(child)
    throw new Error(`${command.slice(0, 3).join(' ')} … ended${child.exitCode === null ? '' : ` with ${child.exitCode}`}: ${said.trim()}`)
  })
  failed.catch(() => {}) // whoever waits for it hears of it; a server that is stopped on purpose is no news

  return { group: child.pid ?? 0, spawnedAt, said: () => said, failed, stop: () => stop(child) }
}

/** Runs `command` on `core` to its end; resolves with what it wrote to standard output, rejects with what it wrote to standard error. */
export async function run(core: number, command: readonly string[], input: string): Promise<string> {
  const [program, ...args] = pinned(core, command)
  if (program === undefined) throw new Error('a command needs a program')
  const child = spawn(program, args, { detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
  living.add(child)
  let output = ''
  let complaint = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-KEPT_OUTPUT)
  })
  child.stdin.on('error', () => {}).end(input)
  await once(child, 'close')
  living.delete(child)
  if (child.exitCode !== 0) throw new Error(complaint.trim() || `ended with ${child.exitCode ?? child.signalCode}`)
  return output
}

/** Ends every process that is still there, at once: for the moment when the benchmark itself ends. */
export function killAll(): void {
  for (const child of living) signal(child, 'SIGKILL')
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const closed = once(child, 'close')
  signal(child, 'SIGTERM')
  const timer = setTimeout(() => signal(child, 'SIGKILL'), STOP_DEADLINE_MS)
  await closed
  clearTimeout(timer)
  living.delete(child)
}

/** To the whole group, for a server may have processes of its own. */
function signal(child: ChildProcess, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, name)
  } catch {
    // It ended by itself meanwhile.
  }
}
