import { startDaemon } from '../daemon.ts'
import { createNotify } from '../systemd/notify.ts'
import { type Service, serveSystemd } from '../systemd/service.ts'
import { inheritedSockets } from '../systemd/sockets.ts'
import { thisUser } from '../this_user.ts'
import type { Command } from './command.ts'
import { configOption, readConfig } from './config_file.ts'
import { createLog } from './log.ts'

/** Clients that kept a connection learn on it that the daemon stops, instead of finding it closed under what they were sending. Milliseconds. */
const linger = 1000

export const serve: Command = {
  summary: 'run the daemon',
  description:
    'Runs the daemon until SIGTERM or SIGINT. The policy is loaded again when its file changes, and at SIGHUP; the last good one stays if the new one is not usable.',
  options: { config: configOption },
  async run(terminal, values) {
    // A socket is there for a moment before its mode can be set, and whoever opened it by then has it open.
    terminal.keepPrivate()
    // Whoever has changed the policy while it starts says so to a process that cannot reload yet: it does when it can, since it may have read the former text.
    const { promise: serving, resolve: canReload } = Promise.withResolvers<Service>()
    terminal.onHangup(async () => (await serving).reload())
    const config = readConfig(terminal, values)
    const log = await createLog(config.log_level, terminal)
    if (thisUser().uid === 0 && !config.development)
      log.warn(
        {},
        'This daemon runs as root, which it does not need: whoever found a fault in it would have the machine. Run it as a user of its own.',
      )
    const { env, pid } = terminal
    const notify = createNotify(env, pid, (err) => log.warn({ err }, 'systemd could not be told; is systemd-notify there?'))
    const sockets = inheritedSockets(env, pid)
    const daemon = await startDaemon({ config, log, sockets, linger, credentials: env.CREDENTIALS_DIRECTORY, usage: terminal.usage })
    const { issuer } = daemon.deps.config
    log.info({ issuer, addresses: daemon.addresses(), policy: daemon.deps.policy().hash }, `meshidp serves ${issuer}`)
    const service = await serveSystemd(daemon, notify)
    canReload(service)
    const signal = await terminal.untilStopped()
    log.info({ signal }, `stopping after ${signal}`)
    await service.stopping()
    await daemon.close()
    return 0
  },
}
