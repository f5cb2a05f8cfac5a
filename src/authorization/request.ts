/** The authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1) of a client and redirect URI that are verified already. */
import type { Client } from '../clients/client.ts'
import type { ActivePolicy } from '../deps.ts'
import { type authenticationContexts, wantedContext } from '../oauth/authentication_context.ts'
import { type ClaimsParameter, parseClaims } from '../oauth/claims_parameter.ts'
import { OAuthError } from '../oauth/error.ts'
import { optional, type Params, refuseRepeated } from '../oauth/parse.ts'
import { isCodeChallenge } from '../oauth/pkce.ts'
import { parseScope } from '../oauth/scope.ts'
import { quoted } from '../oauth/shown_text.ts'
import { isIdentityScope, type Resource } from '../policy/index.ts'
import { claimsWithin, knownClaims, noClaims, type RequestedClaims, withScopesBehind } from '../tokens/requested_claims.ts'
import { defaultResource, resourceByUri } from '../tokens/subject.ts'

/** Kept with a ticket while a page is open, so plain data. */
export type AuthorizationRequest = {
  client_id: string
  redirect_uri: string
  state: string | null
  response_mode: ResponseMode
  /** As asked; empty for the resource's own default (RFC 6749 §3.3). */
  scopes: readonly string[]
  /** The resource's URI, null for this server's own userinfo. */
  resource: string | null
  code_challenge: string | null
  nonce: string | null
  prompt: readonly Prompt[]
  /** Seconds. */
  max_age: number | null
  /** Claims named one by one; only in a request for OpenID Connect. */
  claims: RequestedClaims
  /** How sure the client wants to be that a person is there; null where it does not say. */
  context: keyof typeof authenticationContexts | null
  /** Whom the client means, by the values that it would take for `sub` (Core §5.5.1); null where it does not say. */
  subjects: readonly unknown[] | null
  /** A word on who may be there; advice only. */
  login_hint: string | null
}

/** How an answer gets back: in the query, or as a form that the browser posts (OAuth 2.0 Form Post Response Mode). */
export const responseModes = ['query', 'form_post'] as const
export type ResponseMode = (typeof responseModes)[number]

const prompts = ['none', 'login', 'consent', 'select_account'] as const
type Prompt = (typeof prompts)[number]

const longestText = 2048

/** Parameters that would change the request if we knew them: better refused than ignored (OpenID Connect Core §3.1.2.6). */
const notSupported = new Map([
  ['request', 'request_not_supported'],
  ['request_uri', 'request_uri_not_supported'],
  ['registration', 'registration_not_supported'],
] as const)

/** Parameters → request. Throws OAuthError with the code that belongs to each mistake. */
export function parseAuthorizationRequest(
  params: Params,
  client: Client,
  redirect_uri: string,
  policy: ActivePolicy,
): AuthorizationRequest {
  refuseRepeated(params)
  for (const [name, code] of notSupported)
    if (optional(params, name) !== undefined) throw new OAuthError(code, `The parameter "${name}" is not supported here.`)
  const response_type = optional(params, 'response_type')
  if (response_type === undefined)
    throw new OAuthError('invalid_request', 'The parameter "response_type" is missing. Send response_type=code.')
  if (response_type !== 'code') throw new OAuthError('unsupported_response_type', 'Only response_type=code is supported.')
  const asked = optional(params, 'response_mode') ?? 'query'
  const response_mode = responseModeOf(params, redirect_uri)
  if (asked !== response_mode)
    throw new OAuthError(
      'invalid_request',
      asked === 'form_post'
        ? 'response_mode=form_post needs a redirect_uri with https or http.'
        : `Only response_mode=${responseModes.join(' and response_mode=')} are supported.`,
    )
  const prompt = parsePrompt(params)
  const scopes = parseScope(optional(params, 'scope') ?? '')
  const claims = parseClaims(optional(params, 'claims'))
  return {
    client_id: client.client_id,
    redirect_uri,
    state: optional(params, 'state') ?? null,
    response_mode,
    scopes,
    resource: parseResource(params, scopes, client, policy)?.uri ?? null,
    code_challenge: parseChallenge(params, client),
    nonce: parseNonce(params, client),
    prompt,
    max_age: parseMaxAge(params, client),
    claims: scopes.includes('openid') ? knownClaims(claims) : noClaims,
    context: parseContext(params, claims),
    subjects: subjectsOf(claims),
    login_hint: optional(params, 'login_hint') ?? null,
  }
}

/** How an answer to these parameters gets back, a refusal of them too: `form_post` where that is asked for and possible, else the query. */
export const responseModeOf = (params: Params, redirect_uri: string): ResponseMode =>
  optional(params, 'response_mode') === 'form_post' && /^https?:/.test(redirect_uri) ? 'form_post' : 'query'

/** What the policy is asked for: the scopes, and those behind claims that are named one by one. */
export const wantedOf = ({ scopes, claims }: AuthorizationRequest): readonly string[] => withScopesBehind(scopes, claims)

