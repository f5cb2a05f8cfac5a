/** "Did you mean …?" */
import { codePoint } from './read.ts'

/** A second sentence, made only when it is shown: it compares a word with every name there is. Ask once. */
export type Hint = () => string | undefined

/** Longer words are not compared: a file may hold thousands of them. */
const longest = 60

/** The name nearest to `written`, as a sentence; undefined where nothing is near. At most a third of the letters may differ (at least 2). */
export const didYouMean =
  (written: string, names: Iterable<string>): Hint =>
  () => {
    let best: string | undefined
    let least = Math.max(2, Math.floor(written.length / 3)) + 1
    for (const name of written.length > longest ? [] : names) {
      if (name === written || Math.abs(name.length - written.length) >= least) continue
      const found = distance(written.toLowerCase(), name.toLowerCase(), least)
      if (found < least) [best, least] = [name, found]
    }
    best ??= written.length >= 4 ? [...names].find((name) => name !== written && name.startsWith(written)) : undefined
    return best === undefined ? undefined : `Did you mean "${best}"?${lookalike(written, best)}`
  }

/** Two names that look the same on a screen: says which letter is not the one of the other. */
function lookalike(written: string, name: string): string {
  const [letter] = [...written, ...name].filter((one) => /[^\0-\x7f]/.test(one) && written.includes(one) !== name.includes(one))
  return letter === undefined ? '' : ` The letter "${letter}" (${codePoint(letter)}) is only in one of them.`
}

/**
 * Edits between two words: insertions, deletions, substitutions, and two neighbours swapped; `limit` where it is that or more. Only as much is compared as
 * that takes.
 */
function distance(a: string, b: string, limit: number): number {
  let older: number[] = []
  let before = Array.from({ length: b.length + 1 }, (_, j) => j)
  let leastBefore = 0
  for (let i = 1; i <= a.length; i++) {
    const row = Array<number>(b.length + 1).fill(limit)
    row[0] = i
    let least = i
    for (let j = Math.max(1, i - limit); j <= Math.min(b.length, i + limit); j++) {
      const same = a[i - 1] === b[j - 1]
      let edits = Math.min((before[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (before[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) edits = Math.min(edits, (older[j - 2] ?? 0) + 1)
      row[j] = edits
      least = Math.min(least, edits)
    }
    if (Math.min(least, leastBefore) >= limit) return limit
    older = before
    before = row
    leastBefore = least
  }
  return Math.min(limit, before[b.length] ?? 0)
}
