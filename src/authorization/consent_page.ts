/** The page that asks a person whether software may act for them. */
import type { Client } from '../clients/client.ts'
import type { Deps } from '../deps.ts'
import type { Reply } from '../http/endpoint.ts'
import { html } from '../http/html.ts'
import { page } from '../http/page.ts'
import { pathOf } from '../oauth/issuer.ts'
import { redirectHost } from '../oauth/redirect_uri.ts'
import { resourceByUri } from '../tokens/subject.ts'
import { expectsSomebodyElse, type Situation } from './interaction.ts'
import { waitForAnswer } from './pending.ts'

/** The page, with a one-time ticket that only this person at this node can use. */
export async function consentPage(deps: Deps, situation: Situation): Promise<Reply> {
  const { request, client, principal, decided, policy } = situation
  const ticket = await waitForAnswer(deps, situation, 'consent')
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
${expectsSomebodyElse(situation) && html`<p class="notice">The application expected somebody else.</p>`}
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
