/** One thing for people: a line for each of its members, what is inside of a member below it. */
import { nothing, shownTime } from './table.ts'

/** One value in one line, or in several where it has several. */
export const text = (value: unknown): string => {
  if (value === null || value === undefined || value === '') return nothing
  if (Array.isArray(value)) return value.length === 0 ? nothing : value.map(text).join(', ')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

const isTime = (name: string) => /(?:_|^)(?:at|since|until)$/.test(name)
const indented = (lines: string) => lines.replaceAll(/^(?=.)/gm, '  ')

/** The members of `value`, aligned; members of members and texts of several lines are indented below their name. */
export function record(value: object): string {
  const width = Math.max(...Object.keys(value).map((name) => name.length))
  return Object.entries(value)
    .map(([name, member]: [string, unknown]) => {
      if (typeof member === 'object' && member !== null && !Array.isArray(member) && Object.keys(member).length > 0)
        return `${name}\n${indented(record(member))}`
      const shown = isTime(name) ? shownTime(member) : text(member)
      return shown.includes('\n') ? `${name}\n${indented(shown.trimEnd())}\n` : `${name.padEnd(width)}  ${shown}\n`
    })
    .join('')
}
