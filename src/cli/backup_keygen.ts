import { closeSync, openSync, writeSync } from 'node:fs'
import { makeIdentity } from '../backup/encryption.ts'
import { type Command, Unusable, UsageError } from './command.ts'

export const keygen: Command = {
  summary: 'make a pair of keys for encrypted backups',
  usage: 'FILE',
  description: `Writes an identity into FILE (0600), which opens backups, and prints the recipient for which they are encrypted. Keep FILE anywhere but on the machine that
is backed up. Both are those of age (X25519): age-keygen makes them too.`,
  options: {},
  async run(terminal, _values, [file, ...more]) {
    if (file === undefined || more.length > 0) throw new UsageError('Say where: meshidp backup keygen FILE')
    const { identity, recipient } = await makeIdentity()
    try {
      const descriptor = openSync(file, 'wx', 0o600)
      writeSync(descriptor, `# recipient: ${recipient}\n${identity}\n`)
      closeSync(descriptor)
    } catch (cause) {
      throw new Unusable(`${file} cannot be written: ${(cause as Error).message}.`, { cause })
    }
    terminal.write(`${recipient}\n`)
    return 0
  },
}
