/** Problems of a policy file as people and programs read them: the sentence, and the line that it is about. */
import { inWords } from '../../load_policy.ts'
import type { Problem } from '../../policy/index.ts'
import type { Terminal } from '../command.ts'
import { harmless, type Paint, paintFor } from '../paint.ts'
import { widthOf } from '../width.ts'
import type { PolicyFile } from './read_file.ts'

/** Where nobody says how wide a line may be. */
const usual = 120

/** Errors first: they must be mended. */
export const errorsFirst = (problems: readonly Problem[]): Problem[] =>
  problems.toSorted((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'))

/** Each problem with its line of the file, and a caret below the column. */
export function shownProblems(terminal: Terminal, { name, text }: PolicyFile, problems: readonly Problem[]): string {
  const paint = paintFor(terminal)
  const lines = text.split(/\r\n|\r|\n/)
  return errorsFirst(problems)
    .map((problem) => {
      const { line, column, severity } = problem
      const place = `${name}:${line}:${column}:`
      const sentence = inWords(name, problem).slice(place.length)
      const said = `${paint('bold', harmless(place))}${paint(severity === 'warning' ? 'yellow' : 'red', harmless(sentence))}\n`
      return said + excerpt(lines[line - 1] ?? '', problem, terminal.columns ?? usual, paint)
    })
    .join('\n')
}

/** The line and a caret below `column` (from 1); of a long line what is around it, so that no line is wider than `width`. */
function excerpt(text: string, { line, column }: Problem, width: number, paint: Paint): string {
  const number = String(line)
  const room = Math.max(20, width - number.length - 5)
  const from = text.length <= room ? 0 : Math.max(0, Math.min(column - 1 - (room >> 1), text.length - room))
  const before = from > 0 ? `…${text.slice(from + 1, column - 1)}` : text.slice(0, column - 1)
  const rest = text.slice(column - 1, from + room)
  const after = from + room < text.length ? `${rest.slice(0, -1)}…` : rest
  const caret = `${' '.repeat(widthOf(harmless(before)))}^`
  const margin = ' '.repeat(number.length)
  return `  ${paint('dim', `${number} │`)} ${harmless(before + after)}\n  ${paint('dim', `${margin} │`)} ${paint('green', caret)}\n`
}

/**
 * Workflow commands of GitHub Actions, which show each problem at its line. Data and properties are escaped as its toolkit does it
 * (actions/toolkit, packages/core/src/command.ts).
 */
export const forGithub = ({ name }: PolicyFile, problems: readonly Problem[]): string =>
  errorsFirst(problems)
    .map(({ line, column, severity, message, hint }) => {
      const properties = Object.entries({ ...(name !== '<stdin>' && { file: name }), line, col: column, title: 'meshidp policy' })
      const said = properties.map(([key, value]) => `${key}=${escapedProperty(String(value))}`).join(',')
      return `::${severity} ${said}::${escaped(hint === undefined ? message : `${message} ${hint}`)}\n`
    })
    .join('')

const escaped = (text: string) => text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
const escapedProperty = (text: string) => escaped(text).replaceAll(':', '%3A').replaceAll(',', '%2C')

/** "no problem", "1 problem", "2 problems". */
export const counted = (count: number, one: string, many = `${one}s`): string => `${count === 0 ? 'no' : count} ${count === 1 ? one : many}`
