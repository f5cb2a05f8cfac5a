/** How a "no" leaves this server, once the client and its redirect URI are verified. */
import type { Client } from '../clients/client.ts'
import type { Deps } from '../deps.ts'
import { quotable, type Reply, type Request } from '../http/endpoint.ts'
import { html } from '../http/html.ts'
import { errorPage } from '../http/render_error.ts'
import type { OAuthError } from '../oauth/error.ts'
import { pathOf } from '../oauth/issuer.ts'
import { redirectHost, redirectWith } from '../oauth/redirect_uri.ts'
import { hiddenFields } from './form_post_page.ts'
import { type Way as ResponseWay, respond, responseOf } from './response.ts'

/** Where an answer goes: client and redirect URI were verified together. */
export type Way = ResponseWay & { client: Client }

/** Sends a refusal back to the client (RFC 6749 §4.1.2.1, with `iss`: RFC 9207 §2); the line of the request says it, too. */
export function sendBack(deps: Deps, request: Request, way: Way, error: OAuthError): Reply {
  deps.trace.error = error
  return respond(deps, way, errorOf(request, way, error))
}

/**
 * A refusal before the person had a say. It goes back by itself only to software that an admin named, or where no page may be shown (`silent`); for
 * self-registered software a person clicks the link, so that nobody is bounced to a stranger's address (RFC 9700 §4.11). Throws what fails inside of us:
 * that is said here, never there.
 */
export function refused(deps: Deps, request: Request, way: Way & { silent: boolean }, error: OAuthError): Reply {
  if (error.status >= 500) throw error
  if (way.client.verified || way.silent) return sendBack(deps, request, way, error)
  deps.trace.error = error
  const base = pathOf(deps.config.issuer)
  const response = responseOf(deps, way, errorOf(request, way, error))
  const words = html`Go back to <bdi>${way.client.title}</bdi>`
  const go =
    way.response_mode === 'form_post'
      ? html`<form method="post" action="${way.redirect_uri}">${hiddenFields(response)}<button type="submit">${words}</button></form>`
      : html`<a href="${redirectWith(way.redirect_uri, response)}">${words}</a>`
  const back = html`<div>${go} <span class="unverified">unverified</span><br>
<span class="quiet">at <span class="host">${redirectHost(way.redirect_uri).shown}</span></span></div>`
  return errorPage(base, error, request.id, back)
}

const errorOf = ({ id }: Request, { client }: Way, error: OAuthError) => ({
  error: error.code,
  error_description: quotable(description(client, error, id)),
})

/**
 * The words of the log, with what an admin finds them by. The sentence of a decision names the person, and groups of theirs: software that no admin vouches
 * for and nobody agreed to is told no more than that there is one. Any page can send a browser here, so it would learn who looks at it.
 */
function description({ verified }: Client, { message, details: { decision_id } }: OAuthError, request_id: string): string {
  if (decision_id === undefined) return `${message} Request ${request_id}.`
  return verified ? message : `The answer is no. The person, or an admin, finds the reason under decision ${decision_id}.`
}
