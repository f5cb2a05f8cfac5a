/** The words that name people, machines and software in a policy: design and document say "selector". */

import { didYouMean, type Hint } from '../hujson/nearest.ts'
import { codePoint, quote } from '../hujson/read.ts'
import { parseSpiffePattern, type SpiffeId } from '../oauth/spiffe_id.ts'
import { type Prefix, parsePrefix } from './address.ts'

/**
 * One selector. `key` is what it is looked up by: its kind and its value, so that no login name can pose as a group (on headscale a
 * person chooses theirs). A principal has keys too (principal_keys.ts); a selector matches it where the keys are equal.
 */
export type Selector =
  | {
      kind: 'people' | 'tagged' | 'shared' | 'registered' | 'login' | 'domain' | 'group' | 'tag' | 'client'
      text: string
      key: string
    }
  | { kind: 'address'; text: string; key: string; prefix: Prefix }
  | { kind: 'spiffe'; text: string; key: string; pattern: SpiffeId }

export type SelectorKind = Selector['kind']

/**
 * Login names and domains compare without regard to the case of A to Z, and of nothing else: folding beyond ASCII depends on language
 * and makes different people alike.
 */
export const foldAscii = (text: string): string => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())

export const peopleKey = 'people'
export const taggedKey = 'tagged'
/** Of whoever calls: grants that the mesh brought along with them are theirs alone. */
export const callerKey = 'caller'
export const loginKey = (login: string) => `login ${foldAscii(login)}`
export const domainKey = (domain: string) => `domain ${foldAscii(domain)}`
export const groupKey = (group: string) => `group ${group}`
export const tagKey = (tag: string) => `tag ${tag}`
export const clientKey = (client: string) => `client ${client}`
export const addressKey = (network: string) => `address ${network}`

/** `autogroup:registered`: software that this file does not name. */
export const registered = 'autogroup:registered'

const autogroups = new Map<string, { kind: SelectorKind; key: string }>([
  ['autogroup:member', { kind: 'people', key: peopleKey }],
  ['autogroup:tagged', { kind: 'tagged', key: taggedKey }],
  ['autogroup:shared', { kind: 'shared', key: 'shared' }], // no caller has this key: identity refuses shared-in nodes
  [registered, { kind: 'registered', key: 'registered' }],
])

/** Tailscale's other autogroups: the coordination server knows them, whois doesn't tell. */
const unknowable = new Set(
  ['admin', 'owner', 'it-admin', 'network-admin', 'billing-admin', 'auditor', 'associate', 'self', 'internet', 'nonroot', 'danger-all'].map(
    (name) => `autogroup:${name}`,
  ),
)

const prefixes = ['group:', 'tag:', 'client:', 'autogroup:', 'spiffe://']

/** One selector, or why it is none: a sentence and perhaps what was meant. */
export function parseSelector(text: string): Selector | { refused: string; hint?: Hint | undefined } {
  if (text === '*') return { kind: 'people', text, key: peopleKey }
  if (text.startsWith('!')) return { refused: `${quote(text)} is no selector: a grant only allows, so nobody can be taken out of one.` }
  const invisible = /\p{Cf}/u.exec(text)?.[0]
  if (invisible) return { refused: `${quote(text)} is no selector: it holds a character that nobody sees (${codePoint(invisible)}).` }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this refuses
  if (/[\s\u0000-\u001f\u007f,"]/.test(text))
    return { refused: `${quote(text)} is no selector: it holds a space, a comma, a quote or a control character.` }
  if (text.startsWith('autogroup:')) return autogroup(text)
  if (/^group:./.test(text)) return { kind: 'group', text, key: groupKey(text) }
  if (/^tag:[^*]+$/.test(text)) return { kind: 'tag', text, key: tagKey(text) }
  if (/^client:./.test(text)) return { kind: 'client', text, key: clientKey(text) }
  if (text.startsWith('spiffe:')) return workload(text)

  if (/^(group|tag|client):$/.test(text))
    return { refused: `${quote(text)} names nothing; a name follows the colon, as in "${text}example".` }
  if (text.includes('://')) return unknownKind(text)

  const domain = /^\*@([^@*/:]+)$/.exec(text)?.[1]
  if (domain) return { kind: 'domain', text, key: domainKey(domain) }
  if (text.includes('*'))
    return {
      refused: `${quote(text)} is no selector: a star stands alone, or before a domain as in *@example.com.`,
      ...(text === 'tag:*' && { hint: () => 'Did you mean "autogroup:tagged"?' }),
    }

  if (/^@|@$/.test(text))
    return {
      refused: `${quote(text)} is no login name; it looks like alice@example.com.`,
      hint: () => `Did you mean ${quote(text.startsWith('@') ? `*${text}` : text.slice(0, -1))}?`,
    }

  if (/^[\d.]+([/-].*)?$/.test(text) || text.includes('/') || /^[\da-f:.]*:[\da-f:.]*:[\da-f:.]*$/i.test(text)) return prefix(text)
  if (text.includes(':')) return unknownKind(text)
  if (text === '') return { refused: 'A selector may not be empty.' }
  return { kind: 'login', text, key: loginKey(text) }
}

function autogroup(text: string): ReturnType<typeof parseSelector> {
  const known = autogroups.get(text)
  if (known) return { kind: known.kind as 'people', text, key: known.key }
  if (!unknowable.has(text)) return { refused: `${quote(text)} is not an autogroup.`, hint: didYouMean(text, autogroups.keys()) }
  return {
    refused: `${text} cannot be known here: whois does not tell a node who is in it. Name the people in a group of this file instead.`,
  }
}

/** A star stands for one whole segment of the path: nothing that a workload is called can be longer than it was meant. */
function workload(text: string): ReturnType<typeof parseSelector> {
  const pattern = parseSpiffePattern(text)
  if (pattern) return { kind: 'spiffe', text, key: `spiffe ${text}`, pattern }
  const star = text.includes('*') ? ' A star stands for one whole segment of the path.' : ''
  return { refused: `${quote(text)} is no SPIFFE ID; it looks like spiffe://trust-domain/path.${star}` }
}

function prefix(text: string): ReturnType<typeof parseSelector> {
  const parsed = parsePrefix(text)
  if (!parsed)
    return { refused: `${quote(text)} is no IP address or network; a network looks like 100.64.0.0/10, without bits beyond its length.` }
  const { network, ...rest } = parsed
  return { kind: 'address', text, key: addressKey(network), prefix: rest }
}

function unknownKind(text: string): ReturnType<typeof parseSelector> {
  const kind = text.slice(0, text.indexOf(':') + 1)
  const sentence = `${quote(text)} is no selector; those with a colon start with ${prefixes.slice(0, -1).join(', ')} or ${prefixes.at(-1)}.`
  return { refused: sentence, hint: didYouMean(kind, prefixes) }
}
