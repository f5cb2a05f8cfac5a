/** A machine with a real systemd for a test: a container on a Debian that was made once, with a network of its own that leads nowhere. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { selfSigned } from '../support/certificate.ts'
import { eventually } from '../support/eventually.ts'
import { repository } from '../support/program.ts'
import { temporaryDirectory } from '../support/start.ts'

const packages = ['systemd', 'systemd-sysv', 'dbus', 'iproute2']
const codename = () => /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'stable'
const base = () => join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'meshidp', `systemd-${codename()}`)

/** Why these tests cannot run here, in a sentence; null where they can. */
export function unable(): string | null {
  if (process.getuid?.() !== 0) return 'a container with a systemd of its own takes root'
  for (const program of ['systemd-nspawn', 'debootstrap', 'nsenter'])
    if (!['/usr/bin', '/usr/sbin', '/bin', '/sbin'].some((folder) => existsSync(join(folder, program)))) return `${program} is not there`
  return null
}

/** The Debian that every machine begins as; made where it is missing, from where this machine has its packages. 40 s. */
function debian(): string {
  if (existsSync(base())) return base()
  mkdirSync(dirname(base()), { recursive: true })
  const into = mkdtempSync(join(dirname(base()), 'making-'))
  console.error('test:systemd: making a Debian for the container; this takes a minute, once …')
  const [mirror = ''] = execFileSync('apt-get', ['indextargets', '--format', '$(REPO_URI)'], { encoding: 'utf8' }).split('\n')
  execFileSync('debootstrap', ['--variant=minbase', `--include=${packages.join(',')}`, codename(), into, mirror], {
    stdio: ['ignore', 'ignore', 2],
  })
  renameSync(into, base())
  return base()
}

export type Ran = { code: number; stdout: string; stderr: string }

export type Machine = {
  /** Runs a command in it; never rejects for its exit code. */
  run: (command: string, ...args: string[]) => Promise<Ran>
  /** The same, by its shell; rejects where that fails. */
  sh: (script: string) => Promise<string>
  /** Of the folder that is /etc/meshidp in it. */
  etc: string
}

/** Boots one, with this checkout at /opt/meshidp, and the mesh of `local_api.ts`, in which it is 100.64.0.1. It is gone when the test ends. */
export async function boot(t: TestContext): Promise<Machine> {
  const etc = temporaryDirectory(t)
  const { cert, key } = selfSigned('idp.example.ts.net', '100.64.0.1')
  writeFileSync(join(etc, 'tls.crt'), cert)
  writeFileSync(join(etc, 'tls.key'), key)
  const container = spawn(
    'systemd-nspawn',
    [
      '--quiet',
      `--directory=${debian()}`,
      '--volatile=overlay',
      '--boot',
      '--register=no',
      '--keep-unit',
      '--private-network',
      '--console=read-only',
      `--machine=meshidp-${process.pid}`,
      `--bind-ro=${repository}:/opt/meshidp`,
      `--bind-ro=${process.execPath}:/usr/local/bin/node`,
      `--bind=${etc}:/etc/meshidp`,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let said = ''
  for (const stream of [container.stdout, container.stderr]) stream.on('data', (chunk) => (said += chunk))
  t.after(() => ended(container))
  const pid = await eventually(`the container (${said})`, () => initOf(container))
  const run = async (command: string, ...args: string[]): Promise<Ran> => {
    const inside = ['-t', String(pid), '-m', '-u', '-i', '-n', '-p', '--', '/usr/bin/env', '-i', `PATH=${path}`, command, ...args]
    return promisify(execFile)('nsenter', inside, { maxBuffer: 1 << 26 }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: { code?: unknown; stdout?: string; stderr?: string }) => ({
        code: typeof error.code === 'number' ? error.code : 1,
        stdout: error.stdout ?? '',
        stderr: error.stderr ?? String(error),
      }),
    )
  }
  const sh = async (script: string) => {
    const { code, stdout, stderr } = await run('bash', '-euc', script)
    if (code !== 0) throw new Error(`${script}: ${code}\n${stdout}${stderr}`)
    return stdout
  }
  await eventually('systemd is up', async () => /running|degraded/.test((await run('systemctl', 'is-system-running')).stdout))
  await sh(`ip link set lo up
    for n in 1 2 3; do ip address add 100.64.0.$n/10 dev lo; done
    mkdir -p /var/run/tailscale
    echo 100.64.0.1 > /run/tailscale/tailscaled.sock.addresses
    install -m 755 /opt/meshidp/dist/meshidp-linux-${process.arch} /usr/local/bin/meshidp
    systemd-run --quiet --unit=tailscaled node --disable-warning=ExperimentalWarning /opt/meshidp/test/systemd/local_api.ts /run/tailscale/tailscaled.sock`)
  await eventually('the mesh', async () => (await run('test', '-S', '/run/tailscale/tailscaled.sock')).code === 0)
  await sh('chmod 666 /run/tailscale/tailscaled.sock')
  return { run, sh, etc }
}

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** The first process of the container, as this machine numbers it. */
function initOf({ pid }: ChildProcess): number | null {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/)
  for (const child of children) if (child !== '' && readFileSync(`/proc/${child}/comm`, 'utf8').trim() === 'systemd') return Number(child)
  return null
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const over = once(child, 'exit')
  const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
  await over
  clearTimeout(timer)
}
