import { callerOf, principalKey } from '../authorization/caller.ts'
import { admitted, hasSecret, information, requireKnownOrigin } from '../authorization/registration.ts'
import { isOfPolicy } from '../clients/find.ts'
import { nameOf, recordDenial } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import { bearerError, bearerOf, type Endpoint, json, type Reply, type Request } from '../http/endpoint.ts'
import { OAuthError } from '../oauth/error.ts'
import type { Principal } from '../oauth/principal.ts'
import { softwareDigest } from '../oauth/same_software.ts'
import { digest, newSecret } from '../oauth/secret.ts'
import { deleteClient, revokeRegistrationToken, type StoredClient, updateClient } from '../store/clients.ts'

/** RFC 7592: what a client may do with its own registration, by its registration access token. */
export const registeredClient: Endpoint = {
  path: '/register/:client_id',
  methods: ['GET', 'PUT', 'DELETE'],
  body: 'json',
  cors: 'browser_clients',

  async handle(deps, request) {
    requireKnownOrigin(deps, request)
    const client = await ownRegistration(deps, request)
    const verb = verbs.get(request.method)
    if (!verb) throw new OAuthError('method_not_allowed', 'Use GET, PUT or DELETE here.')
    return verb(deps, request, client)
  },
}

const verbs = new Map<string, (deps: Deps, request: Request, client: StoredClient) => Promise<Reply> | Reply>([
  ['GET', (deps, request, client) => json(information(deps, client, { registration_access_token: bearerOf(request) }))],
  ['PUT', update],
  [
    'DELETE',
    async (deps, _request, client) => {
      await deps.store.commit(deleteClient(client.client_id, deps.now(), 'its client was deleted'))
      return { status: 204, headers: { 'cache-control': 'no-store' }, body: '' }
    },
  ],
])

/** The client whose registration access token this is. Any mismatch is 401 and tells nothing (RFC 7592 §2.1); a token shown for another client is revoked. */
async function ownRegistration(deps: Deps, request: Request): Promise<StoredClient> {
  const token = bearerOf(request)
  if (token === undefined)
    throw bearerError('invalid_token', 'Send the registration access token in the Authorization header, as a bearer token.', { bare: true })
  const client = await deps.store.clients.findByRegistrationToken(digest(token), deps.now())
  const isTaken = client && isOfPolicy(deps.policy(), client.client_id) // an admin has named it since: the policy file is its registration now
  if (client && client.client_id === request.variables.client_id && !isTaken) return client
  if (client) await deps.store.commit([revokeRegistrationToken(digest(token))])
  throw bearerError('invalid_token', 'This registration access token is not one of this client.')
}

/** RFC 7592 §2.2: replaces everything at once, by the rules of a registration; the registration access token changes with it. */
async function update(deps: Deps, request: Request, client: StoredClient): Promise<Reply> {
  const policy = deps.policy()
  const principal = await callerOf(deps, request.connection)
  await requireOwner(deps, policy, principal, client)
  const { client_id, initial_access_token } = client
  const { metadata, decided } = await admitted(deps, request, { policy, principal, client_id, initial_access_token, before: client })
  const getsSecret = hasSecret(metadata) && client.secret_digest === null
  const client_secret = getsSecret ? newSecret('client_secret', deps.randomBytes) : undefined
  const registration_access_token = newSecret('registration_access_token', deps.randomBytes)
  const updated: StoredClient = {
    ...client,
    metadata,
    software: softwareDigest(metadata),
    secret_digest: !hasSecret(metadata) ? null : client_secret === undefined ? client.secret_digest : digest(client_secret),
    used_at: deps.now(),
  }
  await deps.store.commit([updateClient(updated, digest(registration_access_token)), ...decided.writes])
  return json(information(deps, updated, { client_secret, registration_access_token }))
}

/** The consent page says who registered the software, so nobody else may turn it into something else, even with its token. */
async function requireOwner(deps: Deps, policy: ActivePolicy, principal: Principal, client: StoredClient): Promise<void> {
  if (client.owner === principalKey(principal)) return
  const sentence = `${nameOf(principal)} may not change software that ${client.owner_name} registered.`
  const decision_id = await recordDenial(deps, policy, principal, { entry: 'register', client_id: client.client_id }, 'owner', sentence)
  throw new OAuthError('access_denied', `${sentence} Register it anew instead; decision ${decision_id}.`, { decision_id })
}
