/** Text that a stranger chose and that people will read on our pages: it must not be able to look like something else. */

/** Control, format (bidi, zero-width), surrogate and private-use and unassigned characters, line separators, and what no font shows. U+FE0F only makes emoji colourful. */
const unseen = /[[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]--[\u{fe0f}]]/v

/** A letter, number, sign or symbol; U+2800 is a Braille pattern without dots. */
const seen = /[[\p{L}\p{N}\p{P}\p{S}]--[\u{2800}]]/v

/** No orthography puts four marks on one letter; with more, text climbs out of its line. */
const stackedMarks = /\p{M}{4}/u

/** Why a text cannot be shown, as the end of a sentence ("… is blank"); null if it can. `most`: characters (code points). */
export function shownTextProblem(text: string, most: number): string | null {
  if (text.length > most * 2 || [...text].length > most) return `has more than ${most} characters`
  if (unseen.test(text)) return 'holds characters that cannot be seen, such as control, direction or zero-width characters'
  if (!seen.test(text)) return 'is blank'
  if (stackedMarks.test(text.normalize('NFC'))) return 'stacks combining marks'
  return null
}

/** A stranger's text as it may stand in a sentence, a log or a terminal: what cannot be seen as "?", and no more than `most` characters. */
export const printable = (text: string, most: number): string =>
  text
    .slice(0, most)
    .toWellFormed()
    .replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?')

/** The same in quotes, as a sentence names what was sent. */
export const quoted = (text: string, most: number): string => `"${printable(text, most)}"`
