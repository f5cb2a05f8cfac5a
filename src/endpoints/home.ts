import { findKnownClient } from '../clients/find.ts'
import type { ActivePolicy, Deps, PolicyState } from '../deps.ts'
import { momentInWords } from '../http/duration.ts'
import type { Endpoint } from '../http/endpoint.ts'
import { html } from '../http/html.ts'
import { contentSecurityPolicy, page, stylePath, styleSheet } from '../http/page.ts'
import { policyInWords } from '../http/policy_state.ts'
import { OAuthError } from '../oauth/error.ts'
import { pathOf } from '../oauth/issuer.ts'
import { optional, parseForm, refuseRepeated } from '../oauth/parse.ts'
import type { UserPrincipal } from '../oauth/principal.ts'
import { evaluate } from '../policy/index.ts'
import type { Authorization } from '../store/authorizations.ts'
import { resourceByUri } from '../tokens/subject.ts'

const atOnce = 20

/** Who you are to this server, in words; the first thing to look at when something was denied. For a person also their sign-ins, and how to end them. */
export const home: Endpoint = {
  path: '/',
  methods: ['GET'],
  page: true,
  async handle(deps, request) {
    const caller = await deps.identity.identify(request.connection)
    const base = pathOf(deps.config.issuer)
    const { principal } = caller
    const policy = deps.policy()
    const who = !principal
      ? html`<p>To this server you are nobody. ${caller.sentence}</p>`
      : principal.kind === 'user'
        ? html`<p>You are <strong>${principal.login}</strong>${principal.display_name && html` (<bdi>${principal.display_name}</bdi>)`}, on <strong>${principal.node.name || principal.address}</strong>.</p>
${principal.groups && principal.groups.length > 0 && html`<p class="quiet">Groups that the mesh shows: ${principal.groups.join(', ')}</p>`}`
        : html`<p>This is the tagged node <strong>${principal.node.name || principal.address}</strong> (${principal.tags.join(', ')}), which belongs to no person.</p>`
    return page(
      base,
      'Who you are',
      html`<h1>Who you are</h1>
${who}
${principal?.kind === 'user' && (await signIns(deps, policy, principal, pageOf(request.query)))}
<h2>This server</h2>
<dl>
<dt>Issuer</dt><dd><code>${deps.config.issuer}</code></dd>
<dt>For applications</dt><dd><a href="${base}/.well-known/openid-configuration">OpenID Connect</a>, <a href="${base}/.well-known/oauth-authorization-server">OAuth</a></dd>
<dt>Policy</dt><dd><code>${policy.hash.slice(0, 12)}</code></dd>
</dl>
${principal?.kind === 'user' && isAdmin(deps, policy, principal) && forAdmins(deps.policyState())}
<p class="quiet last">Nobody types a password here: the mesh says who calls, and a policy file says what they may do.</p>`,
      200,
      { 'content-security-policy': `${contentSecurityPolicy}; form-action 'self'` },
    )
  },
}

/** Whether the policy lets this person see how it stands with the policy. */
const isAdmin = (deps: Deps, policy: ActivePolicy, principal: UserPrincipal): boolean =>
  evaluate(policy, { app: 'admin', principal, access: 'read' }, deps.now()).allowed

/** What strangers do not see: how the policy came, and what is wrong with the file. */
const forAdmins = (state: PolicyState) => html`<h2>For admins</h2>
<p>${policyInWords(state)}</p>
${state.problem?.message.split('\n').map((line) => html`<p class="notice">${line}</p>`)}
<dl>
<dt>File</dt><dd><code>${state.file}</code></dd>
<dt>SHA-256</dt><dd><code>${state.hash}</code></dd>
</dl>`

/** `before`: the id of the last one on the page before this. Throws `invalid_request` for what is no id. */
function pageOf(query: string): { before?: string } {
  const params = parseForm(query)
  refuseRepeated(params)
  const before = optional(params, 'before')
  if (before !== undefined && !/^[0-9A-Z]{26}$/.test(before))
    throw new OAuthError('invalid_request', '"before" is not the id of a sign-in.')
  return before === undefined ? {} : { before }
}

/** What software may do in this person's name, newest first, each with a button that ends it. */
async function signIns(deps: Deps, policy: ActivePolicy, { user_id }: UserPrincipal, from: { before?: string }) {
  const found = await deps.store.authorizations.ofUser(user_id, deps.now(), { ...from, limit: atOnce + 1 })
  const shown = found.slice(0, atOnce)
  const ids = [...new Set(shown.map(({ client_id }) => client_id))]
  const clients = new Map(await Promise.all(ids.map(async (id) => [id, await findKnownClient(deps, policy, id)] as const)))
  const base = pathOf(deps.config.issuer)
  const rowOf = ({ id, client_id, resource, scopes, created_at }: Authorization) => {
    const client = clients.get(client_id)
    const title = client?.title ?? client_id
    const target = resource === null ? 'who you are' : (resourceByUri(policy, resource)?.title ?? resource)
    return html`<li><div>
<p><strong><bdi>${title}</bdi></strong> ${!client?.verified && html`<span class="unverified">unverified</span>`}</p>
<p>${target}: <code>${scopes}</code></p>
<p class="quiet">Since <time datetime="${new Date(created_at * 1000).toISOString()}">${momentInWords(created_at)}</time></p>
</div>
<form method="post" action="${base}/authorizations/end">
<input type="hidden" name="authorization" value="${id}">
<button type="submit" aria-label="End: ${title}, ${target}">End</button>
</form></li>`
  }
  const older = found.length > atOnce ? shown.at(-1)?.id : undefined
  return html`<h2>Your sign-ins</h2>
${
  shown.length === 0
    ? html`<p>${from.before ? 'There are no older ones.' : 'No application may do anything in your name now.'}</p>`
    : html`<p>What applications may do in your name. One that you end is asked for again before it comes back.</p>
<ul class="list">
${shown.map(rowOf)}
</ul>`
}
<p>${from.before && html`<a href="${base}/">Newest</a> `}${older && html`<a href="${base}/?before=${older}">Older ones</a>`}</p>`
}

/** The one style sheet; its name changes with it. */
export const style: Endpoint = {
  path: stylePath,
  methods: ['GET'],
  cost: 'free',
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
