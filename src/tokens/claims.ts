/** What is said of a person, by scope (OpenID Connect Core §5.4): one table. Always of today's whois, never of a snapshot. */
import type { Config } from '../config.ts'
import type { Claims } from '../keys/jwt.ts'
import type { UserPrincipal } from '../oauth/principal.ts'
import type { Limits } from '../policy/index.ts'
import type { Authorization } from '../store/authorizations.ts'

/** The person, stable across renames, nodes and restarts (OpenID Connect Core §8); the tailnet is pinned, so ids never collide. */
export const personAs = (user_id: string): string => `userid:${user_id}`

/** Whom a token speaks for, as `sub`: a person, or a client where nobody else is meant (RFC 9068 §2.2). */
export const subjectOf = ({ user_id, workload }: Pick<Authorization, 'user_id' | 'workload'>): string => workload ?? personAs(user_id)

type Context = { principal: UserPrincipal; config: Config; released: Pick<Limits, 'groups'> }

/** An e-mail address is claimed only where an admin says that logins of that domain are addresses. */
function emailOf({ principal: { login }, config }: Context): string | undefined {
  const domain = login.slice(login.lastIndexOf('@') + 1).toLowerCase()
  return login.includes('@') && config.email_domains.some((known) => known.toLowerCase() === domain) ? login : undefined
}

const byScope: Record<string, Record<string, (context: Context) => unknown>> = {
  profile: {
    name: ({ principal }) => principal.display_name ?? undefined,
    preferred_username: ({ principal }) => principal.login,
    picture: ({ principal }) => (principal.picture?.startsWith('https://') ? principal.picture : undefined),
  },
  email: {
    email: emailOf,
    email_verified: (context) => (emailOf(context) === undefined ? undefined : true),
  },
  groups: {
    groups: ({ released }) => (released.groups.length > 0 ? released.groups : undefined),
  },
}

/** Claim → the scope that gives it; every claim of the table. */
export const scopeBehind: ReadonlyMap<string, string> = new Map(
  Object.entries(byScope).flatMap(([scope, claims]) => Object.keys(claims).map((name) => [name, scope] as const)),
)

/** Names of all claims that may be asked for; for the metadata document. */
export const supportedClaims = [
  'sub',
  'iss',
  'aud',
  'exp',
  'iat',
  'auth_time',
  'nonce',
  'acr',
  'amr',
  'sid',
  'scope',
  ...Object.values(byScope).flatMap(Object.keys),
]

/** The claims that these scopes let out, and those of `named` besides; never `sub`. What is unknown is left out. */
export function claimsOf(
  principal: UserPrincipal,
  { scopes, named }: { scopes: readonly string[]; named: readonly string[] },
  released: Pick<Limits, 'groups' | 'claims'>,
  config: Config,
): Claims {
  const claims: Claims = { ...released.claims }
  const add = (name: string, value: ((context: Context) => unknown) | undefined) => {
    const known = value?.({ principal, config, released })
    if (known !== undefined) claims[name] = known
  }
  for (const scope of scopes) for (const [name, value] of Object.entries(byScope[scope] ?? {})) add(name, value)
  for (const name of named) add(name, byScope[scopeBehind.get(name) ?? '']?.[name])
  return claims
}
