/**
 * A real mesh for one test file: a control plane, and a tailscaled for each machine, in userspace mode or with TUN devices on a LAN. It runs in the
 * namespace that run.ts makes.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { type Dispatcher, ProxyAgent, fetch as undiciFetch } from 'undici'
import { validFor } from '../support/certificate.ts'
import { eventually } from '../support/eventually.ts'
import { freePort, temporaryDirectory } from '../support/start.ts'
import { binaries } from './binaries.ts'
import type { Host, Lan } from './lan.ts'

export const domain = 'mesh.test'

/** What the control plane says (the document of test/mesh/lab). */
export type MeshDocument = {
  /** By login name; `groups` as whois shows them. */
  people: Record<string, { id: number; name?: string; groups?: string[] }>
  /** By host name. One with tags is nobody's. */
  machines: Record<string, { person?: string; tags?: string[]; attributes?: string[]; expired?: boolean; removed?: boolean }>
  /** `src` and `dst` hold `*`, login names, groups, tags and host names. */
  grants?: { src: string[]; dst: string[]; app: Record<string, unknown[]> }[]
}

export type Machine = {
  name: string
  /** Its name in the mesh, with which its certificate goes. */
  host: string
  /** Its IPv4 address in the mesh. */
  address: string
  /** Of its tailscaled's LocalAPI. */
  socket: string
  /** Where it is, if that is a host on a LAN. */
  on?: Host
  /** PEM files of the certificate for `host`, which its tailscaled serves, too. */
  certificate: { cert: string; key: string }
  /** Of its own tailscaled: an HTTP proxy, as HTTPS_PROXY takes it. */
  proxy: string
  /** The way through this machine's own tailscaled, for undici; it believes every certificate. */
  dispatcher: Dispatcher
  /** A request on that way, as any process of this machine makes one. */
  fetch: typeof fetch
  /** Runs `tailscale ARGS` on it; resolves with what that prints. Rejects where it fails. */
  tailscale: (...args: string[]) => Promise<string>
  /** Stops, hangs or wakes its tailscaled. */
  signal: (signal: NodeJS.Signals) => void
  /** Kills its tailscaled, without a goodbye. */
  kill: () => Promise<void>
  /** Starts it again, after `kill`. */
  start: () => Promise<void>
  /** Kills it, and starts it again as one that is in no mesh yet. */
  forget: () => Promise<void>
  /** Joins as another node than before. Resolves with the new address. */
  joinAnew: () => Promise<string>
  /** The URL of its control plane. */
  control: string
  /** What `tailscale up` takes here. */
  joining: readonly string[]
}

export type Mesh = {
  machine: (name: string) => Machine
  /** Changes what the control plane says; every node hears of it at once. */
  change: (edit: (document: MeshDocument) => void) => Promise<void>
  /** One more machine, which the document has to name by then. */
  join: (name: string) => Promise<Machine>
  /** Hangs or wakes the control plane. */
  signalControl: (signal: NodeJS.Signals) => void
}

const quiet = {
  TS_NO_LOGS_NO_SUPPORT: 'true',
  // Certificates lie ready, and nobody is asked to renew them.
  TS_DEBUG_ACME_DIRECTORY_URL: 'http://127.0.0.1:1/',
}

/**
 * Starts the mesh, and resolves when every machine is in it and knows all others. It ends with the test. With a LAN its machines have TUN devices: the first
 * one in the test's own namespace, the others on hosts of theirs.
 */
