import { readIdentities, readPassphrase } from '../backup/encryption.ts'
import { type Restored, restore as restoreBackup } from '../backup/restore.ts'
import type { Config } from '../config.ts'
import { systemClock } from '../daemon.ts'
import { StateInUse } from '../store/refused.ts'
import { Refused } from './ask.ts'
import { secretFrom } from './backup_secret.ts'
import { type Command, UsageError } from './command.ts'
import { configOption, readConfig } from './config_file.ts'
import { inJson } from './json.ts'
import { shownTime } from './table.ts'

function inWords({ file, made_at, issuer, keys, former }: Restored, config: Config): string {
  return [
    `Restored ${file}${made_at === null ? '' : ` of ${shownTime(made_at)}`}.\n`,
    'Everybody signs in anew: no code, token or consent of the former time is good any more. Software that was revoked since the backup is there again,\nwithout any token: meshidp clients list\n',
    ...(keys ? [] : ['The signing keys are those that were there: this file holds none.\n']),
    ...(config.issuer !== undefined && issuer !== null && issuer !== config.issuer
      ? [`It is of ${issuer}, but this one is ${config.issuer}: clients of the one do not know the other.\n`]
      : []),
    ...(former === null ? [] : [`The former state is in ${former}. Remove it when nothing of it is needed: its keys are still good.\n`]),
  ].join('')
}

export const restore: Command = {
  summary: 'put a backup in the place of the state, while no daemon runs',
  usage: 'FILE',
  description: `Verifies FILE, a backup or the copy that was made before a migration, and puts it in the place of the state at once: whatever happens meanwhile, it is the
old one or the new one. Codes, tokens, refresh tokens, consents and initial access tokens of the former time are void, so people sign in anew. Stop the daemon first.`,
  options: {
    config: configOption,
    'passphrase-file': { type: 'string', argument: 'FILE', help: 'open it with the first line of FILE' },
    'identity-file': { type: 'string', argument: 'FILE', help: 'open it with an identity in FILE (see: meshidp backup keygen)' },
    replace: { type: 'boolean', help: 'put it in the place of a state that is there; that one is kept beside it' },
    json: { type: 'boolean', help: 'say what was restored as JSON' },
  },
  async run(terminal, values, [file, ...more]) {
    if (!file || more.length > 0) throw new UsageError('Say which: meshidp restore FILE')
    const config = readConfig(terminal, values)
    const secret = secretFrom(values, { 'passphrase-file': readPassphrase, 'identity-file': readIdentities })
    const restored = await restoreBackup(config, { file, secret, replace: values.replace === true, now: systemClock() }).catch(
      (error: Error) => {
        throw error instanceof StateInUse ? new Refused(`A daemon uses ${config.state_directory}. Stop it first.`) : error
      },
    )
    terminal.write(values.json ? inJson(restored) : inWords(restored, config))
    return 0
  },
}
