/** How the story is told: lines of a few kinds, and how they look in a terminal. */

export type Line =
  | { kind: 'chapter'; text: string }
  /** Somebody does something. */
  | { kind: 'deed'; who: string; text: string }
  /** What came of it: a name and a value. */
  | { kind: 'fact'; name: string; text: string }

export type Narrate = (line: Line) => void

/** Aligned; coloured only where people look at a terminal. */
export function inTerminal(write: (text: string) => void, colours: boolean): Narrate {
  const painted = (code: string, text: string) => (colours ? `\x1b[${code}m${text}\x1b[0m` : text)
  const looks: { [Kind in Line['kind']]: (line: Extract<Line, { kind: Kind }>) => string } = {
    chapter: ({ text }) => `\n${painted('1', text)}\n`,
    deed: ({ who, text }) => `  ${painted('36', who.padEnd(9))} ${text}\n`,
    fact: ({ name, text }) => `            ${painted('2', name.padEnd(18))} ${text}\n`,
  }
  return (line) => write((looks[line.kind] as (line: Line) => string)(line))
}
