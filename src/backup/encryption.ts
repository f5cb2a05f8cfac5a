/** Backups that only some can read, in the age format (age-encryption.org/v1), so that `age --decrypt` opens them too. */
import { readFileSync, statSync } from 'node:fs'
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { BackupRefused } from './refused.ts'

/** With what a backup is closed, or opened; `by`: the file that says so, for sentences. */
export type Secret =
  | { passphrase: string; by: string }
  | { recipients: readonly string[]; by: string }
  | { identities: readonly string[]; by: string }

/** The first line of every such file. */
export const ageMark = 'age-encryption.org/v1\n'

// Loaded only where it is needed: it brings its own arithmetic.
const age = () => import('age-encryption')

const asStream = (bytes: AsyncIterable<Uint8Array>) =>
  Readable.toWeb(Readable.from(bytes, { objectMode: false, highWaterMark: 256 * 1024 })) as unknown as globalThis.ReadableStream<Uint8Array>
const asBytes = (stream: unknown): AsyncIterable<Uint8Array> => Readable.fromWeb(stream as ReadableStream<Uint8Array>)

/** The same bytes, closed. Throws BackupRefused where a recipient is none. */
export async function encrypt(plain: AsyncIterable<Uint8Array>, secret: Secret): Promise<AsyncIterable<Uint8Array>> {
  const encrypter = new (await age()).Encrypter()
  if ('passphrase' in secret) encrypter.setPassphrase(secret.passphrase)
  if ('recipients' in secret)
    for (const [index, recipient] of secret.recipients.entries())
      try {
        encrypter.addRecipient(recipient)
      } catch {
        throw new BackupRefused(notARecipient(secret.by, index + 1, recipient))
      }
  return asBytes(await encrypter.encrypt(asStream(plain)))
}

/** What stands there is never repeated: it may be the secret half of a pair, or a passphrase. */
const notARecipient = (by: string, number: number, given: string): string =>
  /^AGE-SECRET-KEY/i.test(given)
    ? `${by} holds an identity, which opens backups and belongs anywhere but here. Name a file with its recipient, the line age1… that "meshidp backup keygen" printed.`
    : `${by}: no. ${number} of its recipients is none, for one looks like age1….`

/** The same bytes, opened. Throws BackupRefused where this secret does not open them; while they are read also where they were tampered with. */
export async function* decrypt(closed: AsyncIterable<Uint8Array>, secret: Secret): AsyncGenerator<Uint8Array> {
  try {
    const decrypter = new (await age()).Decrypter()
    if ('passphrase' in secret) decrypter.addPassphrase(secret.passphrase)
    if ('identities' in secret) for (const identity of secret.identities) decrypter.addIdentity(identity)
    yield* asBytes(await decrypter.decrypt(asStream(closed)))
  } catch (cause) {
    throw new BackupRefused(`This backup cannot be opened with ${secret.by}: ${(cause as Error).message}.`, { cause })
  }
}

/** A new pair: `identity` opens what was closed for `recipient`. */
export async function makeIdentity(): Promise<{ identity: string; recipient: string }> {
  const { generateX25519Identity, identityToRecipient } = await age()
  const identity = await generateX25519Identity()
  return { identity, recipient: await identityToRecipient(identity) }
}

const linesOf = (text: string) =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))

function textOf(file: string, secret: boolean): string {
  try {
    if (secret && statSync(file).mode & 0o077) throw new BackupRefused(`${file} can be read by others. Run: chmod 600 ${file}`)
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw cause instanceof BackupRefused ? cause : new BackupRefused(`${file} cannot be read: ${(cause as Error).message}.`, { cause })
  }
}

/** Shorter ones are guessed. */
const shortest = 12

/** The first line of a file that nobody else can read. Throws BackupRefused. */
export function readPassphrase(by: string): Secret {
  const [passphrase = ''] = textOf(by, true).split('\n')
  if (passphrase.length < shortest) throw new BackupRefused(`The passphrase in ${by} must have ${shortest} characters at least.`)
  return { passphrase, by }
}

/** A line for each recipient; what begins with # is a remark. Throws BackupRefused. */
export function readRecipients(by: string): Secret {
  const recipients = linesOf(textOf(by, false))
  if (recipients.length === 0) throw new BackupRefused(`There is no recipient in ${by}.`)
  return { recipients, by }
}

/** The same of identities. */
export function readIdentities(by: string): Secret {
  const identities = linesOf(textOf(by, true))
  if (identities.length === 0) throw new BackupRefused(`There is no identity in ${by}.`)
  return { identities, by }
}
