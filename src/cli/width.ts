/** How many places a line of text takes on a terminal: East Asian wide characters and emoji take two (Unicode UAX 11), marks that combine and what nobody sees none. */
export const widthOf = (text: string): number =>
  /^[\x20-\x7e]*$/.test(text)
    ? text.length
    : Array.from(text, (one) => (narrow.test(one) ? 0 : wide.test(one) ? 2 : 1)).reduce((sum: number, one) => sum + one, 0)
const narrow = /[\p{M}\p{Cf}]/u
const wide = /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}\u3000-\u303f\uff01-\uff60]/u
