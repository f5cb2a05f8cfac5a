/** The program as an admin has it: `meshidp` in a process of its own, on an installation below a temporary folder. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ConfigInput } from '../../src/config.ts'
import { type DevMesh, startDevMesh } from '../../src/identity/dev_mesh.ts'
import { changedPolicy } from './example_policy.ts'
import { executable } from './executable.ts'
import { type Person, personAt } from './person.ts'
import { assertNoSecretIn } from './secrets_seen.ts'
import { freePort, temporaryDirectory } from './start.ts'

export const program = fileURLToPath(new URL('../../bin/meshidp.mjs', import.meta.url))
export const repository = fileURLToPath(new URL('../..', import.meta.url))

export type Ended = { code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }

export type Running = {
  child: ChildProcess
  /** All that it has said so far, on both streams. */
  said: () => string
  /** Resolves when it has said that; rejects where it ends without. */
  says: (words: RegExp) => Promise<void>
  /** Sends the signal, and resolves when it is gone. */
  end: (signal?: NodeJS.Signals) => Promise<Ended>
  ended: Promise<Ended>
}

export type Surroundings = {
  cwd?: string
  env?: Record<string, string | undefined>
  /** Signals reach all that it starts, as those of a terminal do. */
  group?: boolean
  /** Nothing but `env` is in its environment. */
  bare?: boolean
  /** Descriptors of this process that become 3, 4, … of that one. */
  fds?: readonly number[]
}

/** Starts `command`; it does not outlive the test. The variables that make a child of the test runner of it are left out. */
export function spawned(
  t: TestContext,
  command: string,
  args: readonly string[],
  { cwd = repository, env = {}, group = false, bare = false, fds = [] }: Surroundings = {},
): Running {
  const { NODE_TEST_CONTEXT: _, NODE_OPTIONS: __, ...inherited } = process.env
  const child = spawn(command, args, {
    cwd,
    env: bare ? env : { ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'pipe', ...fds],
    detached: group,
  })
  const signalled = (signal: NodeJS.Signals) => {
    if (group && child.pid !== undefined && child.exitCode === null && child.signalCode === null) process.kill(-child.pid, signal)
    else child.kill(signal)
  }
  t.after(() => signalled('SIGKILL'))
  const texts = { stdout: '', stderr: '' }
  const heard = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text
      for (const listener of heard) listener()
    })
  const said = () => texts.stdout + texts.stderr
  const ended = once(child, 'close').then(([code, signal]: Ended[keyof Ended][]) => ({ code, signal, ...texts }) as Ended)
  return {
    child,
    said,
    ended,
    says: (words) =>
      new Promise((resolve, reject) => {
        const listener = () => {
          if (!words.test(said())) return
          heard.delete(listener)
          resolve()
        }
        heard.add(listener)
        listener()
        void ended.then(({ code, signal }) => reject(new Error(`It ended (${code ?? signal}) without saying ${words}:\n${said()}`)))
      }),
    end(signal = 'SIGTERM') {
      signalled(signal)
      return ended
    },
  }
}

/** What `meshidp ARGS` is here. `options`: of Node. */
export const commandLine = (args: readonly string[], ...options: readonly string[]): string[] =>
  executable === undefined
    ? [process.execPath, '--liftoff-only', '--disable-warning=ExperimentalWarning', ...options, program, ...args]
    : [executable, ...args]

/** Runs `meshidp ARGS`; the single executable in an empty environment. `preload`: a module that is loaded before it, but for the single executable; `under`: a command that runs it, such as `unshare`. */
export function meshidp(
  t: TestContext,
  args: readonly string[],
  { preload, under = [], ...surroundings }: Surroundings & { preload?: string; under?: readonly string[] } = {},
): Running {
  const [command, ...rest] = [...under, ...commandLine(args, ...(preload ? ['--import', preload] : []))] as [string, ...string[]]
  return spawned(t, command, rest, { bare: executable !== undefined, ...surroundings })
}

export type Installation = {
  directory: string
  configFile: string
  policyFile: string
  issuer: string
  port: number
  mesh: DevMesh
  /** Starts the daemon, and resolves when it serves; rejects with all that it said where it does not. */
  serve: (surroundings?: Parameters<typeof meshidp>[2]) => Promise<Running>
  /** Runs another command to its end. */
  run: (...args: string[]) => Promise<Ended>
  /** Whoever is at this loopback address. */
  at: (address: string) => Person
}

/** The secrets of the example policy's clients, where a test needs no chance in them. */
export const secretOf = (name: string) => `the-secret-of-${name}`

/** Writes configuration, policy and secrets, and starts a development mesh in this process. */
export async function install(
  t: TestContext,
  { policy = changedPolicy(() => undefined), config = {} }: { policy?: string; config?: Partial<ConfigInput> } = {},
): Promise<Installation> {
  const directory = temporaryDirectory(t)
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  const policyFile = join(directory, 'policy.hujson')
  const configFile = join(directory, 'config.hujson')
  const socket = join(directory, 'mesh.sock')
  const written: ConfigInput = {
    issuer,
    state_directory: join(directory, 'state'),
    runtime_directory: join(directory, 'run'),
    secrets_directory: directory,
    policy_file: policyFile,
    listen: { port },
    mesh: { socket },
    development: true,
    email_domains: ['example.com'],
    ...config,
  }
  writeFileSync(policyFile, policy)
  writeFileSync(configFile, JSON.stringify(written))
  for (const name of ['grafana', 'wiki-server', 'notes-server']) writeFileSync(join(directory, name), secretOf(name), { mode: 0o600 })
  const mesh = await startDevMesh({ socket })
  t.after(() => mesh.close())
  return {
    directory,
    configFile,
    policyFile,
    issuer,
    port,
    mesh,
    async serve(surroundings) {
      const running = meshidp(t, ['serve', '--config', configFile], surroundings)
      await running.says(/"msg":"meshidp serves /)
      t.after(() => assertNoSecretIn(running.said()))
      return running
    },
    run: (...args) => meshidp(t, [...args, '--config', configFile]).ended,
    at: (address) => personAt(t, issuer, address),
  }
}
