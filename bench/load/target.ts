/** A server as the generator sees it: the paths of its endpoints, found in its metadata, and its profile. */
import type { Profile } from '../servers/server.ts'

export type Target = {
  origin: string
  profile: Profile
  paths: { authorization: string; token: string; introspection: string; registration: string; jwks: string; metadata: string }
}

/** Reads the metadata document: OpenID Connect Discovery §4, RFC 8414 §3. Throws where it is not there, or lacks an endpoint. */
export async function discover(issuer: string, profile: Profile): Promise<Target> {
  const { origin } = new URL(issuer)
  const answer = await fetch(origin + profile.metadata_path)
  if (answer.status !== 200) throw new Error(`no metadata at ${origin}${profile.metadata_path}: ${answer.status}`)
  const metadata = (await answer.json()) as Record<string, unknown>
  const path = (name: string) => {
    const url = metadata[name]
    if (typeof url !== 'string') throw new Error(`the metadata has no ${name}`)
    return new URL(url).pathname
  }
  return {
    origin,
    profile,
    paths: {
      metadata: profile.metadata_path,
      jwks: path('jwks_uri'),
      authorization: path('authorization_endpoint'),
      token: path('token_endpoint'),
      introspection: path('introspection_endpoint'),
      registration: path('registration_endpoint'),
    },
  }
}
