import { statSync } from 'node:fs'
import { join } from 'node:path'
import { readPassphrase, readRecipients } from '../backup/encryption.ts'
import { backupName, keepNewest, type Made, makeBackup } from '../backup/make_backup.ts'
import { systemClock } from '../daemon.ts'
import { secretFrom } from './backup_secret.ts'
import { type Command, type Terminal, UsageError } from './command.ts'
import { configOption, readConfig } from './config_file.ts'
import { inJson } from './json.ts'

const isDirectory = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** How far it is, in a line that is written over; only where people read along. */
function progressOn({ interactive, writeError }: Terminal): (share: number) => void {
  let told = -1
  return (share) => {
    const percent = Math.floor(share * 100)
    if (!interactive || percent === told) return
    told = percent
    writeError(`\r${String(percent).padStart(3)} %${percent === 100 ? '\r     \r' : ''}`)
  }
}

const several = (count: number, one: string) => `${count} ${one}${count === 1 ? '' : 's'}`

function inWords({ file, bytes, keys, secrets, encrypted }: Made, removed: readonly string[]): string {
  const parts = ['the database', ...(keys > 0 ? [several(keys, 'key')] : []), ...(secrets > 0 ? [several(secrets, 'client secret')] : [])]
  return [
    `${file}: ${parts.join(', ')}; ${(bytes / 1024 / 1024).toFixed(1)} MiB${encrypted ? ', encrypted' : ''}.\n`,
    ...(keys === 0
      ? [
          'There are no signing keys in the state directory, so none are in it. Where systemd credentials hold them, keep those too; otherwise they are lost.\n',
        ]
      : []),
    ...(keys > 0 && !encrypted
      ? ['Whoever can read it can sign any token. To close it, say --recipient-file or --passphrase-file.\n']
      : []),
    ...(removed.length > 0 ? [`Removed ${removed.join(', ')}.\n`] : []),
  ].join('')
}

export const backup: Command = {
  summary: 'copy database, keys and secrets into one file, while the daemon runs',
  usage: 'FILE | DIRECTORY',
  description: `Copies the state as it is at one moment into FILE, which must not be there yet, or into a file of DIRECTORY that is named by the time. The daemon goes
on meanwhile. It is a tar archive with checksums (SHA256SUMS); encrypted in the age format where a passphrase or recipients are given.`,
  options: {
    config: configOption,
    'passphrase-file': { type: 'string', argument: 'FILE', help: 'encrypt it with the first line of FILE' },
    'recipient-file': {
      type: 'string',
      argument: 'FILE',
      help: 'encrypt it for the recipients in FILE, a line each (see: meshidp backup keygen)',
    },
    keep: { type: 'string', argument: 'N', help: 'in DIRECTORY, keep this one and the newest others, N in all' },
    json: { type: 'boolean', help: 'say what was made as JSON' },
  },
  async run(terminal, values, [target, ...more]) {
    if (!target || more.length > 0) throw new UsageError('Say where: meshidp backup FILE | DIRECTORY')
    const keep = values.keep === undefined ? null : Number(values.keep)
    if (keep !== null && !(Number.isInteger(keep) && keep >= 1)) throw new UsageError(`--keep must be a number from 1, not ${values.keep}.`)
    if (keep !== null && !isDirectory(target)) throw new UsageError(`--keep is for a directory, and ${target} is none.`)
    const secret = secretFrom(values, { 'passphrase-file': readPassphrase, 'recipient-file': readRecipients })
    const now = systemClock()
    const file = isDirectory(target) ? join(target, backupName(now, secret !== null)) : target
    const made = await makeBackup(readConfig(terminal, values), { file, secret, now, progress: progressOn(terminal) })
    const removed = keep === null ? [] : keepNewest(file, keep)
    terminal.write(values.json ? inJson({ ...made, removed }) : inWords(made, removed))
    return 0
  },
}
