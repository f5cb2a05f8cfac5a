/** The file's `clients`: software known in advance. */

import { didYouMean } from '../hujson/nearest.ts'
import { type Path, quote } from '../hujson/read.ts'
import type { Report } from '../hujson/report.ts'
import { type ClientJwks, parseClientJwks } from '../oauth/client_jwks.ts'
import { forgesResponse } from '../oauth/redirect_uri.ts'
import { parseSpiffeId } from '../oauth/spiffe_id.ts'
import { hasPlainHost, isUriText, splitUri } from '../oauth/uri_text.ts'
import type { ClientEntry, PolicyDocument } from './document.ts'
import type { PolicyClient, Resource } from './policy.ts'

/** By client_id. Reports URIs that are none, secrets in the wrong place, unknown default resources, and two clients with one client_id. */
export function compileClients(
  document: PolicyDocument,
  resources: ReadonlyMap<string, Resource>,
  report: Report,
): Map<string, PolicyClient> {
  const clients = new Map<string, PolicyClient>()
  for (const [name, entry] of Object.entries(document.clients ?? {})) {
    const path = ['clients', name]
    const client_id = entry.client_id ?? name
    const before = clients.get(client_id)
    if (before) {
      const place = entry.client_id === undefined ? path : [...path, 'client_id']
      report.error(place, `${name} has the client_id ${quote(client_id)}, and so has ${before.name}.`, {
        at: entry.client_id === undefined ? 'key' : 'value',
      })
    }
    checkClient(entry, path, report)
    if (client_id.startsWith('spiffe:') && entry.spiffe_id !== client_id)
      report.error(
        [...path, 'client_id'],
        'A client_id that is a SPIFFE ID has to be the "spiffe_id" too; else it would be a name that anybody can say.',
      )
    if (entry.default_resource !== undefined && !resources.has(entry.default_resource))
      report.error([...path, 'default_resource'], `${quote(entry.default_resource)} is not defined.`, {
        hint: didYouMean(entry.default_resource, resources.keys()),
      })
    clients.set(client_id, {
      name,
      client_id,
      title: entry.name ?? name.slice('client:'.length),
      redirect_uris: entry.redirect_uris ?? [],
      client_secret_file: entry.client_secret_file ?? null,
      default_resource: entry.default_resource ?? null,
      node: entry.node ?? [],
      jwks: jwksOf(entry, path, report),
      jwks_uri: entry.jwks_uri ?? null,
      spiffe_id: entry.spiffe_id ?? null,
      compat: { assertion_aud: entry.compat?.assertion_aud ?? false },
      require_pkce: entry.require_pkce ?? true,
      id_token_signed_response_alg: entry.id_token_signed_response_alg ?? null,
      post_logout_redirect_uris: entry.post_logout_redirect_uris ?? [],
    })
  }
  return clients
}

function checkClient(entry: ClientEntry, path: Path, report: Report): void {
  // RFC 9068 §5: a client's id stands where a person's does, in `sub` of the tokens that it gets for itself.
  if (entry.client_id?.startsWith('userid:'))
    report.error([...path, 'client_id'], 'A client_id may not begin with "userid:": tokens call people so.')
  for (const key of ['redirect_uris', 'post_logout_redirect_uris'] as const) {
    for (const [i, uri] of (entry[key] ?? []).entries()) {
      const wrong = redirectFault(uri)
      if (wrong) report.error([...path, key, i], wrong)
    }
  }
  if (entry.jwks && entry.jwks_uri) report.error([...path, 'jwks_uri'], 'A client has "jwks" or "jwks_uri", not both (RFC 7591 §2).')
  if (entry.jwks_uri !== undefined && !isHttps(entry.jwks_uri)) report.error([...path, 'jwks_uri'], '"jwks_uri" must be an https address.')
  const mayAssert = entry.jwks ?? entry.jwks_uri ?? entry.spiffe_id ?? entry.client_id?.startsWith('https://') // whose document may have keys
  if (entry.compat?.assertion_aud && !mayAssert)
    report.error([...path, 'compat', 'assertion_aud'], '"assertion_aud" is about assertions, and this client has no key to sign any with.')
  if (entry.spiffe_id !== undefined && !parseSpiffeId(entry.spiffe_id)) {
    report.error([...path, 'spiffe_id'], `${quote(entry.spiffe_id)} is no SPIFFE ID; it looks like spiffe://trust-domain/path.`)
  }
  const confidential = entry.client_secret_file ?? entry.jwks ?? entry.jwks_uri ?? entry.node ?? entry.spiffe_id
  if (entry.require_pkce === false && confidential === undefined) {
    // OAuth 2.1 §7.5.1: PKCE may be waived only where the client is confidential and sends an OpenID nonce.
    report.error([...path, 'require_pkce'], 'Only a client with a credential may do without PKCE; this one has no "client_secret_file".')
  }
}

/** Its keys, as far as they can be used. Reports what cannot, each key by itself. */
function jwksOf({ jwks }: ClientEntry, path: Path, report: Report): ClientJwks | null {
  const keys = (jwks?.keys ?? []).flatMap((key, i) => {
    if (secretMembers.some((member) => member in key)) {
      report.error([...path, 'jwks', 'keys', i], 'This key is private; a policy file holds public keys only.')
      return []
    }
    try {
      return parseClientJwks({ keys: [key] }).keys
    } catch (thrown) {
      report.error([...path, 'jwks', 'keys', i], (thrown as Error).message.replace(/^Key 1 of jwks/, 'This key'))
      return []
    }
  })
  return keys.length > 0 ? { keys } : null
}

/** RFC 7518 §6.2.2, §6.3.2, §6.4.1. */
const secretMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** Schemes that run or read something where a redirect should only lead somewhere. */
const dangerous = new Set(['javascript', 'data', 'vbscript', 'file', 'blob', 'about'])

/** OAuth 2.1 §2.3.1: absolute, no fragment; compared as text, so a wildcard would only look like one. */
function redirectFault(uri: string): string | null {
  if (uri.includes('*')) return `${quote(uri)} holds a wildcard; redirect URIs are compared exactly (RFC 9700 §2.1).`
  if (uri.includes('#')) return `${quote(uri)} has a fragment, which a redirect URI may not have (RFC 6749 §3.1.2).`
  const parts = isUriText(uri) && URL.canParse(uri) ? splitUri(uri) : undefined
  if (!parts) return `${quote(uri)} is not an absolute URI with its scheme in lower case and all else percent-encoded.`
  if (dangerous.has(parts.scheme)) return `${quote(uri)} is not a place that a browser may be sent to.`
  if (parts.authority?.includes('@')) return `${quote(uri)} holds a user name or password.`
  if (/^https?$/.test(parts.scheme) && !hasPlainHost(uri, parts.host))
    return `${quote(uri)} has no host in its plain form after two slashes: a name, or an address as it is usually written.`
  return forgesResponse(parts.query) ? `${quote(uri)} has a name in its query that the answer uses, such as code, state or error.` : null
}

const isHttps = (uri: string) => URL.parse(uri)?.protocol === 'https:'
