/** One machine of the lab as its machine's own: with its tailscaled where every program looks for it. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import type { Machine } from './mesh.ts'

/** Empties the folder for sockets of services, for this test file alone: it runs in a mount namespace of its own. */
export const noServices = () => void execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/var/run'])

/** Lets this machine's tailscaled be the one of the usual place. */
export function atUsualPlace({ socket }: Machine): void {
  mkdirSync('/var/run/tailscale')
  symlinkSync(socket, '/var/run/tailscale/tailscaled.sock')
}
