/** URIs as they are written: looked at before WHATWG `URL` repairs, strips and re-encodes them. */

/** Characters; enough for any redirect URI or document URL that a person means. */
export const longestUri = 2048

/** RFC 3986 §2: reserved, unreserved, percent-encoded. So no space, control character, backslash, quote, nor anything beyond ASCII. */
const uriCharacters = /^(?:[!$&'()*+,\-./0-9:;=?@A-Z[\]_a-z~#]|%[0-9A-Fa-f]{2})*$/

/** Whether `text` holds nothing but characters of a URI, and not too many of them. */
export const isUriText = (text: string): boolean => text.length <= longestUri && uriCharacters.test(text)

/** RFC 3986 §3, each part as written. `host` and `path` are '' where there are none; the others undefined. */
export type UriParts = {
  scheme: string
  authority: string | undefined
  host: string
  port: string | undefined
  path: string
  query: string | undefined
  fragment: string | undefined
}

/** A scheme in lower case only: each URI has one spelling here. */
const uri = /^([a-z][a-z0-9+.-]*):(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/
const hostAndPort = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/

/** Splits an absolute URI; undefined where `text` is none. With userinfo, `host` is what stands before its first colon: refuse "@" first. */
export function splitUri(text: string): UriParts | undefined {
  const parts = uri.exec(text)
  if (!parts) return undefined
  const [, scheme = '', authority, path = '', query, fragment] = parts
  const [, host = '', port] = hostAndPort.exec(authority ?? '') ?? []
  return { scheme, authority, host, port, path, query, fragment }
}

/** RFC 3986 §3.2.3 in its one canonical form: 1 to 65535, no leading zero, no sign. */
export const isPort = (text: string): boolean => /^[1-9][0-9]{0,4}$/.test(text) && Number(text) <= 65535

/** Whether the host is spelled as `URL` would spell it (in any case): no number that is an address, no percent-encoding, no empty label. */
export const hasPlainHost = (text: string, host: string): boolean =>
  !host.split('.').includes('') && URL.parse(text)?.hostname === host.toLowerCase()
