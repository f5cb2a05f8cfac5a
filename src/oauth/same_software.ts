/** What makes two registrations one and the same software. */
import { hash } from 'node:crypto'
import type { ClientMetadata } from './client_metadata.ts'

/**
 * A digest that registrations of the same software share: what it calls itself, and where its answers go. The port of a loopback address is free
 * (RFC 8252 §7.3), and programs choose another one at each start; the version may change too. For reports: it proves nothing.
 */
export function softwareDigest({ software_id, client_name, redirect_uris }: ClientMetadata): string {
  const places = redirect_uris.map((uri) => uri.replace(/^(http:\/\/(?:localhost|127\.0\.0\.1|\[::1\])):\d+(?=[/?]|$)/, '$1'))
  return hash('sha256', JSON.stringify([software_id ?? null, client_name ?? null, [...new Set(places)].sort()]), 'base64url')
}