/** The request, cut to what the policy gives of it. Throws `invalid_scope` where that is no scope that was asked for. */
export function within(request: AuthorizationRequest, given: readonly string[]): AuthorizationRequest {
  const { scopes: asked, claims } = request
  const scopes = asked.length === 0 ? given : given.filter((scope) => asked.includes(scope))
  if (scopes.length === 0) throw new OAuthError('invalid_scope', 'The policy gives none of the scopes that were asked for.')
  return { ...request, scopes, claims: claimsWithin(claims, given) }
}

/**
 * What `acr_values` (Core §3.1.2.1) and the claim `acr` (§5.5.1.1) ask for. Throws `unmet_authentication_requirements` where the claim is essential and no
 * value of it is one that there is.
 */
function parseContext(params: Params, { id_token }: ClaimsParameter): AuthorizationRequest['context'] {
  const acr = id_token.get('acr')
  const byClaim = wantedContext(acr?.values ?? [])
  if (acr?.essential && acr.values.length > 0 && byClaim === undefined)
    throw new OAuthError(
      'unmet_authentication_requirements',
      'There is no authentication context here of those that the claim acr must be.',
    )
  return byClaim ?? wantedContext((optional(params, 'acr_values') ?? '').split(' ')) ?? null
}

function subjectsOf({ id_token, userinfo }: ClaimsParameter): readonly unknown[] | null {
  const named = [id_token.get('sub'), userinfo.get('sub')].flatMap((sub) => (sub && sub.values.length > 0 ? [sub.values] : []))
  return named.length === 0 ? null : named.reduce((all, values) => all.filter((value) => values.includes(value)))
}

/** OAuth 2.1 §4.1.1: S256 always; `plain`, and no method at all (which means plain, RFC 7636 §4.3), are refused. */
function parseChallenge(params: Params, client: Client): string | null {
  const challenge = optional(params, 'code_challenge')
  if (challenge === undefined) {
    if (client.require_pkce)
      throw new OAuthError('invalid_request', 'The parameter "code_challenge" is missing: PKCE (RFC 7636) with S256 is required.')
    if (optional(params, 'code_challenge_method') !== undefined)
      throw new OAuthError('invalid_request', 'There is a code_challenge_method without a code_challenge.')
    return null
  }
  if (optional(params, 'code_challenge_method') !== 'S256') throw new OAuthError('invalid_request', 'code_challenge_method must be S256.')
  if (!isCodeChallenge(challenge))
    throw new OAuthError('invalid_request', 'code_challenge must be the base64url of a SHA-256, 43 characters without padding.')
  return challenge
}

function parseNonce(params: Params, client: Client): string | null {
  const nonce = optional(params, 'nonce')
  if (nonce !== undefined && nonce.length > longestText)
    throw new OAuthError('invalid_request', `nonce is longer than ${longestText} characters.`)
  if (nonce === undefined && !client.require_pkce && optional(params, 'code_challenge') === undefined)
    throw new OAuthError('invalid_request', 'This client is excused from PKCE, so it must send a nonce.')
  return nonce ?? null
}

function parsePrompt(params: Params): Prompt[] {
  const asked = (optional(params, 'prompt') ?? '').split(' ').filter((value) => value !== '')
  const known = prompts.filter((value) => asked.includes(value))
  if (known.length < asked.length) throw new OAuthError('invalid_request', `prompt can hold ${prompts.join(', ')}.`)
  if (known.includes('none') && known.length > 1)
    throw new OAuthError('invalid_request', 'prompt=none cannot be joined with another prompt.')
  return known
}

/** OpenID Connect Core §3.1.2.1; where it is not said, what the client registered (OpenID Registration §2). */
function parseMaxAge(params: Params, client: Client): number | null {
  const text = params.get('max_age')?.[0]
  if (text === undefined) return client.stored?.metadata.default_max_age ?? null
  if (!/^[0-9]{1,9}$/.test(text)) throw new OAuthError('invalid_request', 'max_age must be a whole number of seconds.')
  return Number(text)
}

/**
 * RFC 8707 §2, and one `aud` a token: at most one resource. A request that names none is for the client's default resource, or else that of all, where
 * there is one, if it asks for a scope that is no identity scope, or for none at all. Throws `invalid_target`.
 */
function parseResource(params: Params, scopes: readonly string[], client: Client, policy: ActivePolicy): Resource | undefined {
  const named = (params.get('resource') ?? []).filter((uri) => uri !== '')
  const resources = named.map((uri) => {
    const resource = resourceByUri(policy, uri)
    if (!resource) throw new OAuthError('invalid_target', `The policy knows no resource ${quoted(uri, 200)}.`)
    return resource
  })
  if (new Set(resources).size > 1)
    throw new OAuthError('invalid_target', 'A token is for one resource; ask for each with a request of its own.')
  if (resources[0]) return resources[0]
  if (scopes.length > 0 && scopes.every(isIdentityScope)) return undefined
  return defaultResource(policy, client)
}
