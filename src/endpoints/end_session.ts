import { forgetBrowser } from '../authorization/browser.ts'
import { personOf } from '../authorization/caller.ts'
import { type AskedBy, signedOutPage, signOutPage } from '../authorization/signed_out_page.ts'
import type { Client } from '../clients/client.ts'
import { findKnownClient } from '../clients/find.ts'
import type { Deps } from '../deps.ts'
import type { Endpoint, Request as HttpRequest } from '../http/endpoint.ts'
import { redirect } from '../http/page.ts'
import { requireNavigation, requireSameOrigin } from '../http/same_origin.ts'
import { OAuthError } from '../oauth/error.ts'
import { optional, type Params, parseForm, refuseRepeated } from '../oauth/parse.ts'
import type { UserPrincipal } from '../oauth/principal.ts'
import { redirectWith } from '../oauth/redirect_uri.ts'
import { endAuthorization } from '../store/authorizations.ts'
import { forgetAuthTime } from '../store/consents.ts'
import { personAs } from '../tokens/claims.ts'

/**
 * OpenID Connect RP-Initiated Logout 1.0 §2. There are no sessions to end: an ID token of the person who is there ends the authorization that it came from,
 * and leads back where its client registered to be answered. Without one nothing is ended, but this browser may forget its person, once they say so; then it
 * may lead back to a client of the policy, which many libraries ask for when their own session is over already.
 */
export const endSession: Endpoint = {
  path: '/end_session',
  methods: ['GET', 'POST'],
  body: 'form',
  page: true,

  async handle(deps, request) {
    requireNavigation(request)
    const params = paramsOf(request)
    const principal = await personOf(deps, request.connection)
    const hint = optional(params, 'id_token_hint')
    if (hint !== undefined) return endedBy(deps, params, principal, hint)
    const asked = await askedBy(deps, params)
    if (request.method !== 'POST' || optional(params, 'confirmed') === undefined) return signOutPage(deps, asked)
    requireSameOrigin(request, deps.config.issuer)
    await deps.store.commit([forgetAuthTime(principal.user_id, principal.node.id)])
    return signedOut(deps, params, asked?.uri)
  },
}

function paramsOf(request: HttpRequest): Params {
  const params = parseForm(request.method === 'POST' ? request.body : request.query)
  refuseRepeated(params)
  return params
}

/** Ends what the hint came from, after everything that is asked for was found to be right. Throws `invalid_request`. */
async function endedBy(deps: Deps, params: Params, principal: UserPrincipal, hint: string) {
  const claims = deps.jwts.open('JWT', hint) as { sub: string; aud: string; sid: string } | undefined // it may have expired (§4)
  if (!claims) throw new OAuthError('invalid_request', 'id_token_hint is not an ID token of this server.')
  if (claims.sub !== personAs(principal.user_id))
    throw new OAuthError('invalid_request', 'id_token_hint is of another person than the one who is here, so nothing was ended.')
  const client_id = optional(params, 'client_id')
  if (client_id !== undefined && client_id !== claims.aud)
    throw new OAuthError('invalid_request', 'client_id is not the client that id_token_hint was issued to.')
  const uri = optional(params, 'post_logout_redirect_uri')
  if (uri !== undefined) requireRegistered(await findKnownClient(deps, deps.policy(), claims.aud), uri)

  await deps.store.commit([
    endAuthorization(claims.sid, deps.now(), 'its person signed out'),
    forgetAuthTime(principal.user_id, principal.node.id),
  ])
  return signedOut(deps, params, uri)
}

/**
 * The client that asks without an ID token and wants the browser back. §3: only where something else vouches for that address, and nothing does for software
 * that anybody may have registered. Throws `invalid_request`.
 */
async function askedBy(deps: Deps, params: Params): Promise<AskedBy | undefined> {
  const uri = optional(params, 'post_logout_redirect_uri')
  if (uri === undefined) return undefined
  const client = await findKnownClient(deps, deps.policy(), optional(params, 'client_id') ?? '')
  if (!client?.verified)
    throw new OAuthError(
      'invalid_request',
      'A post_logout_redirect_uri is followed only with an id_token_hint, or with the client_id of an application that the policy names.',
    )
  requireRegistered(client, uri)
  return { client, uri, state: optional(params, 'state') }
}

/** The browser forgets its person, and goes to `uri` where there is one. */
function signedOut(deps: Deps, params: Params, uri: string | undefined) {
  const headers = forgetBrowser(deps)
  if (uri === undefined) return signedOutPage(deps, headers)
  const back = redirect(redirectWith(uri, { state: optional(params, 'state') }))
  return { ...back, headers: { ...back.headers, ...headers } }
}

/** §3: only where the client registered to be answered after a logout, to the letter. Throws `invalid_request`. */
function requireRegistered(client: Client | undefined, uri: string): void {
  if (!client?.post_logout_redirect_uris.includes(uri))
    throw new OAuthError(
      'invalid_request',
      'This application has not registered this post_logout_redirect_uri, so nobody is sent there and nothing was ended.',
    )
}
