// The Node that goes into the single executable.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** ELF, e_machine → as Node calls it, and who can strip it: binutils of one architecture know no other. */
const machines = new Map([
  [0x3e, { arch: 'x64', strip: 'x86_64-linux-gnu-strip' }],
  [0xb7, { arch: 'arm64', strip: 'aarch64-linux-gnu-strip' }],
])

/**
 * Looks at an executable of Node without running it, since it may be of another architecture: its version and architecture, where its licence is, and who packs
 * for it (`packer`): the blob must be made by a Node of the same version. Throws with a sentence.
 */
export function examineNode(file) {
  if (!existsSync(file)) throw new Error(`There is no Node at ${file}.`)
  const bytes = readFileSync(file)
  const machine = bytes.toString('latin1', 0, 4) === '\x7fELF' ? machines.get(bytes.readUInt16LE(18)) : undefined
  if (!machine) throw new Error(`${file} is no Node for Linux on x64 or arm64.`)
  const named = bytes.indexOf('/node-v')
  const [, version] = /^\/node-v(\d+\.\d+\.\d+)[./-]/.exec(bytes.toString('latin1', named, named + 32)) ?? []
  if (!version) throw new Error(`${file} does not say which version of Node it is.`)
  const own = machine.arch === process.arch
  if (!own && version !== process.versions.node)
    throw new Error(`${file} is Node ${version}: run this by a Node ${version} of this machine, not by ${process.versions.node}.`)
  return {
    file,
    version,
    arch: machine.arch,
    strip: own ? 'strip' : machine.strip,
    packer: own ? file : process.execPath,
    licence: [join(dirname(file), '../LICENSE'), join(dirname(file), 'LICENSE')].find(existsSync) ?? join(dirname(file), '../LICENSE'),
  }
}
