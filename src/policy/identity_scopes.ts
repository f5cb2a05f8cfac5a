/** OpenID Connect Core §5.4 and §11, and `groups`: what a client learns about a person. Decided against the client; all other scopes belong to a resource. */
export const identityScopes = ['openid', 'profile', 'email', 'groups', 'offline_access'] as const

const known: ReadonlySet<string> = new Set(identityScopes)

export const isIdentityScope = (scope: string): boolean => known.has(scope)
