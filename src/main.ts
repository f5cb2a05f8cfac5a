/** argv → command; the only reader of the process. */
import { once } from 'node:events'
import { stripVTControlCharacters } from 'node:util'
import { BackupRefused } from './backup/refused.ts'
import { Refused } from './cli/ask.ts'
import { type Terminal, Unusable, UsageError } from './cli/command.ts'
import { run } from './cli/index.ts'
import { ConfigError } from './config.ts'
import { KeyError } from './keys/keyset.ts'
import { PolicyError } from './load_policy.ts'
import { StoreRefused } from './store/refused.ts'

async function question(text: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises') // seldom needed, 4 ms of a start
  const lines = createInterface({ input: process.stdin, output: process.stdout })
  try {
    // Ctrl-D is no answer.
    return await Promise.race([lines.question(text), once(lines, 'close').then(() => '')])
  } finally {
    lines.close()
  }
}

/** Whoever reads along may have seen enough, as `head` has: that is no fault. A full disk is: what is missing from a file must not pass for whole. */
process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
  if (code === 'EPIPE') return
  terminal.writeError(`meshidp: Not all could be written to standard output: ${message}.\n`)
  process.exit(1)
})
process.stderr.on('error', () => undefined) // nobody is left who could hear of it

const terminal: Terminal = {
  env: process.env,
  pid: process.pid,
  usage: () => {
    const { user, system } = process.cpuUsage()
    return {
      resident_bytes: process.memoryUsage.rss(),
      cpu_seconds: (user + system) / 1e6,
      started_at: Math.round(performance.timeOrigin / 1000),
    }
  },
  program: process.argv[1] ?? process.execPath,
  interactive: process.stdout.isTTY === true,
  columns: process.stdout.columns || undefined, // 0 where nobody has told the terminal
  write: (text) => void process.stdout.write(text),
  writeError: (text) => void process.stderr.write(process.stderr.isTTY ? text : stripVTControlCharacters(text)),
  question: process.stdin.isTTY && process.stdout.isTTY ? question : undefined,
  keepPrivate: () => void process.umask(0o077),
  onHangup: (heard) => void process.on('SIGHUP', heard),
  untilStopped: () =>
    new Promise((resolve) => {
      // Not once: a second one, such as npm sends after that of the terminal, must not cut off what is being finished.
      process.on('SIGTERM', resolve)
      process.on('SIGINT', resolve)
      process.stdout.on('error', () => resolve('SIGPIPE')) // nobody hears what a command goes on to say; the daemon's log goes another way
    }),
}

/** What is wrong outside of the program: a sentence is enough, a stack would only hide it. */
const spoken = [ConfigError, PolicyError, KeyError, StoreRefused, Refused, BackupRefused]

/** What the machine refuses: a file, a disk, an address. Undefined for anything else. */
function refusedByMachine({ syscall, code, message }: NodeJS.ErrnoException): string | undefined {
  if (syscall === undefined) return undefined
  return `${message}.${code === 'EACCES' || code === 'EPERM' ? ' Run it as a user who may, such as that of the daemon.' : ''}`
}

function failed(error: unknown): number {
  const { message, stack } = error as Error
  const isUnusable = error instanceof UsageError || error instanceof Unusable
  const isSpoken = isUnusable || spoken.some((kind) => error instanceof kind)
  terminal.writeError(`meshidp: ${isSpoken ? message : (refusedByMachine(error as Error) ?? stack)}\n`)
  return isUnusable ? 2 : 1
}

// Not awaited: the single executable is CommonJS, where a module cannot wait.
void run(terminal, process.argv.slice(2))
  .catch(failed)
  .then((code) => {
    process.exitCode = code
  })
