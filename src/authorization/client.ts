/** The client of an authorization request: known already, or known after its metadata document was fetched. */
import { type Client, clientOfStore } from '../clients/client.ts'
import { findKnownClient, isStale } from '../clients/find.ts'
import { documentedClient, isMetadataDocumentUrl } from '../clients/metadata_document.ts'
import { refuseOfficialName } from '../clients/official_name.ts'
import { decide } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import { OAuthError } from '../oauth/error.ts'
import type { Principal } from '../oauth/principal.ts'
import { quoted } from '../oauth/shown_text.ts'
import { defaults } from '../policy/index.ts'
import { keepMetadataDocument } from '../store/clients.ts'
import { principalKey } from './caller.ts'
import { redirectHostsOf } from './registration.ts'

/**
 * Finds the client. A metadata document that the policy file does not name needs a caller whom the policy lets bring such software in (`via: cimd`), and
 * that is decided before any fetch: a stranger never makes us fetch. Throws `invalid_request` (unknown), `access_denied`, `invalid_client_metadata`.
 */
export async function clientForCaller(
  deps: Deps,
  policy: ActivePolicy,
  client_id: string,
  caller: () => Promise<Principal>,
): Promise<Client> {
  const known = await findKnownClient(deps, policy, client_id)
  if (known && known.stored?.kind !== 'metadata_document') return known
  if (!known && !isMetadataDocumentUrl(client_id)) throw unknownClient(client_id)
  const now = deps.now()
  const principal = await caller()
  const named = policy.clients.get(client_id)
  const host = new URL(client_id).hostname
  const admit = (redirects: Parameters<typeof redirectHostsOf>[0], detail: Record<string, unknown> = {}) => {
    const hosts = [host, ...redirectHostsOf(redirects)]
    const asked = { app: 'register', principal, via: 'cimd', hosts, confidential: false } as const
    return decide(deps, policy, asked, { entry: 'register', detail: { client_id } }, { client_id, detail })
  }
  const fresh = known && !isStale(known, now) ? known : undefined
  const decided = named ? undefined : await admit(fresh ?? { redirect_uris: [] })
  if (fresh) return fresh

  const document = await deps.documents.fetch(client_id, {
    principal: principalKey(principal),
    mode: decided?.verdict.limits.metadata ?? 'lenient',
    issuer: deps.config.issuer,
    now,
  })
  const { metadata, ignored, narrowed } = document
  if (!named) refuseOfficialName(policy, metadata.client_name)
  const stored = documentedClient(client_id, document, {
    known: known?.stored,
    now,
    unused_ttl: decided?.verdict.limits.client_ttl ?? defaults.client_ttl,
  })
  const writes = named ? [] : (await admit(metadata, { ignored, narrowed })).writes
  await deps.store.commit([keepMetadataDocument(stored), ...writes])
  return clientOfStore(stored, named)
}

const unknownClient = (client_id: string) =>
  new OAuthError(
    'invalid_request',
    `The client ${quoted(client_id, 100)} is not known here. It may have gone unused for too long, or been removed: the application must register again.`,
  )
