/** The page that asks a person whether software may act for them. */
import type { Client } from '../clients/client.ts'
import type { Deps } from '../deps.ts'
import { inWords } from '../http/duration.ts'
import type { Reply } from '../http/endpoint.ts'
import { html } from '../http/html.ts'
import { page } from '../http/page.ts'
import { pathOf } from '../oauth/issuer.ts'
import { redirectHost } from '../oauth/redirect_uri.ts'
import { type Limits, type Reachable, reachable } from '../policy/index.ts'
import { resourceByUri } from '../tokens/subject.ts'
import { expectsSomebodyElse, type Situation } from './interaction.ts'
import { waitForAnswer } from './pending.ts'

/** The page, with a one-time ticket that only this person at this node can use. */
export async function consentPage(deps: Deps, situation: Situation): Promise<Reply> {
  const { request, client, principal, decided, policy } = situation
  const ticket = await waitForAnswer(deps, situation, 'consent')
  const base = pathOf(deps.config.issuer)
  const resource = request.resource === null ? undefined : resourceByUri(policy, request.resource)
  const { scopes, limits } = decided.verdict
  const back = redirectHost(request.redirect_uri)
  const name = html`&ldquo;<bdi>${client.title}</bdi>&rdquo;`
  const further = resource ? reachable(policy, principal, resource.name, scopes, deps.now()) : []
  const content = html`<h1>${resource ? html`Allow ${name} to act for you?` : html`Sign in to ${name}?`}</h1>
<p>You are signed in by the mesh as <strong>${principal.login}</strong>, on ${principal.node.name || 'this machine'}.</p>
<dl>
<dt>Application</dt><dd><bdi>${client.title}</bdi> ${!client.verified && html`<span class="unverified">unverified</span>`}<br><span class="quiet">${describeClient(client)}</span></dd>
<dt>The answer goes to</dt><dd><span class="host">${back.shown}</span>${back.loopback && html`<br><span class="quiet">a program on your own computer</span>`}${back.private_use && html`<br><span class="quiet">an app on your own device</span>`}</dd>
${resource && html`<dt>Resource</dt><dd>${resource.title}<br>${resource.description && html`${resource.description}<br>`}<span class="quiet"><code>${resource.uri}</code></span></dd>`}
<dt>It may</dt><dd><ul>${scopes.map((scope) => html`<li>${sentenceOf(scope, resource?.scopes.get(scope))}</li>`)}</ul></dd>
${further.length > 0 && html`<dt>Through others, also</dt><dd><ul>${further.map(edgeOf)}</ul></dd>`}
<dt>How long</dt><dd>${howLong(deps, client, limits)}</dd>
<dt>To end it</dt><dd>Use <a href="${base}/">your page here</a>, at any time.</dd>
</dl>
${expectsSomebodyElse(situation) && html`<p class="notice">The application expected somebody else.</p>`}
${(back.loopback || back.private_use) && onlyHere(back.loopback)}
<p class="ask">${fixedSentence}</p>
<p class="quiet">${limits.consent === 'always' ? 'You will be asked each time.' : 'You will not be asked again for this.'}</p>
<form method="post" action="${base}/consent">
<input type="hidden" name="ticket" value="${ticket}">
<button class="main" type="submit" name="decision" value="approve">Allow</button>
<button type="submit" name="decision" value="deny">Deny</button>
</form>`
  return page(base, resource ? `Allow “${client.title}” to act for you?` : `Sign in to “${client.title}”?`, content)
}

/** What programs that drive a browser know this page by (docs/operations.md). */
const fixedSentence = 'Do you allow this?'

/** OAuth 2.1 §8.4.2: any program of the machine may be the one that listens, or have claimed the scheme (§7.3.1). */
const onlyHere = (loopback: boolean) =>
  html`<p class="notice"><strong>${loopback ? 'Only this computer' : 'Only this device'}.</strong> ${
    loopback
      ? 'The answer goes to whatever program on this computer is waiting for it.'
      : 'The answer goes to whatever app on this device has claimed this address.'
  } Only go on if you just started this sign-in yourself, on this ${loopback ? 'computer' : 'device'}.</p>`

/** A gateway's edge: who would act, where, and what for. */
const edgeOf = ({ actor, resource, scopes }: Reachable) =>
  html`<li><bdi>${actor}</bdi> may act for you at <strong>${resource.title}</strong>: ${scopes
    .map((scope) => resource.scopes.get(scope) ?? scope)
    .join('; ')}</li>`

/** Both limits are the longest there are: the policy and the mesh are asked again at each use. */
function howLong({ config: { lifetimes } }: Deps, client: Client, limits: Limits): string {
  const each = inWords(limits.access_token_ttl ?? lifetimes.access_token)
  if (!client.grant_types.includes('refresh_token')) return `For ${each}; then it needs a new sign-in.`
  const idle = limits.refresh_token_ttl ?? lifetimes.refresh_token_idle
  return `Until you end it, and ${inWords(lifetimes.refresh_token)} at most. It ends by itself when it is not used for ${inWords(idle)}. Each access token lasts ${each}.`
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
