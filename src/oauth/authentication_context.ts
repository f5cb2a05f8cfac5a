/** How sure it is that a person is there: `acr` (OpenID Connect Core §2) and `amr` (RFC 8176). */

/** The authentication contexts that there are: the mesh says who calls, or a person has confirmed it on a page of ours. */
export const authenticationContexts = { mesh: 'urn:meshidp:acr:mesh', person: 'urn:meshidp:acr:person' } as const

/** How somebody was recognised, as it is stored: the values of `amr`, separated by spaces. RFC 8176 §2: "user" is a test of presence. */
export type Amr = 'mesh' | 'mesh user'

export const amrOf = (confirmed: boolean): Amr => (confirmed ? 'mesh user' : 'mesh')

/** The `acr` that belongs to an `amr`. */
export const acrOf = (amr: Amr): string => (amr === 'mesh user' ? authenticationContexts.person : authenticationContexts.mesh)

/** What a request that lists these contexts, the best one first, asks for: the first one that we know; undefined where we know none of them. */
export function wantedContext(listed: readonly unknown[]): keyof typeof authenticationContexts | undefined {
  for (const one of listed) {
    if (one === authenticationContexts.mesh) return 'mesh'
    if (one === authenticationContexts.person) return 'person'
  }
  return undefined
}
