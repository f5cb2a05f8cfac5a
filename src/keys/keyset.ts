/** The signing keys as they lie on disk: files of mode 0600 (or systemd credentials), one private JWK each. Never rows, never logged. */
import { createPrivateKey, createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'
import { isUnfinished, makePrivateDirectory, syncDirectory, writePrivate } from '../store/private_file.ts'

export const algorithms = ['ES256', 'RS256'] as const
export type Algorithm = (typeof algorithms)[number]

export type SigningKey = {
  kid: string
  alg: Algorithm
  privateKey: KeyObject
  publicKey: KeyObject
  /** From when on it signs, seconds; 0 where the file does not say: from the beginning. Until then it is only published. */
  signs_from: number
  /** Its name in the directory. */
  file: string
}

export type KeySet = {
  /** In the order in which they sign. */
  signing: readonly SigningKey[]
  /** The key of the refresh tokens' succession (HMAC-SHA256). */
  succession: KeyObject
}

/** The keys cannot be used; the message says which file, and what to do. */
export class KeyError extends Error {
  override name = 'KeyError'
}

const keyFile = /^signing-.*\.jwk\.json$/
export const successionFile = 'succession.key'
/** What the key of the refresh tokens is called among the others; none of them may have this name. */
export const successionName = 'succession'

type RandomBytes = (size: number) => Buffer

/**
 * Makes a key for each algorithm and the succession key in `directory` (0700, files 0600). For a new installation only. All of them appear at once: one
 * that was killed in between finds none at its next start, and begins again. `now`: seconds.
 */
export async function makeKeys(directory: string, now: number, randomBytes: RandomBytes): Promise<void> {
  const unfinished = `${directory}.unfinished`
  rmSync(unfinished, { recursive: true, force: true })
  makePrivateDirectory(unfinished)
  for (const alg of algorithms) writeSigningKey(unfinished, await makeSigningKey(alg, now))
  writeSuccession(unfinished, randomBytes)
  renameSync(unfinished, directory)
  syncDirectory(dirname(directory))
}

/** A new key, in memory only. RFC 7638: its `kid` is its thumbprint. */
export async function makeSigningKey(alg: Algorithm, signs_from: number): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 })
  const jwk = await exportJWK(privateKey)
  const kid = await calculateJwkThumbprint(jwk)
  // A command line would take it for an option.
  if (kid.startsWith('-')) return makeSigningKey(alg, signs_from)
  return signingKeyOf(createPrivateKey({ key: jwk as JsonWebKey, format: 'jwk' }), { alg, kid, signs_from })
}

export const signingKeyOf = (
  privateKey: KeyObject,
  { kid, alg, signs_from }: Pick<SigningKey, 'kid' | 'alg' | 'signs_from'>,
): SigningKey => ({
  kid,
  alg,
  privateKey,
  publicKey: createPublicKey(privateKey),
  signs_from,
  file: `signing-${alg.toLowerCase()}-${kid}.jwk.json`,
})

/** On disk when it returns, in the place of what had the same name. */
export const writeSigningKey = (directory: string, { kid, alg, privateKey, signs_from, file }: SigningKey): void =>
  writePrivate(join(directory, file), `${JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig', signs_from })}\n`)

/** A new one, on disk when it returns, in the place of the old. */
export const writeSuccession = (directory: string, randomBytes: RandomBytes): void =>
  writePrivate(join(directory, successionFile), `${randomBytes(32).toString('base64url')}\n`)

export function removeSigningKey(directory: string, { file }: SigningKey): void {
  rmSync(join(directory, file), { force: true })
  syncDirectory(directory)
}

/** Removes what a change that was cut short has left: half a key, or one that nobody was told of. */
export function removeUnfinished(directory: string): void {
  for (const file of readdirSync(directory).filter(isUnfinished)) rmSync(join(directory, file))
}

/** Whether `directory` holds any key: then it is an installation, and what is missing from it is a fault, not a beginning. */
export const holdsKeys = (directory: string): boolean =>
  existsSync(directory) && readdirSync(directory).some((file) => keyFile.test(file) || file === successionFile)

function readPrivate(file: string): string {
  const { mode } = statSync(file)
  if ((mode & 0o077) !== 0) throw new KeyError(`${file} can be read by others (mode ${(mode & 0o777).toString(8)}). Run: chmod 600 ${file}`)
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new KeyError(`The key ${file} cannot be read: ${(cause as Error).message}. Give it to the user that the daemon runs as.`, {
      cause,
    })
  }
}

/** What is wrong with `key` for `alg`, as the end of a sentence; undefined where it fits. RFC 8725 §3.5: RSA of 2048 bits at least. */
export function unfitFor(alg: Algorithm | undefined, { asymmetricKeyType: type, asymmetricKeyDetails: details = {} }: KeyObject) {
  const fits = {
    ES256: type === 'ec' && details.namedCurve === 'prime256v1',
    RS256: type === 'rsa' && (details.modulusLength ?? 0) >= 2048 && (details.publicExponent ?? 0n) >= 65_537n,
  }
  return alg !== undefined && fits[alg] ? undefined : 'it must be an EC key on P-256 (ES256), or an RSA key of 2048 bits at least (RS256)'
}

/** One file → key. */
function readSigningKey(directory: string, file: string): SigningKey {
  const path = join(directory, file)
  try {
    const jwk = jsonOf(readPrivate(path)) as JsonWebKey & { kid: string; alg: Algorithm; signs_from?: number }
    const key = signingKeyOf(createPrivateKey({ key: jwk, format: 'jwk' }), { kid: jwk.kid, alg: jwk.alg, signs_from: jwk.signs_from ?? 0 })
    const unfit = unfitFor(jwk.alg, key.privateKey)
    if (!jwk.kid || unfit) throw new KeyError(unfit ?? 'it needs a "kid"')
    if (!Number.isInteger(key.signs_from)) throw new KeyError('"signs_from" must be whole seconds')
    return { ...key, file }
  } catch (cause) {
    if (cause instanceof KeyError && cause.message.includes(path)) throw cause
    throw new KeyError(
      `The signing key ${path} cannot be used: ${(cause as Error).message.replace(/\.$/, '')}. Put it back from a backup; a new one would make every token worthless.`,
      { cause },
    )
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's own words quote the text, which is a private key.
    throw new KeyError('it is not valid JSON')
  }
}

/** Reads every key of `directory`. Throws KeyError where one is missing, unreadable or readable by others. */
export function loadKeys(directory: string): KeySet {
  const files = existsSync(directory) ? readdirSync(directory).filter((file) => keyFile.test(file)) : []
  const signing = files
    .map((file) => readSigningKey(directory, file))
    .sort((a, b) => a.signs_from - b.signs_from || (a.file < b.file ? -1 : 1))
  if (new Set(signing.map(({ kid }) => kid)).size !== signing.length) throw new KeyError(`Two keys in ${directory} share one "kid".`)
  for (const alg of algorithms)
    if (!signing.some((key) => key.alg === alg))
      throw new KeyError(`There is no ${alg} signing key in ${directory}. Put it back from a backup.`)

  const secret = join(directory, successionFile)
  if (!existsSync(secret))
    throw new KeyError(`${secret} is missing. Put it back from a backup; without it refresh tokens cannot be rotated.`)
  const bytes = Buffer.from(readPrivate(secret).trim(), 'base64url')
  if (bytes.length !== 32)
    throw new KeyError(
      `${secret} must hold 32 bytes in base64url. Put it back from a backup; with another one refresh tokens cannot be rotated.`,
    )
  return { signing, succession: createSecretKey(bytes) }
}
