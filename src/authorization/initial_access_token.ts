/** RFC 7591 §3: an initial access token, shown at registration. It proves that an admin wants this; who registers is still for the mesh to say. */
import { nameOf, recordDenial } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import { bearerError } from '../http/endpoint.ts'
import { OAuthError } from '../oauth/error.ts'
import type { Principal } from '../oauth/principal.ts'
import { digest, prefixes } from '../oauth/secret.ts'
import { foldAscii } from '../policy/index.ts'
import type { InitialAccessToken } from '../store/initial_access_tokens.ts'

/** Why one is not good: the words of the audit. */
const faults = {
  unknown: 'is not known here',
  revoked: 'was revoked',
  expired: 'has expired',
  used_up: 'was used as often as it may be',
  not_theirs: 'was issued for somebody else',
} as const

/** The token that `text` is, if it is good and for this caller. Throws `invalid_token`, which says the same of all others; the audit says which it was. */
export async function goodInitialAccessToken(
  deps: Deps,
  policy: ActivePolicy,
  principal: Principal,
  text: string,
): Promise<InitialAccessToken> {
  const token = text.startsWith(prefixes.initial_access_token) ? await deps.store.initialAccessTokens.find(digest(text)) : undefined
  const fault = token ? faultOf(token, principal, deps.now()) : 'unknown'
  if (!token || fault) throw await refuseInitialAccessToken(deps, policy, principal, token, fault ?? 'unknown')
  return token
}

function faultOf(token: InitialAccessToken, principal: Principal, now: number): keyof typeof faults | null {
  if (token.revoked_at !== null) return 'revoked'
  if (token.expires_at <= now) return 'expired'
  if (token.used >= token.uses) return 'used_up'
  return isFor(token, principal) ? null : 'not_theirs'
}

function isFor({ issued_for }: InitialAccessToken, principal: Principal): boolean {
  if (issued_for === '*') return true
  return principal.kind === 'user' ? foldAscii(principal.login) === foldAscii(issued_for) : principal.tags.includes(issued_for)
}

/** The refusal, after its row is on disk. */
export async function refuseInitialAccessToken(
  deps: Deps,
  policy: ActivePolicy,
  principal: Principal,
  token: InitialAccessToken | undefined,
  fault: keyof typeof faults,
): Promise<OAuthError> {
  const which = token ? `initial access token ${token.id}, which` : 'something that as an initial access token'
  const sentence = `${nameOf(principal)} showed ${which} ${faults[fault]}.`
  const facts = { entry: 'register', detail: { initial_access_token: token?.id ?? null } } as const
  const reason = ['initial_access_token', fault, token?.id].filter(Boolean).join(' ') // its own row for each token and fault
  const decision_id = await recordDenial(deps, policy, principal, facts, reason, sentence)
  const { message, details } = bearerError(
    'invalid_token',
    `This initial access token is not good here, or not for ${nameOf(principal)}. Ask an admin for another one, and mention decision ${decision_id}.`,
  )
  return new OAuthError('invalid_token', message, { ...details, decision_id })
}
