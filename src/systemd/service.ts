/** The daemon as a service of systemd: says when it is ready, how it is, and, as long as its event loop and its store answer, that it lives. */
import type { Daemon } from '../daemon.ts'
import { certificateInWords } from '../http/certificate_state.ts'
import { policyInWords } from '../http/policy_state.ts'
import type { Rounds } from '../rounds.ts'
import { startRounds } from '../rounds.ts'
import type { Notify } from './notify.ts'

/** How often what `systemctl status` shows is looked at, in milliseconds; told only where it has changed. */
const statusEvery = 2000

/** The daemon in a line, for `systemctl status`. */
function inWords({ deps, addresses }: Daemon): string {
  const mesh = deps.identity.status()
  const { resources, clients } = deps.policy()
  const listening = addresses()
  const certificate = deps.certificate()
  return [
    ...deps.troubles().map(({ sentence }) => sentence),
    policyInWords(deps.policyState()),
    `${resources.size} resources, ${clients.size} clients.`,
    mesh.running ? `Mesh: ${mesh.name}.` : `Mesh: ${mesh.state}`,
    ...(certificate ? [certificateInWords(certificate, deps.now())] : []),
    deps.unheard() ?? (listening.length > 0 ? `Listening on ${listening.join(', ')}.` : 'Not listening yet.'),
  ].join(' ')
}

export type Service = {
  /** Loads the policy again, as at SIGHUP. */
  reload: () => void
  /** Says that it stops. */
  stopping: () => Promise<void>
}

/** Says that the daemon is ready, and goes on saying how it is. */
export async function serveSystemd(daemon: Daemon, notify: Notify): Promise<Service> {
  const { deps } = daemon
  let said = ''
  const rounds: Rounds[] = []
  async function tell(): Promise<void> {
    const now = inWords(daemon)
    if (now !== said) await notify(null, now)
    said = now
  }
  said = inWords(daemon)
  await notify('READY=1', said)
  rounds.push(startRounds(statusEvery, tell))
  // Twice as often as wanted. A disk that is full or a mesh that is dark is not healed by a restart, so neither is asked about; a store that does not even
  // answer a question is.
  if (notify.watchdog !== null)
    rounds.push(
      startRounds(notify.watchdog / 2, async () => {
        const alive = await deps.store.meta.find('tailnet').then(
          () => true,
          (error: Error) => {
            deps.log.error({ err: error }, 'the store does not answer, so systemd is not told that this daemon lives')
            return false
          },
        )
        if (alive) await notify('WATCHDOG=1')
      }),
    )
  return {
    reload() {
      void notify('RELOADING=1')
      daemon.reload('SIGHUP')
      said = inWords(daemon)
      void notify('READY=1', said)
    },
    async stopping() {
      void notify('STOPPING=1')
      await Promise.all(rounds.map((round) => round.stop()))
    },
  }
}
