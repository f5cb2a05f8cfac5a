/** What a figure is worth nothing without: the machine, the versions, and how it was measured. */
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { canPin, LOAD_CORE, MEASURED_CORE, memoryFileSystem } from './machine.ts'
import type { Options } from './options.ts'

export type Circumstances = {
  node: string
  autocannon: string
  cpu: string
  cores: number
  pinned: boolean
  /** 'tmpfs' or the like where the files of the servers are in memory; null on a disk. */
  memory_file_system: string | null
  connections: number
  seconds: number
  warmup: number
  rounds: number
}

/** `directory` is where the servers write. */
export async function circumstances(directory: string, { connections, seconds, warmup, rounds }: Options): Promise<Circumstances> {
  const manifest = new URL('../node_modules/autocannon/package.json', import.meta.url)
  return {
    node: process.versions.node,
    autocannon: JSON.parse(readFileSync(manifest, 'utf8')).version,
    cpu: cpus()[0]?.model ?? 'unknown processor',
    cores: cpus().length,
    pinned: canPin,
    memory_file_system: (await memoryFileSystem(directory)) ?? null,
    connections,
    seconds,
    warmup,
    rounds,
  }
}

/** The same in lines, with a word where it makes the figures doubtful. */
export function inWords({ node, autocannon, cpu, cores, pinned, memory_file_system, ...times }: Circumstances): string[] {
  const { connections, seconds, warmup, rounds } = times
  return [
    `${cpu}, ${cores} cores, Node ${node}, autocannon ${autocannon}`,
    pinned
      ? `servers on core ${MEASURED_CORE}; load generator and mesh on core ${LOAD_CORE}`
      : 'Processes are NOT pinned to cores (that needs taskset and two cores): the figures are worth little.',
    ...(memory_file_system === null ? [] : [`Files are in ${memory_file_system}, NOT on a disk: choose one with --directory.`]),
    `${connections} connections, ${seconds} s each after ${warmup} s of warm-up, ${rounds} round${rounds === 1 ? '' : 's'}`,
  ]
}
