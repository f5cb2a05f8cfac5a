import { startDaemon } from '../daemon.ts'
import type { Command } from './command.ts'
import { configOption, readConfig } from './config_file.ts'
import { createLog } from './log.ts'

export const serve: Command = {
  summary: 'run the daemon',
  description:
    'Runs the daemon until SIGTERM or SIGINT. The policy is loaded again when its file changes, and at SIGHUP; the last good one stays if the new one is not usable.',
  options: { config: configOption },
  async run(terminal, values) {
    const config = readConfig(terminal, values)
    const log = await createLog(config.log_level, terminal)
    const daemon = await startDaemon({ config, log, credentials: terminal.env.CREDENTIALS_DIRECTORY })
    log.info({ issuer: config.issuer, addresses: daemon.addresses(), policy: daemon.deps.policy().hash }, `meshidp serves ${config.issuer}`)
    const signal = await terminal.untilStopped(() => daemon.reload('SIGHUP'))
    log.info({ signal }, `stopping after ${signal}`)
    await daemon.close()
    return 0
  },
}
