/** From the policy file to the policy in force: read, compile, run its tests, find the secrets that it names. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from './config.ts'
import type { ActivePolicy } from './deps.ts'
import { withoutSlash } from './oauth/resource.ts'
import { digest } from './oauth/secret.ts'
import { compile, expiryWarnings, type Problem, runTests } from './policy/index.ts'

/** The policy cannot come into force; the message says why, position by position. */
export class PolicyError extends Error {
  override name = 'PolicyError'
}

/** Reads and compiles the policy of this configuration. `now`: seconds. Throws PolicyError. */
export function loadPolicy({ policy_file, secrets_directory }: Config, now: number): ActivePolicy {
  let text: string
  try {
    text = readFileSync(policy_file, 'utf8')
  } catch (cause) {
    throw new PolicyError(`The policy file cannot be read: ${(cause as Error).message}`, { cause })
  }
  const compiled = compile(text)
  if (!compiled.ok) throw new PolicyError(allInWords(policy_file, compiled.problems))
  const { policy } = compiled
  const failures = runTests(policy)
  if (failures.length > 0) throw new PolicyError(allInWords(policy_file, failures))
  const secret_digests = new Map<string, string>()
  for (const client of policy.clients.values())
    if (client.client_secret_file !== null)
      secret_digests.set(client.client_id, digest(readSecret(join(secrets_directory, client.client_secret_file), client.name)))
  const resources_by_uri = new Map([...policy.resources.values()].map((resource) => [withoutSlash(resource.uri), resource]))
  const warnings = [...policy.warnings, ...expiryWarnings(policy, now)]
  return { ...policy, warnings, secret_digests, resources_by_uri, loaded_at: now }
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
