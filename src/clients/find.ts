/** Finds a client by its id, in the order of the MCP specification: the policy file, a metadata document, a registration. */
import type { ActivePolicy, Deps } from '../deps.ts'
import { OAuthError, Unavailable } from '../oauth/error.ts'
import { defaults, type Policy, type PolicyClient } from '../policy/index.ts'
import { keepMetadataDocument } from '../store/clients.ts'
import { type Client, clientOfPolicy, clientOfStore } from './client.ts'
import { FetchRefused } from './guarded_fetch.ts'
import { documentedClient, isMetadataDocumentUrl } from './metadata_document.ts'
import { findWorkload } from './workload.ts'

const mostLetters = 2048

/** Seconds for which a workload's document serves it, whatever its origin says: else each of its requests would fetch it, and write it down. */
const leastFresh = 60

/**
 * A client that is known here already; no fetch is ever made. Undefined for one that is not, or that went unused for too long.
 * A policy entry that holds no redirect URIs and whose id is a metadata document's URL only names that document.
 */
export async function findKnownClient(deps: Deps, policy: ActivePolicy, client_id: string): Promise<Client | undefined> {
  if (client_id.length > mostLetters) return undefined
  const named = policy.clients.get(client_id)
  if (named && !namesDocument(named)) return clientOfPolicy(named, policy)
  if (client_id.startsWith('spiffe://')) return findWorkload(deps, policy, client_id)
  const stored = await deps.store.clients.find(client_id, deps.now())
  return stored && clientOfStore(stored, named)
}

/** Whether a policy entry only stands for a metadata document: it holds neither redirect URIs nor a credential, and its id is such a document's URL. */
const namesDocument = ({ client_id, redirect_uris, client_secret_file, node, jwks, jwks_uri, spiffe_id }: PolicyClient): boolean =>
  redirect_uris.length === 0 &&
  !client_secret_file &&
  node.length === 0 &&
  !jwks &&
  !jwks_uri &&
  !spiffe_id &&
  isMetadataDocumentUrl(client_id)

/** Whether the policy file alone says what this client is: then a row that the store still has of it means nothing. */
export function isOfPolicy(policy: Policy, client_id: string): boolean {
  const named = policy.clients.get(client_id)
  return named !== undefined && !namesDocument(named)
}

/** Whether a metadata document must be fetched again before it may be used at `/authorize`. */
export const isStale = (client: Client, now: number): boolean =>
  client.stored?.kind === 'metadata_document' && (client.stored.fresh_until ?? 0) <= now

/**
 * A client that its metadata document describes, for a workload that has proven who it is: where an admin has named the document, it is fetched as for
 * `/authorize`, which such a client never comes to. Undefined where nobody named it, so nobody makes us fetch what an admin did not choose.
 * Throws `invalid_client` where it is none, `Unavailable` where it cannot be fetched.
 */
export async function fetchNamedDocument(
  deps: Deps,
  policy: ActivePolicy,
  client_id: string,
  workload: string,
): Promise<Client | undefined> {
  const named = policy.clients.get(client_id)
  if (!named || !namesDocument(named)) return undefined
  const now = deps.now()
  const asked = { principal: workload, mode: 'lenient', issuer: deps.config.issuer, now } as const
  const fetched = await deps.documents.fetch(client_id, asked).catch((thrown: Error) => {
    if (thrown instanceof Unavailable) throw thrown
    if (thrown.cause instanceof FetchRefused)
      throw new Unavailable(`The metadata document ${client_id} could not be fetched.`, { cause: thrown })
    throw new OAuthError('invalid_client', thrown.message, { cause: thrown })
  })
  const document = { ...fetched, expires_at: Math.max(fetched.expires_at, now + leastFresh) }
  const known = await deps.store.clients.find(client_id, now)
  const stored = documentedClient(client_id, document, { known, now, unused_ttl: defaults.client_ttl })
  await deps.store.commit([keepMetadataDocument(stored)])
  return clientOfStore(stored, named)
}
