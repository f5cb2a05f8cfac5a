/** Colours, for a terminal only (https://no-color.org), and texts of others made harmless for one. */
import { styleText } from 'node:util'
import type { Terminal } from './command.ts'

export type Style = 'red' | 'green' | 'yellow' | 'bold' | 'dim'
export type Paint = (style: Style, text: string) => string

/** Paints where people read along and nobody has forbidden it. */
export const paintFor = ({ interactive, env }: Pick<Terminal, 'interactive' | 'env'>): Paint =>
  interactive && !env.NO_COLOR && env.TERM !== 'dumb'
    ? (style, text) => (text === '' ? '' : styleText(style, text, { validateStream: false }))
    : (_, text) => text

/**
 * `text` as it may be shown: what could move the cursor, paint, or turn the direction of writing, becomes a visible sign. A line break
 * stays one.
 */
export const harmless = (text: string): string =>
  text.replaceAll('\t', ' ').replaceAll(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, (one) => (one === '\n' ? one : '\uFFFD'))
