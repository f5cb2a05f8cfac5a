/** SPIFFE workloads as clients: one that proves itself needs no registration. */
import type { ActivePolicy, Deps } from '../deps.ts'
import { parseSpiffeId } from '../oauth/spiffe_id.ts'
import { type Client, clientOfPolicy, workloadGrantTypes } from './client.ts'

/**
 * The client that a workload is: the one of the policy that has its SPIFFE ID, else the workload itself, where its trust domain is configured. Undefined where
 * several have it: then the request has to say which by client_id.
 */
export function findWorkload({ config }: Deps, policy: ActivePolicy, spiffe_id: string): Client | undefined {
  const id = parseSpiffeId(spiffe_id)
  if (!id || !Object.hasOwn(config.spiffe.trust_domains, id.trust_domain)) return undefined
  const [client, another] = [...policy.clients.values()].filter((one) => one.spiffe_id === spiffe_id)
  if (another) return undefined
  return client ? clientOfPolicy(client, policy) : clientOfWorkload(spiffe_id)
}

/** A workload that nobody registered: its SPIFFE ID is its client_id, and grants that name it are all that it has. */
const clientOfWorkload = (spiffe_id: string): Client => ({
  client_id: spiffe_id,
  title: spiffe_id,
  verified: false,
  facts: { client_id: spiffe_id, name: null, spiffe_id },
  redirect_uris: [],
  post_logout_redirect_uris: [],
  grant_types: workloadGrantTypes,
  auth_methods: ['spiffe_jwt'],
  secret_digest: null,
  keys: null,
  assertions: { alg: null, token_endpoint_too: false },
  spiffe_id,
  node_tags: [],
  require_pkce: true,
  default_resource: null,
  id_token_alg: 'RS256',
  registered_by: null,
  software_digest: spiffe_id, // nobody is asked about it
  stored: null,
})
