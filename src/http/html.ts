/** HTML by template literal: every value is escaped, unless it is a piece of HTML itself. */

export type Html = { readonly html: string }

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const escaped = (text: string) => text.replaceAll(/[&<>"']/g, (letter) => entities[letter] ?? letter)

type Piece = string | number | Html | false | null | undefined | readonly Piece[]

function rendered(piece: Piece): string {
  if (piece === false || piece === null || piece === undefined) return ''
  if (typeof piece === 'string' || typeof piece === 'number') return escaped(String(piece))
  if ('html' in piece) return piece.html
  return piece.map(rendered).join('')
}

/** ``html`<p>${name}</p>` ``: `name` comes out as text, whatever it holds. */
export const html = (texts: TemplateStringsArray, ...pieces: Piece[]): Html => ({
  html: texts.reduce((all, text, at) => all + rendered(pieces[at - 1]) + text),
})
