import { testResults } from '../../policy/index.ts'
import type { Command } from '../command.ts'
import { inJson } from '../json.ts'
import { harmless, paintFor } from '../paint.ts'
import { table } from '../table.ts'
import { formatOf, formatOptions } from './format.ts'
import { counted, forGithub, shownProblems } from './problems.ts'
import { compiled, readPolicyFile, wordsOf } from './read_file.ts'

export const test: Command = {
  summary: 'run the tests that stand in a policy file, and show what came of each',
  usage: 'FILE',
  description: `Runs every entry of "tests": what it expects and what the policy gives, a line each; FILE - is standard input. Tests run as if no
grant had expired. The exit code is 1 where one fails, where the file does not compile, and where it holds no tests at all: a policy
that nothing is expected of has not been tested.

  meshidp policy test policy.hujson`,
  options: formatOptions('github'),
  async run(terminal, values, words) {
    const format = formatOf(values)
    const [name = ''] = wordsOf('policy test', ['FILE'], words)
    const file = await readPolicyFile(name)
    const results = testResults(compiled(file))
    const problems = results.flatMap((result) => result.problems)
    const failed = results.filter((result) => result.problems.length > 0).length
    const well = failed === 0 && results.length > 0
    if (format === 'json') {
      terminal.write(inJson({ file: file.name, ok: well, tests: results }))
      return well ? 0 : 1
    }
    const paint = paintFor(terminal)
    if (format === 'github') terminal.write(forGithub(file, problems))
    else if (results.length > 0) {
      const rows = results.flatMap(({ about, line, expectations, problems }) => {
        const shown = expectations.map(({ expected, item, holds, got, line }) => [
          holds ? 'ok' : 'FAILED',
          line,
          about,
          `${expected} ${item}`,
          got,
        ])
        const fault = problems[0]
        return shown.length > 0 || !fault ? shown : [['FAILED', line, about, '–', fault.message]]
      })
      const cells = rows.map((row) => row.map((cell) => harmless(String(cell))))
      const drawn = table(['', 'LINE', 'TEST', 'EXPECTED', 'GOT'], cells, terminal.columns)
      terminal.write(drawn.replaceAll(/^ok\b/gm, paint('green', 'ok')).replaceAll(/^FAILED\b/gm, paint('red', 'FAILED')))
      if (problems.length > 0) terminal.write(`\n${shownProblems(terminal, file, problems)}`)
      terminal.write('\n')
    }
    const summary =
      results.length === 0
        ? `${file.name} holds no tests.`
        : `${file.name}: ${counted(results.length - failed, 'test')} passed, ${failed === 0 ? 'none' : failed} failed.`
    terminal.write(`${paint(well ? 'green' : 'red', summary)}\n`)
    return well ? 0 : 1
  },
}
