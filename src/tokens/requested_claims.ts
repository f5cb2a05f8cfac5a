/** Claims that a request names one by one (OpenID Connect Core §5.5). Each is decided like the scope that would give it, and widens no token. */
import type { ClaimsParameter } from '../oauth/claims_parameter.ts'
import { scopeBehind } from './claims.ts'

/** Names of claims, by where they are wanted. */
export type RequestedClaims = { id_token: readonly string[]; userinfo: readonly string[] }

export const noClaims: RequestedClaims = { id_token: [], userinfo: [] }

/** Those of the parameter that we know and that a scope would give. */
export const knownClaims = ({ id_token, userinfo }: ClaimsParameter): RequestedClaims => ({
  id_token: [...id_token.keys()].filter((name) => scopeBehind.has(name)),
  userinfo: [...userinfo.keys()].filter((name) => scopeBehind.has(name)),
})

/** `scopes`, and those behind the claims: what the policy is asked for. */
export function withScopesBehind(scopes: readonly string[], { id_token, userinfo }: RequestedClaims): readonly string[] {
  if (id_token.length === 0 && userinfo.length === 0) return scopes
  return [...new Set([...scopes, ...[...id_token, ...userinfo].flatMap((name) => scopeBehind.get(name) ?? [])])]
}

/** The claims whose scopes the policy gave. */
export function claimsWithin(claims: RequestedClaims, given: readonly string[]): RequestedClaims {
  const isGiven = (name: string) => given.includes(scopeBehind.get(name) ?? '')
  return { id_token: claims.id_token.filter(isGiven), userinfo: claims.userinfo.filter(isGiven) }
}

/** As an authorization keeps them: JSON, null for none. */
export const claimsToStore = (claims: RequestedClaims): string | null =>
  claims.id_token.length === 0 && claims.userinfo.length === 0 ? null : JSON.stringify(claims)

export const claimsFromStore = (text: string | null): RequestedClaims => (text === null ? noClaims : (JSON.parse(text) as RequestedClaims))
