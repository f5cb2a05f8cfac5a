/** The FILE of a policy command. */
import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { compile, type Policy, type Problem } from '../../policy/index.ts'
import { Unusable, UsageError } from '../command.ts'

/** `name`: as messages call it. */
export type PolicyFile = { name: string; text: string }

/** More than a policy may have, so `compile` says that it is too large. */
const mostBytes = 9 * 1024 * 1024

/** What a stream holds, which need not end. */
async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > mostBytes) break
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Reads a file, or standard input where it is `-`. Throws Unusable. */
export async function readPolicyFile(file: string): Promise<PolicyFile> {
  try {
    if (file === '-') return { name: '<stdin>', text: await textOf(process.stdin) }
    return { name: file, text: await textOf(createReadStream(file)) }
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
