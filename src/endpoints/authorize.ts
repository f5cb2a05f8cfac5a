import { isBrowserKnown } from '../authorization/browser.ts'
import { personOf } from '../authorization/caller.ts'
import { clientForCaller } from '../authorization/client.ts'
import { complete } from '../authorization/complete.ts'
import { confirmPage } from '../authorization/confirm_page.ts'
import { consentPage } from '../authorization/consent_page.ts'
import { questionFor } from '../authorization/interaction.ts'
import { refused } from '../authorization/refused.ts'
import { parseAuthorizationRequest, responseModeOf, wantedOf } from '../authorization/request.ts'
import type { Client } from '../clients/client.ts'
import { decide } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import type { Endpoint, Reply, Request } from '../http/endpoint.ts'
import { toOAuthError } from '../http/render_error.ts'
import { requireNavigation } from '../http/same_origin.ts'
import { OAuthError } from '../oauth/error.ts'
import { optional, type Params, parseForm } from '../oauth/parse.ts'
import type { UserPrincipal } from '../oauth/principal.ts'
import { matchesRedirectUri } from '../oauth/redirect_uri.ts'
import { personAs } from '../tokens/claims.ts'
import { askedFor, resourceByUri } from '../tokens/subject.ts'

const longestState = 4096

/** RFC 6749 §3.1, by GET or POST (OpenID Connect Core §3.1.2.1). */
export const authorize: Endpoint = {
  path: '/authorize',
  methods: ['GET', 'POST'],
  body: 'form',
  page: true,

  async handle(deps, request) {
    requireNavigation(request)
    const policy = deps.policy()
    const params = parseForm(request.method === 'POST' ? request.body : request.query)
    const client = await clientForCaller(deps, policy, once(params, 'client_id'), () => personOf(deps, request.connection))
    deps.trace.client_id = client.client_id
    const redirect_uri = verifiedRedirectUri(params, client, deps.config.issuer)
    const state = optional(params, 'state') ?? null
    if (state !== null && state.length > longestState)
      throw new OAuthError('invalid_request', `state is longer than ${longestState} characters.`)

    // Until somebody is known to be there, no error leaves this server.
    const principal = await personOf(deps, request.connection)
    try {
      return await answer(deps, policy, request, { params, client, redirect_uri, principal })
    } catch (thrown) {
      const way = { client, redirect_uri, state, response_mode: responseModeOf(params, redirect_uri) }
      return refused(deps, request, { ...way, silent: optional(params, 'prompt') === 'none' }, toOAuthError(thrown))
    }
  },
}

type Verified = { params: Params; client: Client; redirect_uri: string; principal: UserPrincipal }

async function answer(
  deps: Deps,
  policy: ActivePolicy,
  received: Request,
  { params, client, redirect_uri, principal }: Verified,
): Promise<Reply> {
  const request = parseAuthorizationRequest(params, client, redirect_uri, policy)
  refuseAnotherPerson(deps, optional(params, 'id_token_hint'), request.subjects, principal)
  const resource = request.resource === null ? null : (resourceByUri(policy, request.resource) ?? null)
  const facts = { entry: 'authorize', client_id: client.client_id, resource: request.resource } as const
  const decided = await decide(deps, policy, askedFor(principal, client, resource, wantedOf(request)), facts)
  const recognised = await deps.store.authTimes.find(principal.user_id, principal.node.id)
  const browserKnown = isBrowserKnown(deps, received, principal)
  const situation = { request, client, principal, decided, recognised, browserKnown, policy }
  const question = await questionFor(deps, situation)
  return question === null ? complete(deps, situation) : pages[question](deps, situation)
}

const pages = { consent: consentPage, confirmation: confirmPage }

/**
 * OpenID Connect Core §3.1.2.1: `id_token_hint`, an ID token of ours (it may have expired), says whom the client means, and so do values of the claim `sub`
 * (§5.5.1); for anybody else the answer is `login_required`. Throws `invalid_request` for what is no ID token of ours.
 */
function refuseAnotherPerson(deps: Deps, hint: string | undefined, subjects: readonly unknown[] | null, { user_id }: UserPrincipal): void {
  const claims = hint === undefined ? undefined : deps.jwts.open('JWT', hint)
  if (hint !== undefined && !claims) throw new OAuthError('invalid_request', 'id_token_hint is not an ID token of this server.')
  const here = personAs(user_id)
  if ((claims && claims.sub !== here) || subjects?.includes(here) === false)
    throw new OAuthError('login_required', 'The client asks for another person than the one who is here.')
}

/** A parameter whose mistakes can only be shown here: nobody knows yet where else to send them. */
function once(params: Params, name: string): string {
  const [value, second] = params.get(name) ?? []
  if (second !== undefined) throw new OAuthError('invalid_request', `The parameter "${name}" is there more than once.`)
  if (!value) throw new OAuthError('invalid_request', `The parameter "${name}" is missing.`)
  return value
}

/** OAuth 2.1 §2.3.2, §4.1.1: exactly a registered one; left out only where there is one and OpenID Connect, which demands it (Core §3.1.2.1), is not asked for. */
function verifiedRedirectUri(params: Params, client: Client, issuer: string): string {
  const [only, ...others] = client.redirect_uris
  const openid = params.get('scope')?.some((scope) => scope.split(' ').includes('openid'))
  if (!params.has('redirect_uri') && only !== undefined && others.length === 0 && !openid) return only
  const given = once(params, 'redirect_uri')
  const matched = matchesRedirectUri(client.redirect_uris, given, issuer)
  if (matched === undefined)
    throw new OAuthError(
      'invalid_request',
      'This application has not registered this redirect_uri, so the answer is not sent there. It must be the same to the letter.',
    )
  return matched
}
