/** A server as the generator sees it: the paths of its endpoints, found in its metadata, and its profile. */
import type { Profile } from '../servers/server.ts'
import { type Answer, get, type Request } from './http.ts'

export type Target = {
  origin: string
  profile: Profile
  paths: { authorization: string; token: string; introspection: string; registration: string; jwks: string; metadata: string }
}

/** Reads the metadata document: OpenID Connect Discovery §4, RFC 8414 §3. Throws where it is not there, or lacks an endpoint. */
export async function discover(issuer: string, profile: Profile): Promise<Target> {
  const { origin } = new URL(issuer)
  const answer = await fetch(origin + profile.metadata_path)
  return targetOf(origin, profile, answer.status, await answer.text())
}

/** The same, asked by somebody for whom `fetch` does not know the way. */
export async function discoverBy(person: (request: Request) => Promise<Answer>, issuer: string, profile: Profile): Promise<Target> {
  const { status, body } = await person(get(profile.metadata_path))
  return targetOf(new URL(issuer).origin, profile, status, body)
}

function targetOf(origin: string, profile: Profile, status: number, text: string): Target {
  if (status !== 200) throw new Error(`no metadata at ${origin}${profile.metadata_path}: ${status}`)
  const metadata = JSON.parse(text) as Record<string, unknown>
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
