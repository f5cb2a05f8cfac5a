/** A real daemon for a test: real SQLite, real keys, real HTTP on loopback, a development mesh; only clock and outbound fetch can be set. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { inspect } from 'node:util'
import { type Development, examplePolicy, startDevelopment } from '../../src/cli/dev.ts'
import type { ConfigInput } from '../../src/config.ts'
import type { DaemonOptions } from '../../src/daemon.ts'
import type { Log } from '../../src/deps.ts'
import { eventually } from './eventually.ts'
import { executable } from './executable.ts'
import { type Person, personAt } from './person.ts'
import { assertNoSecretIn } from './secrets_seen.ts'
import { clockApart, startApart } from './start_apart.ts'

export type Clock = { now: () => number; advance: (by: { seconds?: number; minutes?: number; hours?: number; days?: number }) => void }

export type LogLine = { level: 'debug' | 'info' | 'warn' | 'error'; fields: Record<string, unknown>; message: string }

export type Started = Development & {
  issuer: string
  clock: Clock
  /** Everything that was logged. */
  logged: LogLine[]
  alice: Person
  /** Alice's other machine. */
  alicePhone: Person
  bob: Person
  carol: Person
  mallory: Person
  /** Tagged `tag:ci`. */
  ci: Person
  /** Loads a changed policy; returns what came of it. */
  setPolicy: (text: string) => ReturnType<Development['daemon']['reload']>
  /** Stops this daemon and starts another one on the same state, port and clock. */
  restart: () => Promise<Started>
}

/** Limits for tests in which one address asks very often, or very much at the same moment, and that is not what they are about. */
export const unhurried = { per_address: { rate: 1e9, burst: 1e9 }, at_once: 1000 }

export type StartOptions = {
  /** Text of the policy; default: the example policy. */
  policy?: string
  config?: Partial<ConfigInput>
  /** The issuer's path, such as `/idp`; default: none. */
  path?: string
  fetch?: DaemonOptions['fetch']
  randomBytes?: DaemonOptions['randomBytes']
}

/** A clock that stands still until it is moved. Begins at today's second, so that certificates and JWT libraries agree with it. */
export function testClock(): Clock {
  let at = Math.floor(Date.now() / 1000)
  return {
    now: () => at,
    advance: ({ seconds = 0, minutes = 0, hours = 0, days = 0 }) => {
      at += seconds + 60 * (minutes + 60 * (hours + 24 * days))
    },
  }
}

/** Listens on a port of loopback; null where somebody else does. */
const listening = (port: number): Promise<Server | null> =>
  new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(null))
    server.listen(port, '127.0.0.1', () => resolve(server))
  })

/**
 * Test files run side by side, each in a process of its own: each has a block of ports for itself, outside of the range that outgoing connections take theirs
 * from. It is whose process listens on the first port of it, until that process ends.
 */
const blocks = { first: 20_000, size: 250, count: 50 }
let block: Promise<number> | undefined
let portsGiven = 0

async function claimBlock(): Promise<number> {
  for (let tried = 0; tried < blocks.count; tried++) {
    const first = blocks.first + ((process.pid + tried) % blocks.count) * blocks.size
    const claim = await listening(first)
    claim?.unref()
    if (claim) return first
  }
  throw new Error('More than 50 test files run side by side: there are no ports left.')
}

/** A loopback port that nobody listens on now, and the one after it, which no other test process is given. */
export async function freePort(): Promise<number> {
  block ??= claimBlock()
  const port = (await block) + 2 + ((2 * portsGiven++) % (blocks.size - 2))
  const server = await listening(port)
  if (!server) return freePort()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** A log that a test can read. */
export function testLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = []
  const at = (level: LogLine['level']) => (fields: object, message: string) =>
    void lines.push({ level, fields: fields as Record<string, unknown>, message })
  return { log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, lines }
}

/** An empty folder that goes when the test ends. */
export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'meshidp-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/**
 * Starts a daemon on a development mesh; it stops, and its files go, when the test ends. Where there is an `executable`, as a process of that, without the
 * seams. A test in whose log a secret stands fails.
 */
export async function start(t: TestContext, options: StartOptions = {}): Promise<Started> {
  const directory = temporaryDirectory(t)
  return startIn(t, directory, await freePort(), executable === undefined ? testClock() : clockApart(directory), options)
}

async function startIn(t: TestContext, directory: string, port: number, clock: Clock, options: StartOptions): Promise<Started> {
  const policyFile = join(directory, 'policy.hujson')
  // A copy of its own, since `setPolicy` writes it; a restart finds it as it was left.
  if (!existsSync(policyFile)) writeFileSync(policyFile, options.policy ?? readFileSync(examplePolicy))
  const { log, lines } = testLog()
  const place = {
    port,
    directory,
    // `setPolicy` loads at once; and the file lies beside the database, where every commit would wake the watch.
    more: { policy_watch: false, ...(options.path && { issuer: `http://localhost:${port}${options.path}` }), ...options.config },
    policyFile,
  }
  const seams = { ...(options.fetch && { fetch: options.fetch }), ...(options.randomBytes && { randomBytes: options.randomBytes }) }
  const development =
    executable === undefined
      ? await startDevelopment({ ...place, ...seams, log, page: false, now: clock.now })
      : await startApart(t, executable, place)
  let open = true
  const close = async () => {
    if (!open) return
    open = false
    await development.close()
  }
  t.after(async () => {
    await close()
    assertNoSecretIn(lines.map(({ fields, message }) => `${message} ${inspect(fields, { depth: 20, maxStringLength: null })}`).join('\n'))
  })
  // Where this process is busy with other tests, the first question to the mesh may have taken longer than the daemon waits.
  if (executable === undefined) await eventually('the mesh is seen', () => development.daemon.deps.identity.status().running)
  const { issuer } = development.config
  const at = (address: string) => personAt(t, issuer, address)
  return {
    ...development,
    close,
    issuer,
    clock,
    logged: lines,
    alice: at('127.0.0.2'),
    alicePhone: at('127.0.0.8'),
    bob: at('127.0.0.3'),
    carol: at('127.0.0.4'),
    mallory: at('127.0.0.5'),
    ci: at('127.0.0.6'),
    setPolicy(text) {
      writeFileSync(development.config.policy_file, text)
      return development.daemon.reload()
    },
    async restart() {
      await close()
      return startIn(t, directory, port, clock, options)
    },
  }
}
