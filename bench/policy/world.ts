/** Policies of a size that few have, and one person in them whose own part is always the same. */
import type { Asked } from '../../src/policy/index.ts'

export const RESOURCE = 'resource:wiki'
/** What concerns her: groups that she is in, half of them by way of others; and grants that name one of these. */
export const HER_GROUPS = 50
export const HER_GRANTS = 100

const CLIENTS = 20
const RESOURCES = 50
const scopes = ['read', 'write', 'share', 'delete']

/** The text of a policy with so many grants for others beside hers, half of these at the same resource, in so many groups with so many members. */
export function policyText({ others, groups, members }: { others: number; groups: number; members: number }): string {
  const group = (index: number) => `group:team-${index}`
  const membersOf: string[][] = Array.from({ length: groups }, () => [])
  for (let i = 0; i < members; i++) membersOf[HER_GROUPS + (i % (groups - HER_GROUPS))]?.push(`person-${i % (members / 5)}@example.com`)
  for (let i = 0; i < HER_GROUPS; i++) membersOf[i]?.push(i < HER_GROUPS / 2 ? 'alice@example.com' : group(i - HER_GROUPS / 2))

  const resource = (index: number) => (index === 0 ? RESOURCE : `resource:service-${index}`)
  const grant = (src: string, dst: string, index: number) => ({
    src: [src],
    dst: [dst],
    app: {
      authorize: [
        {
          scopes: [scopes[index % 4], scopes[(index + 1) % 4]],
          clients: index % 2 ? ['*'] : [`client:app-${index % CLIENTS}`],
          consent: 'once',
        },
      ],
    },
  })
  return JSON.stringify(
    {
      groups: Object.fromEntries(membersOf.map((names, index) => [group(index), names])),
      resources: Object.fromEntries(
        Array.from({ length: RESOURCES }, (_, i) => [
          resource(i),
          { uri: `https://service-${i}.example.com/mcp`, scopes, allow_unverified_clients: true },
        ]),
      ),
      clients: Object.fromEntries(
        Array.from({ length: CLIENTS }, (_, i) => [`client:app-${i}`, { redirect_uris: [`https://app-${i}.example.com/callback`] }]),
      ),
      grants: [
        ...Array.from({ length: HER_GRANTS }, (_, i) => grant(group(i % HER_GROUPS), RESOURCE, i)),
        ...Array.from({ length: others }, (_, i) =>
          grant(group(HER_GROUPS + (i % (groups - HER_GROUPS))), resource(i % 2 ? i % RESOURCES : 0), i),
        ),
      ],
    },
    null,
    2,
  )
}

/** What she asks, or somebody who is in no group. */
export function question(login: string, scopes: readonly string[] = ['read', 'write']): Asked {
  const node = { id: 'n1', name: 'laptop', addresses: ['100.64.0.1'], key_expiry: null, os: 'linux', os_version: null }
  return {
    app: 'authorize',
    principal: {
      kind: 'user',
      user_id: '1',
      login,
      display_name: null,
      picture: null,
      groups: null,
      capabilities: new Map(),
      node,
      address: '100.64.0.1',
    },
    client: { client_id: 'client:app-0', name: 'client:app-0' },
    resource: RESOURCE,
    scopes,
  }
}
