/** Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document-02, "CIMD"): the `client_id` is the URL of its own metadata. */
import { type ParsedMetadata, parseClientMetadata } from '../oauth/client_metadata.ts'
import { OAuthError, Unavailable } from '../oauth/error.ts'
import { isPort, isUriText, splitUri } from '../oauth/uri_text.ts'
import type { StoredClient } from '../store/clients.ts'
import { createFetchBudget, type FetchLimits } from './fetch_budget.ts'
import type { GuardedFetch } from './guarded_fetch.ts'
import { freshFor } from './http_cache.ts'

/** `expires_at`: seconds since the epoch; may be now: then it serves only the request that asked for it. */
export type MetadataDocument = ParsedMetadata & { expires_at: number }

export type DocumentRequest = {
  /** Who makes us fetch: a user's or node's id. Ask the policy (`register`, via `cimd`) before. */
  principal: string
  mode: 'lenient' | 'strict'
  issuer: string
  /** Seconds since the epoch. */
  now: number
}

export type MetadataDocuments = {
  /**
   * Fetches and reads the document at `url`, for which `isMetadataDocumentUrl` holds. Nothing is kept here: store what comes, until `expires_at`.
   * Rejects with `invalid_client_metadata` or `invalid_redirect_uri`, with `Unavailable` when too much was fetched lately.
   */
  fetch(url: string, request: DocumentRequest): Promise<MetadataDocument>
}

/** A path segment that is "." or "..", also percent-encoded. */
const dotSegment = /^(?:\.|%2e){1,2}$/i

/**
 * Whether a `client_id` is such a URL, CIMD §3: https, a path, no fragment, no userinfo, no dot segments. One spelling only, the one that `URL` would
 * give it, since clients are told apart by their text: so no upper-case host, no default port, no number for an address.
 */
export function isMetadataDocumentUrl(client_id: string): boolean {
  if (!isUriText(client_id)) return false
  const parts = splitUri(client_id)
  if (parts?.scheme !== 'https' || parts.fragment !== undefined || parts.authority?.includes('@')) return false
  if (parts.port !== undefined && !isPort(parts.port)) return false
  if (parts.path.length < 2 || parts.path.split('/').some((segment) => dotSegment.test(segment))) return false
  return !parts.host.endsWith('.') && URL.parse(client_id)?.href === client_id
}

/** CIMD §4: application/json, or a more specific +json type. */
const jsonType = /^application\/(?:[\w.!#$&^-]+\+)?json *(?:;|$)/i

/** One sentence for all that can go wrong on the way to a document that is about this client_id, so that nobody learns what listens where. */
const unusable = (cause: unknown) =>
  new OAuthError(
    'invalid_client_metadata',
    'The metadata document of this client could not be fetched, or is not one for this client_id.',
    { cause },
  )

/** A document that belongs to `url`, still unread, and how long it is fresh. */
type Found = { body: object; fresh_for: number }

async function find(fetch: GuardedFetch, url: string, now: number): Promise<Found> {
  try {
    const { headers, body } = await fetch(url, { accept: 'application/json' })
    if (!jsonType.test(headers.get('content-type') ?? '')) throw new Error('not a JSON content type')
    const document: unknown = JSON.parse(body)
    if (typeof document !== 'object' || document === null || Array.isArray(document)) throw new Error('not a JSON object')
    // CIMD §4: equal as text. From here on the origin has shown that the document is meant for us, and errors may say more.
    if ((document as { client_id?: unknown }).client_id !== url) throw new Error('client_id is not the URL')
    return { body: document, fresh_for: freshFor(headers, now) }
  } catch (error) {
    throw unusable(error)
  }
}

/** Requests for one URL at the same time share one fetch; only the one that starts it pays for it. Errors are never kept (CIMD §5.1). */
export function createMetadataDocuments({ fetch, limits }: { fetch: GuardedFetch; limits: FetchLimits }): MetadataDocuments {
  const budget = createFetchBudget(limits)
  const underWay = new Map<string, Promise<Found>>()

  function start(url: string, { principal, now }: DocumentRequest): Promise<Found> {
    const retryAfter = budget.take(principal, new URL(url).origin, now)
    if (retryAfter > 0)
      throw new Unavailable('Too many metadata documents of clients were fetched within a minute. Try again after it.', { retryAfter })
    const fetching = find(fetch, url, now).finally(() => underWay.delete(url))
    underWay.set(url, fetching)
    return fetching
  }

  return {
    async fetch(url, request) {
      if (!isMetadataDocumentUrl(url)) throw unusable(new Error('not the URL of a metadata document'))
      const { body, fresh_for } = await (underWay.get(url) ?? start(url, request))
      const { mode, issuer, now } = request
      const parsed = parseClientMetadata(body, { source: 'document', mode, issuer, client_id: url, confidentialAllowed: false })
      return { ...parsed, expires_at: now + fresh_for }
    },
  }
}

/** The row of software that its metadata document describes. `known`: the one that there was; `unused_ttl`, `now`: seconds. */
export const documentedClient = (
  client_id: string,
  { metadata, expires_at }: MetadataDocument,
  { known, now, unused_ttl }: { known: StoredClient | null | undefined; now: number; unused_ttl: number },
): StoredClient => ({
  client_id,
  kind: 'metadata_document',
  metadata,
  secret_digest: null,
  registration_token_digest: null,
  owner: null,
  software: null,
  initial_access_token: null,
  owner_name: '',
  created_at: known?.created_at ?? now,
  used_at: now,
  unused_ttl,
  fresh_until: expires_at,
})
