/** How an authorization response leaves this server: by a redirect with a query, or by a form that the browser posts. */
import type { Deps } from '../deps.ts'
import type { Reply } from '../http/endpoint.ts'
import { redirect } from '../http/page.ts'
import { redirectWith } from '../oauth/redirect_uri.ts'
import { formPostPage } from './form_post_page.ts'
import type { ResponseMode } from './request.ts'

/** Where an answer goes, and how; verified. */
export type Way = { redirect_uri: string; response_mode: ResponseMode; state: string | null }

export type ResponseParams = Readonly<Record<string, string | undefined>>

/** `params` with what every response has: `state` as it was sent, and `iss` (RFC 9207 §2). */
export const responseOf = ({ config: { issuer } }: Deps, { state }: Pick<Way, 'state'>, params: ResponseParams): ResponseParams => ({
  ...params,
  state: state ?? undefined,
  iss: issuer,
})

/** Answers the client by way of the person's browser (RFC 6749 §4.1.2, OAuth 2.0 Form Post Response Mode §2). */
export function respond(deps: Deps, way: Way, params: ResponseParams): Reply {
  const response = responseOf(deps, way, params)
  return way.response_mode === 'form_post'
    ? formPostPage(deps, way.redirect_uri, response)
    : redirect(redirectWith(way.redirect_uri, response))
}
