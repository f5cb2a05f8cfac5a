/** The machine that is measured on: its cores, its disk, and what a process took of it. Linux tells all of it; elsewhere some is unknown. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { availableParallelism } from 'node:os'

/** Linux counts processor time in ticks of 10 ms on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100
/** statfs(2): what `f_type` says of memory that looks like a disk. */
const MEMORY_FILE_SYSTEMS = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
])

/** Whether processes can be kept on one core each: `taskset` is there, and two cores to tell apart. */
export const canPin = availableParallelism() >= 2 && spawnSync('taskset', ['--version']).status === 0

/** The core that is measured, and the one for everything else. */
export const MEASURED_CORE = 0
export const LOAD_CORE = 1

/** The command line that runs `command` on `core`; `command` itself where processes cannot be pinned. */
export const pinned = (core: number, command: readonly string[]): readonly string[] =>
  canPin ? ['taskset', '-c', String(core), ...command] : command

/** Moves every thread of this very process to `core`. */
export function pinSelf(core: number): void {
  if (canPin) spawnSync('taskset', ['-a', '-c', '-p', String(core), String(process.pid)])
}

/** 'tmpfs' or 'ramfs' where `directory` is memory; undefined on a disk. */
export async function memoryFileSystem(directory: string): Promise<string | undefined> {
  return MEMORY_FILE_SYSTEMS.get((await statfs(directory)).type)
}

/** The processes of a process group; empty where there is no /proc. */
export function processesOf(group: number): number[] {
  const processes: number[] = []
  for (const name of listProc()) {
    const fields = statOf(name)
    if (fields && Number(fields[2]) === group) processes.push(Number(name))
  }
  return processes
}

/** Resident memory of a whole process group in MiB, or null where it cannot be known. */
export const residentMemory = (group: number) => memory(group, /^VmRSS:\s+(\d+)/m)

/** The most that it ever was. */
export const peakMemory = (group: number) => memory(group, /^VmHWM:\s+(\d+)/m)

function memory(group: number, line: RegExp): number | null {
  const processes = processesOf(group)
  if (processes.length === 0) return null
  const kibibytes = processes.map((pid) => Number(line.exec(read(`/proc/${pid}/status`) ?? '')?.[1] ?? 0))
  return kibibytes.reduce((sum, each) => sum + each, 0) / 1024
}

/** Processor time that `processes` have used since they began, in seconds; NaN where it cannot be known. */
export function processorTime(processes: readonly number[]): number {
  const ticks = processes.map((pid) => {
    const fields = statOf(String(pid))
    return fields ? Number(fields[11]) + Number(fields[12]) : Number.NaN
  })
  return ticks.length === 0 ? Number.NaN : ticks.reduce((sum, each) => sum + each, 0) / TICKS_PER_SECOND
}

/** Time that a core has been at work, for whomever, since the machine began, in seconds; NaN where it cannot be known. */
export function coreTime(core: number | null): number {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(read('/proc/stat') ?? '')?.[1]
  if (line === undefined) return Number.NaN
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.split(' ').map(Number) // between them: idle, iowait
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND
}

/** The fields of /proc/PID/stat from the third ("state") on: the second, the program's name, may hold blanks and brackets. */
function statOf(pid: string): string[] | undefined {
  const text = read(`/proc/${pid}/stat`)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')
}

function listProc(): string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  } catch {
    return []
  }
}

/** A file's text; undefined where it is not there (a process may end while it is looked at). */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
