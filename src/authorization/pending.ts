/** What waits for a person's answer: a request, kept with a one-time ticket that the page carries. */
import type { Deps } from '../deps.ts'
import { digest, newSecret } from '../oauth/secret.ts'
import { displaceOldest, insertTicket } from '../store/tickets.ts'
import type { Question, Situation } from './interaction.ts'
import { type AuthorizationRequest, within } from './request.ts'

/** The request with the scopes and claims that the page shows, the software as it is then, and what the page asks. */
export type PendingRequest = { request: AuthorizationRequest; software_digest: string; question: Question }

/** Keeps the request until its person, at the node they are at now, answers the page. Resolves with the ticket's text, which stands nowhere else. */
export async function waitForAnswer(deps: Deps, { request, client, principal, decided }: Situation, question: Question): Promise<string> {
  const now = deps.now()
  const ticket = newSecret('ticket', deps.randomBytes)
  const shown = within(request, decided.verdict.scopes)
  const pending: PendingRequest = { request: shown, software_digest: client.software_digest, question }
  await deps.store.commit([
    displaceOldest(principal.user_id, deps.config.limits.open_pages),
    insertTicket({
      digest: digest(ticket),
      user_id: principal.user_id,
      node_id: principal.node.id,
      request: JSON.stringify(pending),
      created_at: now,
      expires_at: now + deps.config.lifetimes.ticket,
    }),
  ])
  return ticket
}
