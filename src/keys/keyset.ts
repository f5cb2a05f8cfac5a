/** The signing keys: files of mode 0600 (or systemd credentials), one private JWK each. Never rows, never logged. */
import { createPrivateKey, createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'

export const algorithms = ['ES256', 'RS256'] as const
export type Algorithm = (typeof algorithms)[number]

export type SigningKey = { kid: string; alg: Algorithm; privateKey: KeyObject; publicKey: KeyObject }

export type Keys = {
  /** The key that signs with this algorithm now. */
  signing: (alg: Algorithm) => SigningKey
  /** All keys whose signatures are ours. */
  all: readonly SigningKey[]
  /** RFC 7517 §5: public members only. */
  jwks: { keys: Record<string, unknown>[] }
  /** The key of the refresh tokens' succession (HMAC-SHA256). */
  succession: KeyObject
}

/** The keys cannot be used; the message says which file, and what to do. */
export class KeyError extends Error {
  override name = 'KeyError'
}

const keyFile = /^signing-.*\.jwk\.json$/
const successionFile = 'succession.key'
const publicMembers = ['kty', 'crv', 'x', 'y', 'n', 'e'] as const

/**
 * Makes a key for each algorithm and the succession key in `directory` (0700, files 0600). For a new installation only. All of them appear at once: one
 * that was killed in between finds none at its next start, and begins again.
 */
export async function makeKeys(directory: string, randomBytes: (size: number) => Buffer): Promise<void> {
  const unfinished = `${directory}.unfinished`
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(unfinished, { recursive: true, mode: 0o700 })
  for (const alg of algorithms) {
    const { privateKey } = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 })
    const jwk = await exportJWK(privateKey)
    const kid = await calculateJwkThumbprint(jwk)
    writePrivate(join(unfinished, `signing-${alg.toLowerCase()}-${kid}.jwk.json`), JSON.stringify({ ...jwk, kid, alg, use: 'sig' }))
  }
  writePrivate(join(unfinished, successionFile), randomBytes(32).toString('base64url'))
  renameSync(unfinished, directory)
}

const writePrivate = (file: string, text: string) => writeFileSync(file, `${text}\n`, { mode: 0o600, flag: 'wx', flush: true })

/** Whether `directory` holds any key: then it is an installation, and what is missing from it is a fault, not a beginning. */
export const holdsKeys = (directory: string): boolean =>
  existsSync(directory) && readdirSync(directory).some((file) => keyFile.test(file) || file === successionFile)

function readPrivate(file: string): string {
  const { mode } = statSync(file)
  if ((mode & 0o077) !== 0) throw new KeyError(`${file} can be read by others (mode ${(mode & 0o777).toString(8)}). Run: chmod 600 ${file}`)
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new KeyError(`The key ${file} cannot be read: ${(cause as Error).message}`, { cause })
  }
}

/** One file → key. RFC 8725 §3.5: RSA of 2048 bits at least. */
function readSigningKey(file: string): SigningKey {
  try {
    const jwk = jsonOf(readPrivate(file)) as JsonWebKey & { kid: string; alg: Algorithm }
    const privateKey = createPrivateKey({ key: jwk, format: 'jwk' })
    const fits = { ES256: jwk.crv === 'P-256', RS256: (privateKey.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048 }[jwk.alg]
    if (!jwk.kid || !fits) throw new KeyError(`needs a "kid", and an "alg" of ${algorithms.join(' or ')} that fits the key`)
    return { kid: jwk.kid, alg: jwk.alg, privateKey, publicKey: createPublicKey(privateKey) }
  } catch (cause) {
    if (cause instanceof KeyError && cause.message.includes(file)) throw cause
    throw new KeyError(
      `The signing key ${file} cannot be used: ${(cause as Error).message.replace(/\.$/, '')}. Put it back from a backup; a new one would make every token worthless.`,
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
export function loadKeys(directory: string): Keys {
  const files = existsSync(directory)
    ? readdirSync(directory)
        .filter((file) => keyFile.test(file))
        .sort()
    : []
  const all = files.map((file) => readSigningKey(join(directory, file)))
  if (new Set(all.map(({ kid }) => kid)).size !== all.length) throw new KeyError(`Two keys in ${directory} share one "kid".`)
  const signing = Object.fromEntries(
    algorithms.map((alg) => {
      const key = all.findLast((one) => one.alg === alg)
      if (!key) throw new KeyError(`There is no ${alg} signing key in ${directory}. Put it back from a backup.`)
      return [alg, key]
    }),
  ) as Record<Algorithm, SigningKey>

  const secret = join(directory, successionFile)
  if (!existsSync(secret))
    throw new KeyError(`${secret} is missing. Put it back from a backup; without it refresh tokens cannot be rotated.`)
  const bytes = Buffer.from(readPrivate(secret).trim(), 'base64url')
  if (bytes.length !== 32) throw new KeyError(`${secret} must hold 32 bytes in base64url.`)

  return { signing: (alg) => signing[alg], all, succession: createSecretKey(bytes), jwks: { keys: all.map(publicJwk) } }
}

function publicJwk({ kid, alg, publicKey }: SigningKey): Record<string, unknown> {
  const jwk = publicKey.export({ format: 'jwk' }) as Record<string, unknown>
  return { ...Object.fromEntries(publicMembers.filter((name) => name in jwk).map((name) => [name, jwk[name]])), kid, alg, use: 'sig' }
}
