/** Where an authorization response may go: what can be registered, what matches, and how the answer is appended. */
import { hasPlainHost, isPort, isUriText, longestUri, splitUri, type UriParts } from './uri_text.ts'

export type ApplicationType = 'web' | 'native'

/** How many a client may register. RFC 7591 §5. */
export const mostRedirectUris = 20

/** RFC 8252 §7.3, §8.3: these spellings and no other; `localhost` because many native clients need it (OAuth 2.1 §4.1.1). */
const loopbackHosts = new Set(['localhost', '127.0.0.1', '[::1]'])

/** What listens on every node of the mesh: MagicDNS and its web page, and the LocalAPI's name. */
const meshServiceHosts = new Set([
  '100.100.100.100',
  '[fd7a:115c:a1e0::53]',
  'magicdns.localhost-tailscale-daemon',
  'local-tailscaled.sock',
])

/** RFC 8252 §7.1, OAuth 2.1 §2.3.1: a domain of the client's, reversed. No dangerous scheme (`javascript`, `data`, …) has a dot. */
const reverseDomain = /^[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+$/

/** Names of an authorization response, which a registered query would forge: OAuth 2.1 §4.1.2, RFC 9207, JARM, OpenID Core §3.3.2.5. */
const responseNames = new Set([
  ...['code', 'state', 'iss', 'error', 'error_description', 'error_uri', 'response'],
  ...['access_token', 'id_token', 'token_type', 'expires_in', 'session_state'],
])

type Kind = 'https' | 'loopback' | 'private_use'

function kindOf({ scheme, host }: UriParts): Kind | undefined {
  if (scheme === 'https') return 'https'
  if (scheme === 'http') return loopbackHosts.has(host) ? 'loopback' : undefined
  return reverseDomain.test(scheme) ? 'private_use' : undefined
}

/** Whether a query has a name that the answer has, however it is encoded. */
export const forgesResponse = (query: string | undefined) => [...new URLSearchParams(query).keys()].some((name) => responseNames.has(name))

/** Whether it leads back to us. Loopback hosts are one machine, so there the port tells. */
function isOurs({ scheme, host, port }: UriParts, issuer: string): boolean {
  const ours = new URL(issuer)
  const defaultPort = scheme === 'https' ? '443' : '80'
  const samePort = (port ?? defaultPort) === (ours.port || (ours.protocol === 'https:' ? '443' : '80'))
  const sameHost = host.toLowerCase() === ours.hostname || (loopbackHosts.has(host.toLowerCase()) && loopbackHosts.has(ours.hostname))
  return `${scheme}:` === ours.protocol && sameHost && samePort
}

type Candidate = UriParts & { text: string; kind: Kind | undefined; issuer: string; application_type: ApplicationType | undefined }

/** What a redirect URI must not be, in the order checked; and the sentence for whoever wrote it. */
const refusals: readonly [refused: (uri: Candidate) => boolean, sentence: string][] = [
  [({ fragment }) => fragment !== undefined, 'A redirect URI cannot have a fragment (OAuth 2.1 section 2.3).'],
  [({ text }) => text.includes('*'), 'A redirect URI cannot hold a wildcard: register each address that is used.'],
  [({ authority }) => authority?.includes('@') ?? false, 'A redirect URI cannot hold a user name or password.'],
  [
    ({ kind }) => kind === undefined,
    'A redirect URI must use https, or http on localhost, 127.0.0.1 or [::1], or a private-use scheme with a dot such as com.example.app:/callback.',
  ],
  [
    ({ port }) => port !== undefined && !isPort(port),
    'The port of a redirect URI must be a number from 1 to 65535, without leading zeros.',
  ],
  [
    ({ kind, text, host }) => kind !== 'private_use' && !hasPlainHost(text, host),
    'A redirect URI must have two slashes and a host in its plain form: a name (internationalised ones as xn--), or an address as it is usually written.',
  ],
  [({ host }) => meshServiceHosts.has(host.toLowerCase()), 'This address belongs to the mesh itself and cannot be a redirect URI.'],
  [(uri) => uri.kind !== 'private_use' && isOurs(uri, uri.issuer), 'A redirect URI cannot lead back to this authorization server.'],
  [
    ({ query }) => forgesResponse(query),
    'The query of a redirect URI cannot hold a name that the answer uses, such as code, state, iss or error.',
  ],
  [
    // OpenID Registration §2: web clients use https, and never localhost. RFC 8252 §7.2 lets native ones use https too.
    ({ kind, host, application_type }) => application_type === 'web' && (kind !== 'https' || loopbackHosts.has(host.toLowerCase())),
    'A client with application_type web can only register https addresses that are not on the local machine; native software says application_type native.',
  ],
]

/**
 * Whether a redirect URI can be registered: null if so, else a sentence that says why not. OAuth 2.1 §2.3, RFC 8252 §7, RFC 9700 §4.1.3.
 * @param application_type as the client said it; undefined where it said nothing: then both sorts of addresses are fine.
 */
export function checkRedirectUri(
  text: string,
  { issuer, application_type }: { issuer: string; application_type: ApplicationType | undefined },
): string | null {
  if (text.length > longestUri) return `A redirect URI can have ${longestUri} characters at most.`
  if (!isUriText(text)) return 'A redirect URI holds a character that must be percent-encoded (or, in a host name, written as xn--).'
  const parts = splitUri(text)
  if (!parts) return 'A redirect URI must be absolute, its scheme in lower case.'
  const candidate = { ...parts, text, kind: kindOf(parts), issuer, application_type }
  return refusals.find(([refused]) => refused(candidate))?.[1] ?? null
}

const loopback = /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(?::([1-9][0-9]{0,4}))?((?:[/?].*)?)$/

/**
 * The URI to answer to: `given`, if it is one of the registered ones, else undefined. Compared as text (OAuth 2.1 §4.1.1, RFC 3986 §6.2.1);
 * only the port is free, and only on http loopback with the very same host (RFC 8252 §7.3).
 * @param issuer ours: a free port never becomes our own, where we listen on loopback ourselves.
 */
export function matchesRedirectUri(registered: readonly string[], given: string, issuer?: string): string | undefined {
  if (registered.includes(given)) return given
  if (given.length > longestUri) return undefined
  const [, host, port = '80', rest] = loopback.exec(given) ?? []
  if (host === undefined || !isPort(port)) return undefined
  const same = registered.some((uri) => {
    const [, registeredHost, , registeredRest] = loopback.exec(uri) ?? []
    return registeredHost === host && registeredRest === rest
  })
  if (!same) return undefined
  const parts = splitUri(given)
  return parts && issuer !== undefined && isOurs(parts, issuer) ? undefined : given
}

/**
 * `uri` with the parameters appended to its query, once, in the order given; what it had is kept to the letter (OAuth 2.1 §4.1.2).
 * Values are percent-encoded UTF-8, so that no text of a stranger's splits a header; a lone surrogate becomes U+FFFD. Undefined ones are left out.
 */
export function redirectWith(uri: string, params: Readonly<Record<string, string | undefined>>): string {
  const pairs = Object.entries(params).flatMap(([name, value]) => (value === undefined ? [] : `${encode(name)}=${encode(value)}`))
  if (pairs.length === 0) return uri
  const joint = !uri.includes('?') ? '?' : /[?&]$/.test(uri) ? '' : '&'
  return uri + joint + pairs.join('&')
}

const encode = (text: string) => encodeURIComponent(text.toWellFormed())

/** Where an answer goes, for people and for the policy. */
export type RedirectHost = {
  /** For people: host and port, A-labels left as they are; of a private-use scheme the scheme and its colon. */
  shown: string
  /** For the policy: the bare host, or the scheme and its colon (a scheme is no host). */
  host: string
  /** Any program of that machine may be listening: say so on consent (OAuth 2.1 §8.4.2). */
  loopback: boolean
  /** Any app of that machine may have claimed the scheme (OAuth 2.1 §7.3.1). */
  private_use: boolean
}

/** Of a redirect URI that `checkRedirectUri` let pass. */
export function redirectHost(uri: string): RedirectHost {
  const parts = splitUri(uri)
  const kind = parts && kindOf(parts)
  if (!parts || kind === 'private_use') {
    const scheme = `${parts?.scheme ?? uri}:`
    return { shown: scheme, host: scheme, loopback: false, private_use: true }
  }
  const host = parts.host.toLowerCase()
  const shown = parts.port === undefined ? host : `${host}:${parts.port}`
  return { shown, host, loopback: loopbackHosts.has(host), private_use: false }
}
