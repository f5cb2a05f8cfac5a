import { importFrom } from '../backup/transfer.ts'
import { systemClock } from '../daemon.ts'
import { StateInUse } from '../store/refused.ts'
import { Refused } from './ask.ts'
import { type Command, UsageError } from './command.ts'
import { configOption, readConfig } from './config_file.ts'
import { inJson } from './json.ts'
import { table } from './table.ts'

export const importLines: Command = {
  summary: 'take what another installation has exported, while no daemon runs',
  usage: 'FILE',
  description: `Takes the rows of FILE, all or none; what is here already stays as it is. Authorizations come as ended ones, so people sign in anew. Makes keys where there is
no state yet. Stop the daemon first.`,
  options: { config: configOption, json: { type: 'boolean', help: 'say what came as JSON' } },
  async run(terminal, values, [file, ...more]) {
    if (file === undefined || more.length > 0) throw new UsageError('Say which: meshidp import FILE')
    const config = readConfig(terminal, values)
    const place = { now: systemClock, credentials: terminal.env.CREDENTIALS_DIRECTORY }
    const imported = await importFrom(config, file, place).catch((error: Error) => {
      throw error instanceof StateInUse ? new Refused(`A daemon uses ${config.state_directory}. Stop it first.`) : error
    })
    const rows = Object.entries(imported.came).map(([type, { added, there }]) => [`${type}s`, String(added), String(there)])
    terminal.write(values.json ? inJson(imported) : table(['ROWS', 'ADDED', 'HERE ALREADY'], rows))
    return 0
  },
}
