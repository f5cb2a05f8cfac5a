import { systemClock } from '../../daemon.ts'
import { differsFromTailnet, expiryWarnings, mostProblems, type Policy, type Problem, testResults } from '../../policy/index.ts'
import type { Command } from '../command.ts'
import { inJson } from '../json.ts'
import { paintFor } from '../paint.ts'
import { formatOf, formatOptions } from './format.ts'
import { counted, errorsFirst, forGithub, shownProblems } from './problems.ts'
import { compiled, type PolicyFile, readPolicyFile, Unsound, wordsOf } from './read_file.ts'

type Checked = { policy: Policy | null; problems: readonly Problem[]; tests: number }

/** All that a daemon would find wrong with the file, and what it would warn of. */
function checked(file: PolicyFile): Checked {
  try {
    const policy = compiled(file)
    const results = testResults(policy)
    return {
      policy,
      problems: [...policy.warnings, ...expiryWarnings(policy, systemClock()), ...results.flatMap(({ problems }) => problems)],
      tests: results.length,
    }
  } catch (error) {
    if (error instanceof Unsound) return { policy: null, problems: error.problems, tests: 0 }
    throw error
  }
}

/** What only the daemon can find out. */
function unchecked(policy: Policy | null): string[] {
  const clients = [...(policy?.clients.values() ?? [])]
  const secrets = clients.flatMap(({ client_secret_file: file }) => file ?? [])
  const keys = clients.flatMap(({ jwks_uri }) => jwks_uri ?? [])
  return [
    ...(secrets.length > 0 ? [`whether the daemon has the ${secrets.length === 1 ? 'secret' : 'secrets'} ${secrets.join(', ')}`] : []),
    ...(keys.length > 0 ? [`whether ${keys.join(', ')} can be fetched`] : []),
  ]
}

export const check: Command = {
  summary: 'whether a policy file is usable, and what is wrong with it',
  usage: 'FILE',
  description: `Compiles FILE and runs its tests, as the daemon does before it takes a policy; FILE - is standard input. Each problem is
FILE:LINE:COLUMN: and a sentence, with the line below it. The exit code is 0 where the file is usable, warnings or not; 1 where it is
not; 2 where it cannot be read. Secrets of clients are the daemon's, and are not looked at.

  meshidp policy check policy.hujson
  git show HEAD:policy.hujson | meshidp policy check -
  meshidp policy check policy.hujson --format github    in GitHub Actions: a note at each line`,
  options: formatOptions('github'),
  async run(terminal, values, words) {
    const format = formatOf(values)
    const [name = ''] = wordsOf('policy check', ['FILE'], words)
    const file = await readPolicyFile(name)
    const { policy, problems, tests } = checked(file)
    const errors = problems.filter(({ severity }) => severity === 'error').length
    const warnings = problems.length - errors
    const left = unchecked(policy)
    const notes = policy ? differsFromTailnet(policy) : []
    if (format === 'json') {
      const answer = {
        file: file.name,
        ok: errors === 0,
        hash: policy?.hash ?? null,
        problems: errorsFirst(problems),
        tests,
        notes,
        not_checked: left,
      }
      terminal.write(inJson(answer))
      return errors === 0 ? 0 : 1
    }
    terminal.write(format === 'github' ? forGithub(file, problems) : shownProblems(terminal, file, problems))
    const paint = paintFor(terminal)
    const held = `${counted(policy?.resources.size ?? 0, 'resource')}, ${counted(policy?.clients.size ?? 0, 'client')}, ${counted(tests, 'test')}`
    const verdict =
      errors > 0
        ? paint(
            'red',
            `${file.name}: ${errors === mostProblems ? 'the first ' : ''}${counted(errors, 'problem')}, ${counted(warnings, 'warning')}.`,
          )
        : paint('green', `${file.name} is usable: ${held}, ${counted(warnings, 'warning')}.`)
    terminal.write(`${problems.length > 0 && format === 'text' ? '\n' : ''}${verdict}\n`)
    for (const note of notes) terminal.write(paint('dim', note).concat('\n'))
    if (left.length > 0) terminal.write(paint('dim', `Not checked here: ${left.join('; ')}.`).concat('\n'))
    return errors === 0 ? 0 : 1
  },
}
