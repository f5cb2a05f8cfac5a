/** Finds a client by its id, in the order of the MCP specification: the policy file, a metadata document, a registration. */
import type { ActivePolicy, Deps } from '../deps.ts'
import type { Policy, PolicyClient } from '../policy/index.ts'
import { type Client, clientOfPolicy, clientOfStore } from './client.ts'
import { isMetadataDocumentUrl } from './metadata_document.ts'

const mostLetters = 2048

/**
 * A client that is known here already; no fetch is ever made. Undefined for one that is not, or that went unused for too long.
 * A policy entry that holds no redirect URIs and whose id is a metadata document's URL only names that document.
 */
export async function findKnownClient(deps: Deps, policy: ActivePolicy, client_id: string): Promise<Client | undefined> {
  if (client_id.length > mostLetters) return undefined
  const named = policy.clients.get(client_id)
  if (named && !namesDocument(named)) return clientOfPolicy(named, policy)
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
