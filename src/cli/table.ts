/** Rows for people: aligned columns, no frames. */
import { widthOf } from './width.ts'

/** What stands where there is nothing. */
export const nothing = '–'

/**
 * `rows` under `head`, each column as wide as its widest cell. Where that is wider than `columns`, the last cell of each row stands below the others, in
 * lines that fit.
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[], columns = Number.POSITIVE_INFINITY): string {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => widthOf(row[at] ?? ''))))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, at) => cell + ' '.repeat(Math.max(0, (widths[at] ?? 0) - widthOf(cell))))
      .join('  ')
      .trimEnd()
  const width = widths.reduce((sum, one) => sum + one + 2, -2)
  const shown =
    width <= columns ? line : (cells: readonly string[]) => [line(cells.slice(0, -1)), ...below(cells.at(-1), columns)].join('\n')
  return `${[head, ...rows].map(shown).join('\n')}\n`
}

const indent = '    '

/** The words of `text` in lines of at most `columns` letters, where no word is longer. */
function below(text: string | undefined, columns: number): string[] {
  if (text === undefined || text === nothing) return []
  const lines: string[] = []
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= columns) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(indent + word)
  }
  return lines
}

/** Seconds since the epoch → "2026-11-21 06:30:00Z". */
export const shownTime = (seconds: unknown): string =>
  typeof seconds === 'number' ? `${new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')}Z` : nothing
