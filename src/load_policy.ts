/** From the policy file to the policy in force: read, compile, run its tests, find the secrets that it names. */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from './config.ts'
import type { ActivePolicy } from './deps.ts'
import { withoutSlash } from './oauth/resource.ts'
import { digest } from './oauth/secret.ts'
import { compile, expiryWarnings, type Problem, runTests } from './policy/index.ts'
import { thisUser } from './this_user.ts'

/** The policy cannot come into force; the message says why, position by position. */
export class PolicyError extends Error {
  override name = 'PolicyError'
  /** What stands in the text and is wrong; none where the fault lies elsewhere: a file that cannot be read, a secret that is missing. */
  readonly problems: readonly Problem[]
  constructor(message: string, { problems = [], cause }: { problems?: readonly Problem[]; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.problems = problems
  }
}

/** Reads and compiles the policy of this configuration. Throws PolicyError. */
export const loadPolicy = (config: Config, how: Came): ActivePolicy =>
  preparePolicy({ text: readPolicy(config.policy_file), name: config.policy_file }, config, how)

type Came = Pick<ActivePolicy, 'source' | 'loaded_at'>

/**
 * What a policy's text becomes before it is in force: compiled, its tests run, the secrets that it names found. `name`: what its problems call it.
 * Throws PolicyError.
 */
export function preparePolicy({ text, name }: { text: string; name: string }, { secrets_directory }: Config, how: Came): ActivePolicy {
  const compiled = compile(text)
  if (!compiled.ok) throw unusable(name, compiled.problems)
  const { policy } = compiled
  const failures = runTests(policy)
  if (failures.length > 0) throw unusable(name, failures)
  const secret_digests = new Map<string, string>()
  for (const client of policy.clients.values())
    if (client.client_secret_file !== null)
      secret_digests.set(client.client_id, digest(readSecret(join(secrets_directory, client.client_secret_file), client.name)))
  const resources_by_uri = new Map([...policy.resources.values()].map((resource) => [withoutSlash(resource.uri), resource]))
  const warnings = [...policy.warnings, ...expiryWarnings(policy, how.loaded_at)]
  return { ...policy, warnings, secret_digests, resources_by_uri, ...how }
}

const unusable = (name: string, problems: readonly Problem[]) => new PolicyError(allInWords(name, problems), { problems })

/** More than a policy may have, so `compile` says where that was reached. */
const mostBytes = 9 * 1024 * 1024
const attempts = 3

/**
 * The text of the file, read whole through one descriptor; once more where it was written to meanwhile. Throws PolicyError: also where others may write
 * it, for who writes the policy decides.
 */
export function readPolicy(file: string): string {
  let fd: number | undefined
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK) // a pipe would be waited for
    const { mode } = fstatSync(fd)
    if (!fstatSync(fd).isFile()) throw new PolicyError(`The policy file ${file} is not a file.`)
    if (mode & 0o002) throw new PolicyError(`Everybody on this machine can write the policy file ${file}. Run: chmod o-w ${file}`)
    for (let attempt = 0; attempt < attempts; attempt++) {
      const [before, text, after] = [fstatSync(fd, { bigint: true }), contents(fd), fstatSync(fd, { bigint: true })]
      if (before.size === after.size && before.mtimeNs === after.mtimeNs) return text
    }
    throw new PolicyError(`The policy file ${file} is being written just now.`)
  } catch (cause) {
    throw cause instanceof PolicyError ? cause : new PolicyError(`The policy file cannot be read: ${(cause as Error).message}`, { cause })
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function contents(fd: number): string {
  const buffer = Buffer.allocUnsafe(Math.min(Number(fstatSync(fd).size) + 1, mostBytes))
  let filled = 0
  for (let read = -1; read !== 0 && filled < buffer.length; filled += read)
    read = readSync(fd, buffer, filled, buffer.length - filled, filled)
  return buffer.toString('utf8', 0, filled)
}

/** Who else than the daemon's user and root may write the file, in a sentence; null for nobody. */
export function writableBy(file: string): string | null {
  const { uid, mode } = statSync(file, { throwIfNoEntry: false }) ?? { uid: 0, mode: 0 }
  if (uid !== 0 && uid !== thisUser().uid)
    return `The policy file ${file} belongs to another user (uid ${uid}), who so decides what is allowed.`
  return mode & 0o020 ? `The group of the policy file ${file} can write it, and so decides what is allowed.` : null
}

/** `file:line:column: sentence`, as editors and people read it. */
export const inWords = (file: string, { line, column, severity, message, hint }: Problem): string =>
  `${file}:${line}:${column}: ${severity === 'warning' ? 'warning: ' : ''}${message}${hint === undefined ? '' : ` ${hint}`}`

/** A line for each, what must be mended first. */
export const allInWords = (file: string, problems: readonly Problem[]): string =>
  problems
    .toSorted((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'))
    .map((problem) => inWords(file, problem))
    .join('\n')

const fewestLetters = 16

function readSecret(file: string, name: string): string {
  let secret: string
  try {
    secret = readFileSync(file, 'utf8').trim()
  } catch (cause) {
    throw new PolicyError(`${name} has its secret in ${file}, which cannot be read: ${(cause as Error).message}`, { cause })
  }
  if (secret.length < fewestLetters) throw new PolicyError(`The secret of ${name} in ${file} is shorter than ${fewestLetters} characters.`)
  return secret
}
