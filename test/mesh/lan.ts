/**
 * A LAN with the test's own network namespace on it: a bridge, and hosts in namespaces of their own. Where TUN devices can be made, machines of a mesh can
 * live there, and so can strangers who are on the LAN only.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { eventually } from '../support/eventually.ts'

export type Host = {
  /** On the LAN. */
  address: string
  /** What to put before a command that shall run there. */
  under: readonly string[]
  /** Runs a command there; resolves with what it prints. Rejects where it fails. */
  run: (...command: string[]) => Promise<string>
}

export type Lan = {
  /** The test's own namespace. */
  here: Host
  /** One more host; it goes when the test ends. */
  host: () => Promise<Host>
}

/** Why there can be no TUN device with a firewall here, as a sentence; null where there can. */
export function whyNoTun(): string | null {
  const steps = [
    ['ip', 'tuntap', 'add', 'dev', 'probe', 'mode', 'tun'],
    ['ip', 'link', 'delete', 'probe'],
    ['iptables', '-S'],
    ['ip6tables', '-S'],
  ]
  for (const [command = '', ...args] of steps)
    try {
      execFileSync(command, args, { stdio: 'pipe' })
    } catch (error) {
      return `the TUN suite did not run: ${(error as Error).message.trim().split('\n').join(': ')}`
    }
  return null
}

/** A private one: with any other tailscaled tries https with its control plane, too. */
const prefix = '10.64.0.'

function at(address: string, under: readonly string[]): Host {
  return {
    address,
    under,
    async run(...command) {
      const [program, ...args] = [...under, ...command] as [string, ...string[]]
      return (await promisify(execFile)(program, args)).stdout
    },
  }
}

/** Makes the LAN; once in a namespace. */
export async function lan(t: TestContext): Promise<Lan> {
  const here = at(`${prefix}1`, [])
  await here.run('ip', 'link', 'add', 'lan', 'type', 'bridge')
  await here.run('ip', 'address', 'add', `${here.address}/24`, 'dev', 'lan')
  await here.run('ip', 'link', 'set', 'lan', 'up')
  let hosts = 10
  return {
    here,
    async host() {
      const number = hosts++
      const holder = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' })
      t.after(() => void holder.kill('SIGKILL'))
      const namespace = `/proc/${holder.pid}/ns/net`
      await eventually('a namespace', () => readlinkSync(namespace) !== readlinkSync('/proc/self/ns/net'))
      const host = at(`${prefix}${number}`, ['nsenter', `--net=${namespace}`])
      await here.run('ip', 'link', 'add', `near${number}`, 'type', 'veth', 'peer', 'name', `far${number}`)
      await here.run('ip', 'link', 'set', `near${number}`, 'master', 'lan', 'up')
      await here.run('ip', 'link', 'set', `far${number}`, 'netns', String(holder.pid), 'name', 'eth0')
      await host.run('ip', 'link', 'set', 'lo', 'up')
      await host.run('ip', 'address', 'add', `${host.address}/24`, 'dev', 'eth0')
      await host.run('ip', 'link', 'set', 'eth0', 'up')
      return host
    },
  }
}
