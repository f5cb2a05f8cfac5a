/** The file's `resources`: what tokens are for. */

import { didYouMean } from '../hujson/nearest.ts'
import { type Path, quote } from '../hujson/read.ts'
import type { Report } from '../hujson/report.ts'
import type { PolicyDocument } from './document.ts'
import { isIdentityScope } from './identity_scopes.ts'
import type { Resource } from './policy.ts'

/** By name. Reports URIs that are none (RFC 8707 §2), two resources at one URI, two defaults, scopes that are the identity's. */
export function compileResources(document: PolicyDocument, report: Report): Map<string, Resource> {
  const resources = new Map<string, Resource>()
  const byUri = new Map<string, string>()
  let byDefault: string | undefined
  for (const [name, entry] of Object.entries(document.resources ?? {})) {
    const path = ['resources', name]
    const fault = uriFault(entry.uri)
    if (fault) report.error([...path, 'uri'], fault)

    const uri = withoutSlash(entry.uri)
    const before = byUri.get(uri)
    if (before) report.error([...path, 'uri'], `${name} has the same uri as ${before} (a slash at the end makes no difference).`)
    byUri.set(uri, name)

    if (entry.default && byDefault) report.error([...path, 'default'], `Only one resource may be the default, and ${byDefault} is.`)
    if (entry.default) byDefault = name

    const scopes = new Map<string, string | null>(
      Array.isArray(entry.scopes) ? entry.scopes.map((scope) => [scope, null]) : Object.entries(entry.scopes),
    )
    if (scopes.size === 0) report.error([...path, 'scopes'], `${name} has no scopes, so no grant could give it.`)
    for (const scope of scopes.keys()) {
      if (!isIdentityScope(scope)) continue
      const place = Array.isArray(entry.scopes) ? entry.scopes.indexOf(scope) : scope
      report.error([...path, 'scopes', place], `${quote(scope)} is an identity scope; a resource may not define it.`, { at: 'key' })
    }

    const token_format = entry.token_format ?? 'jwt'
    if (token_format === 'opaque' && entry.check === 'local')
      report.error(
        [...path, 'check'],
        'An opaque token says nothing by itself, so nobody can check it locally; its servers must "introspect".',
      )

    resources.set(name, {
      name,
      uri: entry.uri,
      title: entry.name ?? name.slice('resource:'.length),
      description: entry.description ?? null,
      scopes,
      default: entry.default ?? false,
      token_format,
      check: entry.check ?? (token_format === 'opaque' ? 'introspect' : 'local'),
      unverified_scopes: unverifiedScopes(entry.allow_unverified_clients ?? false, scopes, [...path, 'allow_unverified_clients'], report),
      signing_alg: entry.signing_alg ?? 'ES256',
      may_act: mayAct(document, entry.may_act, [...path, 'may_act'], report),
    })
  }
  return resources
}

function mayAct({ clients = {} }: PolicyDocument, name: string | undefined, path: Path, report: Report): string | null {
  if (name === undefined) return null
  const client = Object.hasOwn(clients, name) ? clients[name] : undefined
  if (!client) report.error(path, `${quote(name)} is not a client of this file.`, { hint: didYouMean(name, Object.keys(clients)) })
  return client?.client_id ?? name
}

function unverifiedScopes(
  allowed: boolean | readonly string[],
  scopes: ReadonlyMap<string, unknown>,
  path: Path,
  report: Report,
): ReadonlySet<string> {
  if (typeof allowed === 'boolean') return new Set(allowed ? scopes.keys() : [])
  for (const [i, scope] of allowed.entries())
    if (!scopes.has(scope))
      report.error([...path, i], `${quote(scope)} is not a scope of this resource.`, { hint: didYouMean(scope, scopes.keys()) })
  return new Set(allowed)
}

/** RFC 8707 §2: an absolute URI without a fragment. */
function uriFault(uri: string): string | null {
  if (uri.includes('#')) return `${quote(uri)} has a fragment, which a resource may not have (RFC 8707 §2).`
  if (/\s/.test(uri) || !URL.canParse(uri))
    return `${quote(uri)} is not an absolute URI; a resource needs one, such as "https://wiki.example.com/mcp".`
  return null
}

/** MCP clients add or drop the last slash, so resources that differ only there are the same. */
const withoutSlash = (uri: string) => (URL.parse(uri)?.href ?? uri).replace(/\/+$/, '')
