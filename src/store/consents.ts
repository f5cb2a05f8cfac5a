/** What a person agreed to, and when they last showed up: what lets a page be left out. */
import type { Engine, Write } from './engine.ts'

export type Consent = { user_id: string; client_id: string; resource: string; scopes: string; software_digest: string; agreed_at: number }

export const consents = (engine: Engine) => ({
  find: (user_id: string, client_id: string, resource: string) =>
    engine.get<Consent>('SELECT * FROM consents WHERE user_id = $user_id AND client_id = $client_id AND resource = $resource', {
      user_id,
      client_id,
      resource,
    }),
})

export const rememberConsent = (consent: Consent): Write => ({
  sql: `INSERT INTO consents (user_id, client_id, resource, scopes, software_digest, agreed_at)
    VALUES ($user_id, $client_id, $resource, $scopes, $software_digest, $agreed_at)
    ON CONFLICT (user_id, client_id, resource) DO UPDATE SET scopes = $scopes, software_digest = $software_digest, agreed_at = $agreed_at`,
  params: { ...consent },
})

/** So that the person is asked again before the client gets a token once more. */
export const forgetConsent = ({
  user_id,
  client_id,
  resource,
}: {
  user_id: string
  client_id: string
  resource: string | null
}): Write => ({
  sql: 'DELETE FROM consents WHERE user_id = $user_id AND client_id = $client_id AND resource = $resource',
  params: { user_id, client_id, resource: resource ?? '' },
})

/** When a person last showed up at a node (seconds), and whether that was a click on a page of ours. */
export type Recognised = { auth_time: number; confirmed: 0 | 1 }

export const authTimes = (engine: Engine) => ({
  find: (user_id: string, node_id: string) =>
    engine.get<Recognised>('SELECT auth_time, confirmed FROM auth_times WHERE user_id = $user_id AND node_id = $node_id', {
      user_id,
      node_id,
    }),
})

export const setAuthTime = (user_id: string, node_id: string, { auth_time, confirmed }: Recognised): Write => ({
  sql: `INSERT INTO auth_times (user_id, node_id, auth_time, confirmed) VALUES ($user_id, $node_id, $auth_time, $confirmed)
    ON CONFLICT (user_id, node_id) DO UPDATE SET auth_time = $auth_time, confirmed = $confirmed`,
  params: { user_id, node_id, auth_time, confirmed },
})

/** As if that person had never been at that node: the next sign-in there is a new one. */
export const forgetAuthTime = (user_id: string, node_id: string): Write => ({
  sql: 'DELETE FROM auth_times WHERE user_id = $user_id AND node_id = $node_id',
  params: { user_id, node_id },
})
