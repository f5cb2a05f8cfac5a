import { exportTo } from '../backup/transfer.ts'
import { systemClock } from '../daemon.ts'
import { type Command, UsageError } from './command.ts'
import { configOption, readConfig } from './config_file.ts'

export const exportLines: Command = {
  summary: 'write what moves to another installation as JSON Lines',
  usage: 'FILE',
  description: `Writes clients, consents, authorizations and decisions into FILE, which must not be there yet (0600), a line each, as they are at one moment; the daemon goes on
meanwhile. Secrets are digests, as they are kept. Keys, codes and tokens are not in it: to move those too, make a backup.`,
  options: { config: configOption },
  async run(terminal, values, [file, ...more]) {
    if (file === undefined || more.length > 0) throw new UsageError('Say where: meshidp export FILE')
    const { rows } = await exportTo(readConfig(terminal, values), file, systemClock())
    terminal.write(`${file}: ${rows} rows.\n`)
    return 0
  },
}
