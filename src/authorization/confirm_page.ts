/** The page that asks who is there: no password, a click of the person whom the mesh names (docs/architecture.md, "log in again"). */
import type { Deps } from '../deps.ts'
import type { Reply } from '../http/endpoint.ts'
import { html } from '../http/html.ts'
import { page } from '../http/page.ts'
import { pathOf } from '../oauth/issuer.ts'
import { redirectHost } from '../oauth/redirect_uri.ts'
import { expectsSomebodyElse, type Situation } from './interaction.ts'
import { waitForAnswer } from './pending.ts'

/** The page, with a one-time ticket that only this person at this node can use. */
export async function confirmPage(deps: Deps, situation: Situation): Promise<Reply> {
  const { request, client, principal } = situation
  const ticket = await waitForAnswer(deps, situation, 'confirmation')
  const base = pathOf(deps.config.issuer)
  const content = html`<h1>Confirm who you are</h1>
<p>The mesh says that you are <strong>${principal.login}</strong>, on ${principal.node.name || 'this machine'}.</p>
<dl>
<dt>Application</dt><dd><bdi>${client.title}</bdi> ${!client.verified && html`<span class="unverified">unverified</span>`}</dd>
<dt>The answer goes to</dt><dd><span class="host">${redirectHost(request.redirect_uri).shown}</span></dd>
</dl>
${expectsSomebodyElse(situation) && html`<p class="notice">The application expected somebody else.</p>`}
<form method="post" action="${base}/consent">
<input type="hidden" name="ticket" value="${ticket}">
<button class="main" type="submit" name="decision" value="approve">Yes, sign me in</button>
<button type="submit" name="decision" value="deny">No</button>
</form>`
  return page(base, 'Confirm who you are', content)
}
