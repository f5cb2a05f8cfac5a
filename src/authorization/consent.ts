/** Whether a person must be asked, and the page that asks them. */
import type { Client } from '../clients/client.ts'
import type { Decided } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import type { Reply } from '../http/endpoint.ts'
import { html } from '../http/html.ts'
import { page } from '../http/page.ts'
import { OAuthError } from '../oauth/error.ts'
import { pathOf } from '../oauth/issuer.ts'
import type { UserPrincipal } from '../oauth/principal.ts'
import { redirectHost } from '../oauth/redirect_uri.ts'
import { digest, newSecret } from '../oauth/secret.ts'
import { insertTicket } from '../store/tickets.ts'
import { resourceByUri } from '../tokens/subject.ts'
import type { AuthorizationRequest } from './request.ts'

/** What waits with a ticket: the request with the scopes that the page shows, and the software as it is then. */
export type PendingRequest = { request: AuthorizationRequest; software_digest: string }

type Situation = {
  request: AuthorizationRequest
  client: Client
  principal: UserPrincipal
  decided: Decided
  authTime: number | undefined
  policy: ActivePolicy
}

/**
 * Whether a page must be shown: because the client asks for it (`prompt`, `max_age`: OpenID Connect Core §3.1.2.1), or because the policy wants this person
 * to agree to this software, these scopes and this way back, and they have not yet. Throws `login_required` or `consent_required` under `prompt=none`.
 */
export async function needsPage(deps: Deps, { request, client, principal, decided, authTime }: Situation): Promise<boolean> {
  const age = authTime === undefined ? 0 : deps.now() - authTime
  const tooOld = request.max_age !== null && (request.max_age === 0 || age > request.max_age) // 0 is prompt=login
  if (tooOld || request.prompt.some((prompt) => prompt === 'login' || prompt === 'select_account')) {
    if (request.prompt.includes('none'))
      throw new OAuthError('login_required', 'The sign-in is older than max_age; a person must confirm it.')
    return true
  }
  const { consent } = decided.verdict.limits
  if (consent === 'never' && client.verified && !request.prompt.includes('consent')) return false
  if (consent !== 'always' && !request.prompt.includes('consent')) {
    const agreed = await agreedScopes(deps, principal, client, request.resource)
    if (decided.verdict.scopes.every((scope) => agreed.includes(scope))) return false
  }
  if (request.prompt.includes('none'))
    throw new OAuthError('consent_required', 'A person must agree to this first, and prompt=none forbids to ask them.')
  return true
}

/** What this person has agreed to, for this software as it is now: of changed software they have not heard. */
export async function agreedScopes(deps: Deps, { user_id }: UserPrincipal, client: Client, resource: string | null): Promise<string[]> {
  const agreed = await deps.store.consents.find(user_id, client.client_id, resource ?? '')
  return agreed?.software_digest === client.software_digest ? agreed.scopes.split(' ') : []
}

/** The page, with a one-time ticket that only this person at this node can use. */
export async function consentPage(deps: Deps, { request, client, principal, decided, policy }: Situation): Promise<Reply> {
  const now = deps.now()
  const ticket = newSecret('ticket', deps.randomBytes)
  const pending: PendingRequest = { request: { ...request, scopes: decided.verdict.scopes }, software_digest: client.software_digest }
  await deps.store.commit([
    insertTicket({
      digest: digest(ticket),
      user_id: principal.user_id,
      node_id: principal.node.id,
      request: JSON.stringify(pending),
      created_at: now,
      expires_at: now + deps.config.lifetimes.ticket,
    }),
  ])
  const base = pathOf(deps.config.issuer)
  const resource = request.resource === null ? undefined : resourceByUri(policy, request.resource)
  const back = redirectHost(request.redirect_uri)
  const question = resource ? `Allow “${client.title}” to act for you?` : `Sign in to “${client.title}”?`
  const content = html`<h1>${question}</h1>
<p>You are signed in by the mesh as <strong>${principal.login}</strong>, on ${principal.node.name || 'this machine'}.</p>
<dl>
<dt>Application</dt><dd>${client.title} ${!client.verified && html`<span class="unverified">unverified</span>`}<br><span class="quiet">${describeClient(client)}</span></dd>
<dt>The answer goes to</dt><dd><span class="host">${back.shown}</span>${back.loopback && html`<br><span class="quiet">a program on your own computer</span>`}${back.private_use && html`<br><span class="quiet">an app on your own device</span>`}</dd>
${resource && html`<dt>Resource</dt><dd>${resource.title}<br><span class="quiet"><code>${resource.uri}</code></span></dd>`}
<dt>It may</dt><dd><ul>${decided.verdict.scopes.map((scope) => html`<li>${sentenceOf(scope, resource?.scopes.get(scope))}</li>`)}</ul></dd>
</dl>
${(back.loopback || back.private_use) && html`<p class="notice">Only go on if you just started this sign-in yourself, on this computer.</p>`}
<form method="post" action="${base}/consent">
<input type="hidden" name="ticket" value="${ticket}">
<button class="main" type="submit" name="decision" value="approve">Allow</button>
<button type="submit" name="decision" value="deny">Deny</button>
</form>`
  return page(base, question, content)
}

function describeClient(client: Client): string {
  if (client.verified) return 'named in the policy by an admin'
  return client.registered_by ? `self-registered by ${client.registered_by}` : `described by ${client.client_id}`
}

const identitySentences = new Map([
  ['openid', 'Know who you are'],
  ['profile', 'See your name, login and picture'],
  ['email', 'See your e-mail address'],
  ['groups', 'See which groups you are in'],
  ['offline_access', 'Go on while you are away'],
])

/** A scope in a sentence, its name beside it. */
const sentenceOf = (scope: string, sentence: string | null | undefined) => {
  const known = sentence ?? identitySentences.get(scope)
  return known ? html`${known} <code class="quiet">${scope}</code>` : html`<code>${scope}</code>`
}
