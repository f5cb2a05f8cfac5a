/** What the authorization server says of itself (RFC 8414), asked when it is first needed, so that it may start after this server. */
import { Outage } from './outage.ts'

export type AuthorizationServer = { issuer: string; jwks_uri: string; introspection_endpoint: string; token_endpoint: string }

export const patience = 5000

/** Returns a function that resolves with the metadata of `issuer`, fetched once. It rejects with Outage as long as there is none. */
export function metadataOf(issuer: string): () => Promise<AuthorizationServer> {
  let known: Promise<AuthorizationServer> | undefined
  return () => {
    known ??= fetchMetadata(issuer).catch((cause) => {
      known = undefined
      throw new Outage(`The metadata of ${issuer} cannot be read.`, { cause })
    })
    return known
  }
}

async function fetchMetadata(issuer: string): Promise<AuthorizationServer> {
  const { origin, pathname } = new URL(issuer)
  // RFC 8414 §3.1: the well-known part stands before the issuer's own path.
  const url = `${origin}/.well-known/oauth-authorization-server${pathname === '/' ? '' : pathname}`
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(patience) })
  if (!response.ok) throw new Error(`status ${response.status}`)
  const metadata = (await response.json()) as AuthorizationServer
  // RFC 8414 §3.3: to the letter, or else a server could speak for another one.
  if (metadata.issuer !== issuer) throw new Error(`it calls itself ${metadata.issuer}`)
  return metadata
}
