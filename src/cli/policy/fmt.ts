import { chownSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { format } from '../../policy/index.ts'
import { type Command, Unusable, UsageError } from '../command.ts'
import { inJson } from '../json.ts'
import { formatOf, formatOptions } from './format.ts'
import { forGithub } from './problems.ts'
import { type PolicyFile, readPolicyFile, Unsound, wordsOf } from './read_file.ts'

/** Puts `text` in the place of the file in one step, so that a daemon which watches it never reads half of it. Throws Unusable. */
function replace(file: string, text: string): void {
  let made: string | undefined
  try {
    const target = realpathSync(file)
    const { mode, uid, gid } = statSync(target)
    made = join(dirname(target), `.${basename(target)}.${process.pid}`)
    writeFileSync(made, text, { mode, flag: 'wx', flush: true })
    if (statSync(made).uid !== uid || statSync(made).gid !== gid) chownSync(made, uid, gid)
    renameSync(made, target)
  } catch (cause) {
    if (made !== undefined) rmSync(made, { force: true })
    throw new Unusable(`${file} cannot be written: ${(cause as Error).message}`, { cause })
  }
}

function formatted(file: PolicyFile): string {
  const result = format(file.text)
  if (!result.ok) throw new Unsound(file, result.problems)
  return result.text
}

const firstDifference = (a: string, b: string): number => {
  const [left, right] = [a.split('\n'), b.split('\n')]
  return left.findIndex((line, i) => line !== right[i]) + 1 || left.length
}

export const fmt: Command = {
  summary: 'lay out a policy file, comments and all',
  usage: 'FILE',
  description: `Prints FILE in the one layout; FILE - is standard input. Comments stay, and so does what the file means: only white space changes, and
commas move before comments. What stands on one line stays there while it fits in 140 letters; other lists and objects get a line for
each item, and the values of neighbouring members stand below each other. The file need not compile, but it must be HuJSON: exit code 2.

  meshidp policy fmt policy.hujson --write
  meshidp policy fmt policy.hujson --check    in CI`,
  options: {
    check: { type: 'boolean', help: 'print nothing; the exit code is 1 where the file is laid out otherwise' },
    write: { type: 'boolean', help: 'change the file itself' },
    ...formatOptions('github'),
  },
  async run(terminal, values, words) {
    const { check, write } = values
    const form = formatOf(values)
    const [name = ''] = wordsOf('policy fmt', ['FILE'], words)
    if (check && write) throw new UsageError('--check and --write exclude each other.')
    if (form !== 'text' && !check) throw new UsageError('--json and --format say what came of --check.')
    if (write && name === '-') throw new UsageError('--write needs a file; standard input cannot be changed.')
    const file = await readPolicyFile(name)
    const text = formatted(file)
    if (check) {
      const ok = text === file.text
      const line = firstDifference(file.text, text)
      const mend = `Mend it with: meshidp policy fmt ${name} --write`
      if (form === 'json') terminal.write(inJson({ file: file.name, ok, line: ok ? null : line }))
      else if (!ok && form === 'github')
        terminal.write(forGithub(file, [{ line, column: 1, severity: 'error', message: 'This is laid out otherwise.', hint: mend }]))
      else if (!ok) terminal.writeError(`${file.name}:${line}: laid out otherwise. ${mend}\n`)
      return ok ? 0 : 1
    }
    if (!write) terminal.write(text)
    else if (text !== file.text) replace(name, text)
    return 0
  },
}
