import type { Problem } from '../../policy/index.ts'
import { askAdmin } from '../ask.ts'
import type { Command } from '../command.ts'
import { configOption, readConfig } from '../config_file.ts'
import { paintFor } from '../paint.ts'
import { formatOf, formatOptions } from './format.ts'
import { shownProblems } from './problems.ts'
import { readPolicyFile, wordsOf } from './read_file.ts'

type Answer =
  | { ok: true; dry_run: boolean; file: string; hash: string; was: string; warnings: readonly Problem[] }
  | { ok: false; file: string; hash: string; problem: string; problems: readonly Problem[] }

export const apply: Command = {
  summary: 'give the daemon a policy: it is checked, put in the place of the policy file, and in force',
  usage: 'FILE',
  description: `Sends FILE to the daemon (FILE - is standard input), which compiles it, runs its tests, looks for the secrets that it names, writes it in
the place of its policy file, whole or not at all, and puts it into force. Where it is not usable nothing changes, and the problems are
shown as by "policy check". What stood in the policy file before is overwritten. Where the daemon may not write its policy file, it says
so and what to do. The exit code is 0 where the policy is in force, 1 where not, 2 where FILE cannot be read.

  meshidp policy apply --dry-run policy.hujson    whether it would be done`,
  options: {
    config: configOption,
    'dry-run': { type: 'boolean', help: 'change nothing; find out all that could be in the way' },
    ...formatOptions(),
  },
  async run(terminal, values, words) {
    const format = formatOf(values)
    const [name = ''] = wordsOf('policy apply', ['FILE'], words)
    const file = await readPolicyFile(name)
    const config = readConfig(terminal, values)
    const input = { ...file, dry_run: values['dry-run'] === true }
    const answer = (await askAdmin(config, 'policy.apply', input, terminal)) as Answer
    if (format === 'json') terminal.write(`${JSON.stringify(answer, null, 2)}\n`)
    else if (answer.ok) {
      const { dry_run, hash, was } = answer
      if (answer.warnings.length > 0) terminal.write(`${shownProblems(terminal, file, answer.warnings)}\n`)
      const done = dry_run ? 'could be put into force; nothing was changed' : hash === was ? 'was in force already' : 'is in force'
      terminal.write(`Policy ${hash} ${done}.\n`)
    } else {
      const shown = answer.problems.length > 0 ? shownProblems(terminal, file, answer.problems) : `${answer.problem}\n`
      terminal.writeError(`${shown}\n${paintFor(terminal)('red', `Nothing was changed: policy ${answer.hash} stays in force.`)}\n`)
    }
    return answer.ok ? 0 : 1
  },
}
