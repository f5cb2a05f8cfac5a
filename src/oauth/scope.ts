/** RFC 6749 §3.3: scopes are names, space-separated; their order means nothing. */
import { OAuthError } from './error.ts'

const longestScope = 4096
const mostScopes = 100

/** RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ). */
const scopeText = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

/** Whether `text` is one scope. */
export const isScopeToken = (text: string): boolean => text !== '' && !text.includes(' ') && scopeText.test(text)

/** The scopes of a `scope` parameter, each once, in the order asked; none of an empty one. Throws `invalid_scope`. Linear in the text. */
export function parseScope(text: string): string[] {
  if (text.length > longestScope) throw new OAuthError('invalid_scope', `The scope has more than ${longestScope} characters.`)
  if (!scopeText.test(text)) throw new OAuthError('invalid_scope', 'The scope holds a character that no scope can have.')
  const tokens = text.split(' ').filter((token) => token !== '')
  if (tokens.length > mostScopes) throw new OAuthError('invalid_scope', `More than ${mostScopes} scopes were asked for.`)
  return [...new Set(tokens)]
}

/** The `scope` parameter for these scopes. */
export const scopeOf = (scopes: readonly string[]): string => scopes.join(' ')
