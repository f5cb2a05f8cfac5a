/** The end of a logout, and the question before one that nobody has asked for by name. */
import type { Client } from '../clients/client.ts'
import type { Deps } from '../deps.ts'
import type { Reply } from '../http/endpoint.ts'
import { html } from '../http/html.ts'
import { page } from '../http/page.ts'
import { pathOf } from '../oauth/issuer.ts'
import { redirectHost } from '../oauth/redirect_uri.ts'
import { hiddenFields } from './form_post_page.ts'

/** Nobody types a password here, so there is little to end: what software may do in a person's name, and what this browser remembers. */
export function signedOutPage(deps: Deps, headers: Record<string, string>): Reply {
  const base = pathOf(deps.config.issuer)
  const content = html`<h1>You are signed out</h1>
<p>The sign-in has ended, and so has what was given out for it. The mesh still knows who you are: the next sign-in asks you again.</p>
<p><a href="${base}/">Who you are here</a></p>`
  return page(base, 'You are signed out', content, 200, headers)
}

/** An application that asked for the logout without an ID token, and where it wants the browser back: verified, both. */
export type AskedBy = { client: Client; uri: string; state: string | undefined }

/** Asks whether this browser should be signed out, where no ID token says from what. */
export function signOutPage(deps: Deps, asked?: AskedBy): Reply {
  const base = pathOf(deps.config.issuer)
  const content = html`<h1>Sign out</h1>
<p>This browser forgets who confirmed to sit before it. What you allowed to applications goes on; you can end it on <a href="${base}/">your page</a>.</p>
${asked && html`<p>Then you go back to ${asked.client.title}, at <span class="host">${redirectHost(asked.uri).shown}</span>.</p>`}
<form method="post" action="${base}/end_session">
${asked && hiddenFields({ client_id: asked.client.client_id, post_logout_redirect_uri: asked.uri, state: asked.state })}<input type="hidden" name="confirmed" value="yes">
<button class="main" type="submit">Sign out</button>
</form>`
  return page(base, 'Sign out', content)
}
