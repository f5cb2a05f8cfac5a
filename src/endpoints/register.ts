import { callerOf, principalKey } from '../authorization/caller.ts'
import { goodInitialAccessToken, refuseInitialAccessToken } from '../authorization/initial_access_token.ts'
import { admitted, hasSecret, information, requireKnownOrigin } from '../authorization/registration.ts'
import { nameOf, recordDenial } from '../decide.ts'
import { bearerOf, type Endpoint, json } from '../http/endpoint.ts'
import { OAuthError } from '../oauth/error.ts'
import { softwareDigest } from '../oauth/same_software.ts'
import { digest, newSecret } from '../oauth/secret.ts'
import { defaults } from '../policy/index.ts'
import { insertRegisteredClient, type StoredClient } from '../store/clients.ts'
import { GuardFailed } from '../store/engine.ts'
import { useInitialAccessToken } from '../store/initial_access_tokens.ts'

/**
 * Dynamic client registration (RFC 7591): by whom the policy lets, in the bounds that it sets. What is made belongs to the caller. An initial access token
 * (§3) is a way that the policy may demand; whatever the policy, one that is shown must be good, and is used up by what it is shown for.
 */
export const register: Endpoint = {
  path: '/register',
  methods: ['POST'],
  body: 'json',
  cors: 'browser_clients',

  async handle(deps, request) {
    const policy = deps.policy()
    requireKnownOrigin(deps, request)
    const bearer = bearerOf(request)
    const principal = await callerOf(deps, request.connection)
    const now = deps.now()
    const initial = bearer === undefined ? null : await goodInitialAccessToken(deps, policy, principal, bearer)
    const initial_access_token = initial?.id ?? null
    const client_id = `dcr_${deps.newId()}`
    const { metadata, decided } = await admitted(deps, request, { policy, principal, client_id, initial_access_token })
    const { limits } = decided.verdict
    const client_secret = hasSecret(metadata) ? newSecret('client_secret', deps.randomBytes) : undefined
    const registration_access_token = newSecret('registration_access_token', deps.randomBytes)
    const client: StoredClient & { owner: string } = {
      client_id,
      kind: 'registered',
      metadata,
      secret_digest: client_secret === undefined ? null : digest(client_secret),
      registration_token_digest: digest(registration_access_token),
      owner: principalKey(principal),
      software: softwareDigest(metadata),
      initial_access_token,
      owner_name: nameOf(principal),
      created_at: now,
      used_at: now,
      unused_ttl: limits.client_ttl ?? defaults.client_ttl,
      fresh_until: null,
    }
    const most = limits.max_clients ?? defaults.max_clients
    const spend = initial && useInitialAccessToken(initial.id, now)
    try {
      await deps.store.commit([...(spend ? [spend] : []), ...insertRegisteredClient(client, most), ...decided.writes])
    } catch (thrown) {
      if (!(thrown instanceof GuardFailed)) throw thrown
      if (initial && thrown.write === spend) throw await refuseInitialAccessToken(deps, policy, principal, initial, 'used_up')
      const sentence = `${client.owner_name} has registered ${most} clients already, as many as the policy allows.`
      const decision_id = await recordDenial(deps, policy, principal, { entry: 'register' }, 'max_clients', sentence)
      throw new OAuthError('access_denied', `${sentence} Remove one first: meshidp clients list. Decision ${decision_id}.`, { decision_id })
    }
    return json(information(deps, client, { client_secret, registration_access_token }), 201)
  },
}
