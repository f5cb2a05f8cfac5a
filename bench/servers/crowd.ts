/** A development mesh with many people, each at an address of their own, so that the limits of each are theirs alone; and the strangers of the flood. */
import type { MeshDocument } from '../../src/identity/dev_mesh_document.ts'

/** So many that nobody comes near the daemon's own limits with their share of the load. */
const PEOPLE = 50

/** Loopback addresses of the people that the policy knows. */
export const people: readonly string[] = Array.from({ length: PEOPLE }, (_, index) => `127.0.1.${index + 1}`)

/** Who floods. Neither is let do anything. */
export const strangers: ReadonlyMap<string, string> = new Map([
  ['of another domain', '127.0.2.1'], // whois knows them, no grant does
  ['unknown to whois', '127.0.2.2'],
])

/** Of one that whois does not know either, and that opens a connection for each request. */
export const RECONNECTING = '127.0.2.3'

/** The mesh document: the first stranger is in it, the second is not. */
export function crowd(): MeshDocument {
  const logins = people.map((_, index) => `person${index + 1}@example.com`)
  const mallory = 'mallory@other.com'
  return {
    tailnet: 'example.com',
    suffix: 'bench-mesh.internal',
    state: 'Running',
    self: 'idp',
    browser: 'machine-1',
    people: Object.fromEntries([...logins, mallory].map((login, index) => [login, { id: String(1001 + index) }])),
    machines: {
      idp: { address: '127.0.0.1', tags: ['tag:idp'] },
      ...Object.fromEntries(people.map((address, index) => [`machine-${index + 1}`, { address, owner: `person${index + 1}@example.com` }])),
      mallory: { address: strangers.get('of another domain') ?? '', owner: mallory },
    },
  }
}
