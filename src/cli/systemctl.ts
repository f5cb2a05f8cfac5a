/** The programs of systemd, as commands run them. */
import { statSync } from 'node:fs'
import { promisify } from 'node:util'
import { Refused } from './ask.ts'
import type { Terminal } from './command.ts'

/** Runs one, and resolves with its output; where it fails, what it said is what is wrong. Throws Refused. */
async function systemd(program: string, ...args: readonly string[]): Promise<string> {
  const { execFile } = await import('node:child_process') // which no other command needs at its start
  const ran = promisify(execFile)(program, args).catch((error: Error & { stderr?: string; code?: unknown }) => {
    throw new Refused(
      error.code === 'ENOENT'
        ? `${program} is not there. Does this machine run systemd?`
        : `${[program, ...args].join(' ')} failed: ${(error.stderr ?? error.message).trim()}`,
    )
  })
  return (await ran).stdout
}

/** Runs one that changes the machine, and says so. Throws Refused. */
export async function changing(terminal: Terminal, ...command: readonly [string, ...string[]]): Promise<void> {
  terminal.write(`  ${command.join(' ')}\n`)
  await systemd(...command)
}

/** Those of `units` that run since before their file (`fileOf`) was written, and so as an older one says. */
export async function outdated(units: readonly string[], fileOf: (unit: string) => string): Promise<string[]> {
  const found = await systemd('systemctl', 'show', '--timestamp=unix', '--property=Id,ActiveState,ActiveEnterTimestamp', ...units)
  return found.split('\n\n').flatMap((shown) => {
    const {
      Id = '',
      ActiveState,
      ActiveEnterTimestamp = '',
    } = Object.fromEntries(
      shown
        .trim()
        .split('\n')
        .map((line) => line.split('=')),
    )
    const written = Math.floor(statSync(fileOf(Id)).mtimeMs / 1000) // as whole as what systemd says: "@1790000000"
    return ActiveState === 'active' && Number(ActiveEnterTimestamp.slice(1)) < written ? [Id] : []
  })
}
