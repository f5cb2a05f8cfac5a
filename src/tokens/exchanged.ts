/** What an exchange was decided on (RFC 8693), kept with the authorization that it made, so that it can be decided anew on every later day. */
import type { Client } from '../clients/client.ts'
import type { NodePrincipal } from '../oauth/principal.ts'
import type { Asked, Resource } from '../policy/index.ts'
import type { Authorization } from '../store/authorizations.ts'
import type { Act } from './access_token.ts'
import type { Live } from './live_scopes.ts'

/** Where a tagged machine is found again. */
export type Place = { node_id: string; address: string }

export const placeOf = ({ node, address }: NodePrincipal): Place => ({ node_id: node.id, address })

export type Exchanged = {
  /** Scopes of the token that was shown. */
  held: readonly string[]
  /** How many exchanges this descends from, itself included. */
  depth: number
  /** Whether the policy lets the actor pass for the subject (RFC 8693 §1.1). */
  impersonate: boolean
  /** The actor's tagged machine, where that is what proved it. */
  node: Place | null
  /** Another client, whose `actor_token` was shown, and the `jti` of that; without one it is of an older meshidp, and dead. */
  other: { client_id: string; jti?: string } | null
  /** Null where nobody is said to act. */
  act: Act | null
}

/** Of what was exchanged; null for all others. */
export const exchangedOf = ({ exchange }: Pick<Authorization, 'exchange'>): Exchanged | null =>
  exchange === null ? null : (JSON.parse(exchange) as Exchanged)

/** A client, and the tagged machine that proves it, where one does. */
export type Actor = { client: Client; node: NodePrincipal | null }

/** Who acts: the client that asks, and the other one whose token it shows. */
export type Acting = Actor & { other: Actor | null }

/**
 * Why today's policy does not let a client act with tokens for `from`, whatever those say that are out (`may_act`, RFC 8693 §4.4); undefined where it does.
 * @param from what the token that was shown is for: no resource, where that was an ID token
 */
export function whyNoActor(from: Resource | null | undefined, { client_id }: Pick<Client, 'client_id'>): string | undefined {
  if (!from?.may_act || from.may_act === client_id) return undefined
  return `With tokens for ${from.name} ${from.may_act} may act, and nobody else (RFC 8693 §4.4).`
}

/**
 * The question whether `acting` may have `scopes` at `resource` for whom `subject` speaks. Undefined where the token that was shown is for meshidp
 * itself, or is the ID token of software that the policy does not name: from there no edge leads anywhere.
 * @param subject what that token is worth today
 */
export function exchangeAsked(
  subject: Live,
  isIdToken: boolean,
  { client, node, other }: Acting,
  { resource, scopes, depth, impersonate }: { resource: Resource; scopes: readonly string[]; depth: number; impersonate: boolean },
): (Asked & { app: 'exchange' }) | undefined {
  const from = isIdToken ? subject.client.facts.name : subject.resource?.name
  if (!from) return undefined
  return {
    app: 'exchange',
    principal: subject.principal,
    ...(subject.workload && { subject: subject.workload }),
    client: client.facts,
    actor: node,
    ...(other && { other: other.client.facts, other_actor: other.node }),
    from,
    held: subject.scopes,
    resource: resource.name,
    scopes,
    depth,
    impersonate,
  }
}
