/** JSON as commands print it, also on a terminal. */

/** Lets a terminal act on what follows: DEL, and C1 controls (ECMA-48 §5.3). JSON.stringify itself spells those below U+0020. */
const controls = /[\x7f-\x9f]/g

const spelled = (control: string) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`

/** A value in one line, without a line end. A control that somebody wrote into a name is spelled (RFC 8259 §7); a Map is an object. */
export const jsonLine = (value: unknown, indent?: number): string =>
  JSON.stringify(value, (_, member) => (member instanceof Map ? Object.fromEntries(member) : member), indent).replaceAll(controls, spelled)

/** What `--json` prints: the same over several lines, with a line end. */
export const inJson = (value: unknown): string => `${jsonLine(value, 2)}\n`
