/** The page that posts an authorization response on (OAuth 2.0 Form Post Response Mode §2): by itself with JavaScript, by a button without. */
import { hash } from 'node:crypto'
import type { Deps } from '../deps.ts'
import type { Reply } from '../http/endpoint.ts'
import { type Html, html } from '../http/html.ts'
import { contentSecurityPolicy, page } from '../http/page.ts'
import { pathOf } from '../oauth/issuer.ts'
import { redirectHost } from '../oauth/redirect_uri.ts'

/** The one script there is: it says nothing of anybody, so its digest stands in the policy of this page, and nothing else may run. */
const script = 'document.forms[0].submit()'
const policy = `${contentSecurityPolicy}; script-src 'sha256-${hash('sha256', script, 'base64')}'`

/** The response's parameters as hidden fields. */
export const hiddenFields = (params: Readonly<Record<string, string | undefined>>): Html[] =>
  Object.entries(params).flatMap(([name, value]) =>
    value === undefined ? [] : [html`<input type="hidden" name="${name}" value="${value.toWellFormed()}">\n`],
  )

/** `uri`: http or https, verified. */
export function formPostPage(deps: Deps, uri: string, params: Readonly<Record<string, string | undefined>>): Reply {
  const content = html`<h1>Going back to the application</h1>
<p>The answer goes to <span class="host">${redirectHost(uri).shown}</span>.</p>
<form method="post" action="${uri}">
${hiddenFields(params)}<button class="main" type="submit">Continue</button>
</form>
<script>${{ html: script }}</script>`
  return page(pathOf(deps.config.issuer), 'Going back to the application', content, 200, { 'content-security-policy': policy })
}
