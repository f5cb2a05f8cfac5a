/** What this machine tells of itself, as far as this user may know it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** '' where it may not be read, or there is no such file. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** A variable of the environment that a process was started with. */
const startedWith = (process: string | number, variable: string): string | undefined =>
  new RegExp(`(?:^|\\0)${variable}=([^\\0]*)`).exec(textOf(`/proc/${process}/environ`))?.[1]

/** `sudo` takes SSH_CONNECTION out of the environment; so many processes above this one are asked for theirs. */
const mostAncestors = 16

/** The address that the SSH session of this process, or of one above it, comes from. */
export function sshAddress(env: Readonly<Record<string, string | undefined>>, pid: number): string | undefined {
  let connection = env.SSH_CONNECTION
  for (let at = pid, seen = 0; connection === undefined && at > 1 && seen < mostAncestors; seen++) {
    connection = startedWith(at, 'SSH_CONNECTION')
    at = Number(/^PPid:\s*(\d+)/m.exec(textOf(`/proc/${at}/status`))?.[1] ?? 0)
  }
  return connection?.split(' ')[0] || undefined
}

/** The number of a user, as /etc/passwd has it; undefined where there is none of that name. */
const numberOf = (user: string): string | undefined => new RegExp(`^${user}:[^:]*:(\\d+):`, 'm').exec(textOf('/etc/passwd'))?.[1]

/** Whether a tailscaled of this machine was started with the word that lets this user have certificates. Only root sees that. */
export function mayHaveCertificates(user: string): boolean {
  const names = [user, numberOf(user)]
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && textOf(`/proc/${name}/comm`).trim() === 'tailscaled')
    .some((name) => names.includes(startedWith(name, 'TS_PERMIT_CERT_UID') ?? ''))
}

export const hasSystemd = (): boolean => existsSync('/run/systemd/system')
