/** A question and who asked it, as texts for the audit; and from there back to a question, for the same policy or another one. */
import type { Principal } from '../oauth/principal.ts'
import { withoutSlash } from '../oauth/resource.ts'
import type { Policy } from './policy.ts'
import type { Asked, ClientFacts } from './verdict.ts'

/** The identity as it is now. */
export const identityText = (principal: Principal): string =>
  JSON.stringify({ ...principal, capabilities: Object.fromEntries(principal.capabilities) })

/** What `identityText` wrote. */
export function principalFrom(text: string): Principal {
  const { capabilities, ...principal } = JSON.parse(text)
  return { ...principal, capabilities: new Map(Object.entries(capabilities)) }
}

/** All of a question but who asks. */
export function questionText({ principal: _, ...asked }: Asked): string {
  if (asked.app !== 'exchange') return JSON.stringify(asked)
  const textOf = (node: Principal | null | undefined) => node && JSON.parse(identityText(node))
  return JSON.stringify({ ...asked, actor: textOf(asked.actor), other_actor: textOf(asked.other_actor) })
}

/** `resource`: its URI, which is what stays where a policy names it otherwise; null where none was asked for. */
export type Recorded = { question: string; resource: string | null; principal: Principal | null }

/**
 * The recorded question as `policy` would be asked it: its names for the same client_id and the same resource. A resource that it does
 * not have is asked for by its URI, so that the answer is about the target.
 */
export function askedAgain(policy: Policy, { question, resource: uri, principal }: Recorded): Asked {
  const recorded = JSON.parse(question)
  const { client, resource } = recorded as { client?: ClientFacts | null; resource?: string | null }
  const found = uri === null ? undefined : [...policy.resources.values()].find((one) => withoutSlash(one.uri) === withoutSlash(uri))
  const asked = { ...recorded, principal, ...(resource && { resource: found?.name ?? uri ?? resource }) }
  for (const who of ['client', 'subject', 'other']) if (recorded[who]) asked[who] = asNamed(policy, recorded[who])
  for (const node of ['actor', 'other_actor']) if (recorded[node]) asked[node] = principalFrom(JSON.stringify(recorded[node]))
  // An ID token is exchanged by the client that it was issued to.
  if (client?.name && recorded.from === client.name) asked.from = asked.client.name ?? recorded.from
  return asked
}

/** The same client, by the name that this policy has for it. */
const asNamed = (policy: Policy, client: ClientFacts): ClientFacts => ({
  ...client,
  name: policy.clients.get(client.client_id)?.name ?? null,
})
