/** The FILE of a policy command. */
import { readFileSync } from 'node:fs'
import { buffer } from 'node:stream/consumers'
import { compile, type Policy, type Problem } from '../../policy/index.ts'
import { Unusable, UsageError } from '../command.ts'

/** `name`: as messages call it. */
export type PolicyFile = { name: string; text: string }

/** Reads a file, or standard input where it is `-`. Throws Unusable. */
export async function readPolicyFile(file: string): Promise<PolicyFile> {
  try {
    if (file === '-') return { name: '<stdin>', text: (await buffer(process.stdin)).toString('utf8') }
    return { name: file, text: readFileSync(file, 'utf8') }
  } catch (cause) {
    throw new Unusable(`${file} cannot be read: ${(cause as Error).message}`, { cause })
  }
}

/** The words that follow a command, which must be as many as `names`. Throws UsageError. */
export function wordsOf(command: string, names: readonly string[], words: readonly string[]): readonly string[] {
  if (words.length !== names.length) throw new UsageError(`Say: meshidp ${command} ${names.join(' ')}`)
  return words
}

/** A file that does not compile; what is wrong with it. */
export class Unsound extends Error {
  override name = 'Unsound'
  readonly file: PolicyFile
  readonly problems: readonly Problem[]
  constructor(file: PolicyFile, problems: readonly Problem[]) {
    super(`${file.name} is not a usable policy.`)
    this.file = file
    this.problems = problems
  }
}

/** Compiles. Throws Unsound. */
export function compiled(file: PolicyFile): Policy {
  const result = compile(file.text)
  if (!result.ok) throw new Unsound(file, result.problems)
  return result.policy
}
