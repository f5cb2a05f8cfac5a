/** Tables for people. */

/** Columns as wide as their widest cell; words to the left, figures to the right. */
export function table(rows: readonly string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const isWord = (column: number) => rows.slice(1).every((row) => !/^\d/.test(row[column] ?? ''))
  const words = widths.map((_, column) => isWord(column))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (words[column] ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  return [lines[0] ?? '', '─'.repeat(Math.max(...lines.map((line) => line.length))), ...lines.slice(1)]
}

export const whole = (value: number) => Math.round(value).toLocaleString('en')
export const fixed = (value: number) => value.toFixed(2)
export const percent = (share: number | null) => (share === null ? '?' : `${Math.round(share * 100)} %`)
