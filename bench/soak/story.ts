/** What a client does in the soak, and each answer that it expects; anything else is a failed operation. */
import { type Conversation, json, post } from '../load/http.ts'
import type { Target } from '../load/target.ts'
import { codeFlow, refreshed, type Tokens } from '../load/workloads.ts'
import { lifetimes, speed } from './world.ts'

/** For how long a code lives, by our clock. On a machine that is busy with other things a sign-in may take longer, and then must be refused. */
const codeLivesMs = (1000 * lifetimes.code) / speed

/** A sign-in; null where its code has ended meanwhile. */
function* signedIn(target: Target): Conversation<Tokens | null> {
  const began = performance.now()
  try {
    return yield* codeFlow(target, target.profile)
  } catch (error) {
    const isLate =
      performance.now() - began >= codeLivesMs && /^authorization_code: 400 .*"invalid_grant".*expired/.test((error as Error).message)
    if (isLate) return null
    throw error
  }
}

/** Signs in, refreshes twice, asks about the token, revokes, and is told afterwards that nothing of it is worth anything. RFC 6749, 7009, 7662. */
export function* story(target: Target): Conversation<void> {
  const { profile, paths } = target
  const isActive = function* (token: string): Conversation<boolean | undefined> {
    return json<{ active?: boolean }>(yield post(paths.introspection, profile.introspection.client, { token }), 'introspect').active
  }
  let tokens = yield* signedIn(target)
  if (tokens === null) return
  for (let times = 0; times < 2; times++) tokens = yield* refreshed(target, tokens.refresh_token, profile.resource)
  if ((yield* isActive(tokens.access_token)) !== true) throw new Error('a token that was just given is not active')
  const revoked = yield post('/revoke', profile.app, { token: tokens.refresh_token })
  if (revoked.status !== 200) throw new Error(`revoke: ${revoked.status} ${revoked.body.slice(0, 300)}`)
  if ((yield* isActive(tokens.access_token)) !== false) throw new Error('a token that was revoked is active')
  const { refresh_token } = tokens
  const again = yield post(paths.token, profile.app, { grant_type: 'refresh_token', refresh_token, resource: profile.resource })
  if (again.status !== 400 || JSON.parse(again.body).error !== 'invalid_grant')
    throw new Error(`a refresh token that was revoked: ${again.status} ${again.body.slice(0, 300)}`)
}