export async function mesh(t: TestContext, document: MeshDocument, { lan }: { lan?: Lan } = {}): Promise<Mesh> {
  const directory = temporaryDirectory(t)
  const port = await freePort()
  const ip = lan?.here.address ?? '127.0.0.1'
  const control = `http://${ip}:${port}`
  const lab = spawn(join(binaries(), 'lab'), [`-ip=${ip}`, `-port=${port}`, `-domain=${domain}`], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => ended(lab))
  await once(createInterface({ input: lab.stdout }), 'line')

  let said = structuredClone(document)
  const put = async () => {
    const answer = await fetch(`${control}/document`, { method: 'PUT', body: JSON.stringify(said) })
    if (!answer.ok) throw new Error(await answer.text())
  }
  await put()

  const machines = new Map<string, Machine>()
  const joining = async (name: string) => {
    const host = machines.size === 0 ? lan?.here : await lan?.host()
    const machine = await joined(t, { directory: join(directory, name), name, control, host })
    machines.set(name, machine)
    return machine
  }
  // One after the other, so that the addresses come in this order.
  for (const name of Object.keys(document.machines)) await joining(name)
  for (const one of machines.values())
    await eventually(`${one.name} knows the others`, async () => {
      const { Peer } = JSON.parse(await one.tailscale('status', '--json')) as { Peer: Record<string, unknown> | null }
      return Object.keys(Peer ?? {}).length === machines.size - 1
    })
  return {
    machine(name) {
      const found = machines.get(name)
      if (!found) throw new Error(`there is no machine ${name}`)
      return found
    },
    async change(edit) {
      said = structuredClone(said)
      edit(said)
      await put()
    },
    join: joining,
    signalControl: (signal) => void lab.kill(signal),
  }
}

/** Kills a process, and resolves when it is gone. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGCONT')
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** Puts a certificate where the tailscaled with this folder finds it, as if it had got it from somewhere. */
export function layCertificate(directory: string, host: string, { cert, key } = validFor(90, host)): Machine['certificate'] {
  const folder = join(directory, 'certs')
  const files = { cert: join(folder, `${host}.crt`), key: join(folder, `${host}.key`) }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeFileSync(files.cert, cert)
  writeFileSync(files.key, key, { mode: 0o600 })
  return files
}

type Joining = { directory: string; name: string; control: string; host: Host | undefined }

async function joined(t: TestContext, { directory, name, control, host: on }: Joining): Promise<Machine> {
  const host = `${name}.${domain}`
  const socket = join(directory, 'tailscaled.sock')
  const certificate = layCertificate(directory, host)
  const listen = `${on?.address ?? '127.0.0.1'}:${await freePort()}`
  const proxy = `http://${listen}`
  const options = [
    '--no-logs-no-support',
    '--port=0',
    `--statedir=${directory}`,
    `--socket=${socket}`,
    `--outbound-http-proxy-listen=${listen}`,
  ]
  const tun = on ? 'tailscale0' : 'userspace-networking'
  const [program, ...args] = [...(on?.under ?? []), join(binaries(), 'tailscaled'), `--tun=${tun}`, ...options] as [string, ...string[]]
  let child: ChildProcess
  const start = async () => {
    child = spawn(program, args, {
      stdio: ['ignore', 'ignore', openSync(join(directory, 'log'), 'a')],
      env: { ...process.env, ...quiet },
    })
    await eventually(`${name} answers`, () => tailscale('version', '--daemon').catch(() => false))
  }
  const tailscale = async (...args: string[]) =>
    (await promisify(execFile)(join(binaries(), 'tailscale'), [`--socket=${socket}`, ...args], { env: { ...process.env, ...quiet } }))
      .stdout
  t.after(() => ended(child))
  const joining = [`--login-server=${control}`, `--hostname=${name}`, '--accept-dns=false', '--timeout=30s']
  const up = async () => {
    await tailscale('up', ...joining)
    const [address = ''] = (await tailscale('ip', '-4')).split('\n')
    return address
  }
  const forget = async () => {
    await ended(child)
    rmSync(join(directory, 'tailscaled.state'))
    await start()
  }
  await start()
  const address = await up()

  const dispatcher = new ProxyAgent({ uri: proxy, proxyTunnel: true, requestTls: { rejectUnauthorized: false } })
  t.after(() => dispatcher.destroy())
  return {
    name,
    host,
    address,
    socket,
    ...(on && { on }),
    certificate,
    proxy,
    dispatcher,
    fetch: ((input: string, init?: RequestInit) => undiciFetch(input, { ...init, dispatcher } as never)) as unknown as typeof fetch,
    tailscale,
    signal: (signal) => void child.kill(signal),
    kill: () => ended(child),
    start,
    forget,
    async joinAnew() {
      await forget()
      return up()
    },
    control,
    joining,
  }
}
