import type { Endpoint } from '../http/endpoint.ts'
import { html } from '../http/html.ts'
import { page, stylePath, styleSheet } from '../http/page.ts'
import { pathOf } from '../oauth/issuer.ts'

/** Who you are to this server, in words; the first thing to look at when something was denied. */
export const home: Endpoint = {
  path: '/',
  methods: ['GET'],
  page: true,
  async handle(deps, request) {
    const caller = await deps.identity.identify(request.connection)
    const base = pathOf(deps.config.issuer)
    const { principal } = caller
    const who = !principal
      ? html`<p>To this server you are nobody. ${caller.sentence}</p>`
      : principal.kind === 'user'
        ? html`<p>You are <strong>${principal.login}</strong>${principal.display_name && ` (${principal.display_name})`}, on <strong>${principal.node.name || principal.address}</strong>.</p>
${principal.groups && principal.groups.length > 0 && html`<p class="quiet">Groups that the mesh shows: ${principal.groups.join(', ')}</p>`}`
        : html`<p>This is the tagged node <strong>${principal.node.name || principal.address}</strong> (${principal.tags.join(', ')}), which belongs to no person.</p>`
    return page(
      base,
      'Who you are',
      html`<h1>Who you are</h1>
${who}
<dl>
<dt>Issuer</dt><dd><code>${deps.config.issuer}</code></dd>
<dt>For applications</dt><dd><a href="${base}/.well-known/openid-configuration">OpenID Connect</a>, <a href="${base}/.well-known/oauth-authorization-server">OAuth</a></dd>
<dt>Policy</dt><dd><code>${deps.policy().hash.slice(0, 12)}</code></dd>
</dl>
<p class="quiet">Nobody types a password here: the mesh says who calls, and a policy file says what they may do.</p>`,
    )
  },
}

/** The one style sheet; its name changes with it. */
export const style: Endpoint = {
  path: stylePath,
  methods: ['GET'],
  handle: () => ({
    status: 200,
    headers: {
      'content-type': 'text/css; charset=utf-8',
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
    },
    body: styleSheet,
  }),
}
