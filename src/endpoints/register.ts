import { callerOf, principalKey } from '../authorization/caller.ts'
import { admitted, information, isConfidential, requireKnownOrigin } from '../authorization/registration.ts'
import { nameOf, recordDenial } from '../decide.ts'
import { bearerError, bearerOf, type Endpoint, json } from '../http/endpoint.ts'
import { OAuthError } from '../oauth/error.ts'
import { softwareDigest } from '../oauth/same_software.ts'
import { digest, newSecret } from '../oauth/secret.ts'
import { defaults } from '../policy/index.ts'
import { insertRegisteredClient, type StoredClient } from '../store/clients.ts'
import { GuardFailed } from '../store/engine.ts'

/** Dynamic client registration (RFC 7591): by whom the policy lets, in the bounds that it sets. What is made belongs to the caller. */
export const register: Endpoint = {
  path: '/register',
  methods: ['POST'],
  body: 'json',
  cors: 'browser_clients',

  async handle(deps, request) {
    const policy = deps.policy()
    requireKnownOrigin(deps, request)
    if (bearerOf(request) !== undefined)
      throw bearerError('invalid_token', 'No initial access tokens are given out here: the mesh says who registers. Send no Authorization.')
    const principal = await callerOf(deps, request.connection)
    const now = deps.now()
    const client_id = `dcr_${deps.newId()}`
    const { metadata, decided } = await admitted(deps, request, { policy, principal, client_id })
    const { limits } = decided.verdict
    const client_secret = isConfidential(metadata) ? newSecret('client_secret', deps.randomBytes) : undefined
    const registration_access_token = newSecret('registration_access_token', deps.randomBytes)
    const client: StoredClient & { owner: string } = {
      client_id,
      kind: 'registered',
      metadata,
      secret_digest: client_secret === undefined ? null : digest(client_secret),
      registration_token_digest: digest(registration_access_token),
      owner: principalKey(principal),
      software: softwareDigest(metadata),
      owner_name: nameOf(principal),
      created_at: now,
      used_at: now,
      unused_ttl: limits.client_ttl ?? defaults.client_ttl,
      fresh_until: null,
    }
    const most = limits.max_clients ?? defaults.max_clients
    try {
      await deps.store.commit([...insertRegisteredClient(client, most), ...decided.writes])
    } catch (thrown) {
      if (!(thrown instanceof GuardFailed)) throw thrown
      const sentence = `${client.owner_name} has registered ${most} clients already, as many as the policy allows.`
      const decision_id = await recordDenial(deps, policy, principal, { entry: 'register' }, 'max_clients', sentence)
      throw new OAuthError('access_denied', `${sentence} Remove one first: meshidp clients list. Decision ${decision_id}.`, { decision_id })
    }
    return json(information(deps, client, { client_secret, registration_access_token }), 201)
  },
}
