/** A daemon of one's own, as a process, so that it can be killed; and the admin's commands, as an admin types them. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** `meshidp` of this checkout. */
const ofCheckout = [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  fileURLToPath(new URL('../../bin/meshidp.mjs', import.meta.url)),
]
const patience = 20_000

export type DaemonProcess = {
  issuer: string
  /** Starts it, on the same state each time; resolves when it is ready. */
  start: () => Promise<void>
  /** SIGKILL: it has no moment to put anything in order. */
  kill: () => Promise<void>
  /** Runs `meshidp ARGS --json` against it; resolves with the answer. */
  command: <Answer>(...args: string[]) => Promise<Answer>
  /** Runs `meshidp ARGS` against it; resolves with the lines that it prints. */
  printed: (...args: string[]) => Promise<string[]>
}

type Wanted = {
  port: number
  directory: string
  policyFile: string
  /** The program; default: that of this checkout. */
  program?: readonly string[]
}

/** A development daemon on `port` (its page on the next one), with all that it needs below `directory`. */
export function daemonProcess({ port, directory, policyFile, program = ofCheckout }: Wanted): DaemonProcess {
  const [file = '', ...before] = program
  const issuer = `http://localhost:${port}`
  let child: ChildProcess | undefined
  let said = ''

  async function start(): Promise<void> {
    said = ''
    const args = [...before, 'dev', '--port', String(port), '--state-dir', directory, '--policy', policyFile]
    const started = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [started.stdout, started.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
    child = started
    const deadline = Date.now() + patience
    while (!(await isReady(issuer))) {
      if (started.exitCode !== null || Date.now() > deadline) throw new Error(`The daemon did not start. It said:\n${said}`)
      await pause(25)
    }
  }

  async function kill(): Promise<void> {
    const running = child
    child = undefined
    if (!running || running.exitCode !== null || running.signalCode !== null) return
    const gone = once(running, 'exit')
    running.kill('SIGKILL')
    await gone
  }

  const run = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)(file, [...before, ...args, '--config', join(directory, 'config.hujson')])).stdout

  const command = async <Answer>(...args: string[]): Promise<Answer> => JSON.parse(await run(...args, '--json')) as Answer

  const printed = async (...args: string[]): Promise<string[]> => (await run(...args)).trimEnd().split('\n')

  return { issuer, start, kill, command, printed }
}

const isReady = (issuer: string): Promise<boolean> =>
  fetch(`${issuer}/readyz`, { signal: AbortSignal.timeout(1000) }).then(
    ({ ok }) => ok,
    () => false,
  )
