/** The commands about policy files; each is a file here. */
import type { Command, Terminal, Values } from '../command.ts'
import { inJson } from '../json.ts'
import { apply } from './apply.ts'
import { check } from './check.ts'
import { diff } from './diff.ts'
import { explain } from './explain.ts'
import { fmt } from './fmt.ts'
import { formatOf } from './format.ts'
import { forGithub, shownProblems } from './problems.ts'
import { Unsound } from './read_file.ts'
import { replay } from './replay.ts'
import { schema } from './schema.ts'
import { test } from './test.ts'

/** For commands that need a usable policy: where it is none, its problems are the answer. `code`: then the exit code. */
const soundOr = (code: 1 | 2, command: Command): Command => ({
  ...command,
  async run(terminal: Terminal, values: Values, words: readonly string[]) {
    try {
      return await command.run(terminal, values, words)
    } catch (error) {
      if (!(error instanceof Unsound)) throw error
      const { file, problems } = error
      const format = formatOf(values)
      if (format === 'json') terminal.write(inJson({ file: file.name, ok: false, problems }))
      else if (format === 'github') terminal.write(forGithub(file, problems))
      else terminal.writeError(`${shownProblems(terminal, file, problems)}\n${error.message}\n`)
      return code
    }
  },
})

export const policyCommands: [string, Command][] = [
  ['policy check', check],
  ['policy test', soundOr(1, test)],
  ['policy diff', soundOr(2, diff)],
  ['policy explain', soundOr(2, explain)],
  ['policy replay', soundOr(2, replay)],
  ['policy fmt', soundOr(2, fmt)],
  ['policy schema', schema],
  ['policy apply', apply],
]
