import { rememberBrowser } from '../authorization/browser.ts'
import { personOf } from '../authorization/caller.ts'
import { complete } from '../authorization/complete.ts'
import { consentPage } from '../authorization/consent_page.ts'
import { agreedScopes, isConsentDue } from '../authorization/interaction.ts'
import type { PendingRequest } from '../authorization/pending.ts'
import { refused, sendBack } from '../authorization/refused.ts'
import { wantedOf } from '../authorization/request.ts'
import type { Client } from '../clients/client.ts'
import { findKnownClient } from '../clients/find.ts'
import { decide, recordDenial } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import { type Endpoint, formOf, type Reply, type Request } from '../http/endpoint.ts'
import { toOAuthError } from '../http/render_error.ts'
import { notFromOurPage, requireSameOrigin } from '../http/same_origin.ts'
import { OAuthError } from '../oauth/error.ts'
import { optional, required } from '../oauth/parse.ts'
import type { UserPrincipal } from '../oauth/principal.ts'
import { digest, prefixes } from '../oauth/secret.ts'
import { rememberConsent, setAuthTime } from '../store/consents.ts'
import { GuardFailed, type Write } from '../store/engine.ts'
import { consumeTicket, type Ticket } from '../store/tickets.ts'
import { askedFor, resourceByUri } from '../tokens/subject.ts'

const usedUp = () =>
  new OAuthError(
    'invalid_request',
    'This page was answered already, or it has waited for too long. Go back to the application and start again.',
  )

/**
 * The answer to the consent page. Only the ticket and the button count: what is approved is the stored request, judged anew on today's policy, for
 * the person at the node that the page was shown to. Anything else in the form is ignored.
 */
export const consent: Endpoint = {
  path: '/consent',
  methods: ['POST'],
  body: 'form',
  page: true,

  async handle(deps, request) {
    requireSameOrigin(request, deps.config.issuer)
    const params = formOf(request)
    const text = optional(params, 'ticket')
    if (text === undefined) throw notFromOurPage()
    const answer = answers.get(required(params, 'decision'))
    if (!answer) throw new OAuthError('invalid_request', 'The answer must be "approve" or "deny".')
    const principal = await personOf(deps, request.connection)
    const ticket = text.startsWith(prefixes.ticket) ? await deps.store.tickets.find(digest(text)) : undefined
    const now = deps.now()
    if (!ticket || ticket.consumed_at !== null || ticket.expires_at <= now) throw usedUp()
    if (ticket.user_id !== principal.user_id || ticket.node_id !== principal.node.id)
      throw new OAuthError(
        'forbidden',
        'This page was opened by another person or on another machine, so it cannot be answered here. Start the sign-in again yourself.',
      )

    const policy = deps.policy()
    const pending = JSON.parse(ticket.request) as PendingRequest
    const client = await findKnownClient(deps, policy, pending.request.client_id)
    // What the person read on the page is what they agree to: software that changed meanwhile is asked about again.
    if (client?.software_digest !== pending.software_digest)
      throw new OAuthError('invalid_request', 'The application has changed since this page was opened. Go back to it and start again.')
    try {
      return await answer(deps, { request, policy, client, principal, ticket, pending, now })
    } catch (thrown) {
      if (thrown instanceof GuardFailed) throw usedUp()
      return refused(deps, request, { ...pending.request, client, silent: false }, toOAuthError(thrown))
    }
  },
}

type Answered = {
  request: Request
  policy: ActivePolicy
  client: Client
  principal: UserPrincipal
  ticket: Ticket
  /** Its scopes and claims are those that the page showed. */
  pending: PendingRequest
  now: number
}

const factsOf = ({ client, pending }: Answered) =>
  ({ entry: 'authorize', client_id: client.client_id, resource: pending.request.resource }) as const

const answers = new Map<string, (deps: Deps, answered: Answered) => Promise<Reply>>([
  ['approve', approve],
  ['deny', deny],
])

/** A click on either page: the person is there, now (docs/architecture.md, "log in again"). */
async function approve(deps: Deps, answered: Answered): Promise<Reply> {
  const { policy, client, principal, ticket, now, pending } = answered
  const { request: asked, question } = pending
  const resource = asked.resource === null ? null : resourceByUri(policy, asked.resource)
  if (resource === undefined) throw new OAuthError('invalid_target', `The policy has no resource ${asked.resource} any more.`)
  const decided = await decide(deps, policy, askedFor(principal, client, resource, wantedOf(asked)), factsOf(answered))
  const recognised = { auth_time: now, confirmed: 1 } as const
  const writes: Write[] = [consumeTicket(ticket, now), setAuthTime(principal.user_id, principal.node.id, recognised)]
  const situation = { request: asked, client, principal, decided, recognised, browserKnown: true, policy }
  const cookie = rememberBrowser(deps, principal)
  if (question === 'confirmation' && (await isConsentDue(deps, situation))) {
    // The policy wants more than when this page was opened: that they are there does not mean that they agree.
    await deps.store.commit(writes)
    return withHeaders(await consentPage(deps, situation), cookie)
  }
  if (question === 'consent' && decided.verdict.limits.consent !== 'always') {
    const before = await agreedScopes(deps, principal, client, asked.resource)
    writes.push(
      rememberConsent({
        user_id: principal.user_id,
        client_id: client.client_id,
        resource: asked.resource ?? '',
        scopes: [...new Set([...before, ...decided.verdict.scopes])].join(' '),
        software_digest: client.software_digest,
        agreed_at: now,
      }),
    )
  }
  return withHeaders(await complete(deps, { ...situation, writes }), cookie)
}

const withHeaders = (reply: Reply, more: Record<string, string>): Reply => ({ ...reply, headers: { ...reply.headers, ...more } })

/** A "no" of a person always goes back to the client (RFC 6749 §4.1.2.1). */
async function deny(deps: Deps, answered: Answered): Promise<Reply> {
  const { request, policy, client, principal, ticket, pending, now } = answered
  await deps.store.commit([consumeTicket(ticket, now)])
  const sentence = `${principal.login} said no.`
  const facts = { ...factsOf(answered), scopes: pending.request.scopes }
  const decision_id = await recordDenial(deps, policy, principal, facts, 'person', sentence)
  const error = new OAuthError('access_denied', `${sentence} Decision ${decision_id}.`, { decision_id })
  return sendBack(deps, request, { ...pending.request, client }, error)
}
