/** The authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1) of a client and redirect URI that are verified already. */
import type { Client } from '../clients/client.ts'
import type { ActivePolicy } from '../deps.ts'
import { OAuthError } from '../oauth/error.ts'
import { optional, type Params, refuseRepeated } from '../oauth/parse.ts'
import { isCodeChallenge } from '../oauth/pkce.ts'
import { parseScope } from '../oauth/scope.ts'
import { isIdentityScope, type Resource } from '../policy/index.ts'
import { resourceByUri } from '../tokens/subject.ts'

/** Kept with a ticket while a page is open, so plain data. */
export type AuthorizationRequest = {
  client_id: string
  redirect_uri: string
  state: string | null
  /** As asked; empty for the resource's own default (RFC 6749 §3.3). */
  scopes: readonly string[]
  /** The resource's URI, null for this server's own userinfo. */
  resource: string | null
  code_challenge: string | null
  nonce: string | null
  prompt: readonly Prompt[]
  /** Seconds. */
  max_age: number | null
}

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
  if ((optional(params, 'response_mode') ?? 'query') !== 'query')
    throw new OAuthError('invalid_request', 'Only response_mode=query is supported.')
  const prompt = parsePrompt(params)
  const scopes = parseScope(optional(params, 'scope') ?? '')
  return {
    client_id: client.client_id,
    redirect_uri,
    state: optional(params, 'state') ?? null,
    scopes,
    resource: parseResource(params, scopes, policy)?.uri ?? null,
    code_challenge: parseChallenge(params, client),
    nonce: parseNonce(params, client),
    prompt,
    max_age: parseMaxAge(params, client),
  }
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
 * RFC 8707 §2, and one `aud` a token: at most one resource. A request that names none is for the policy's default resource, where there is one,
 * if it asks for a scope that is no identity scope, or for none at all. Throws `invalid_target`.
 */
function parseResource(params: Params, scopes: readonly string[], policy: ActivePolicy): Resource | undefined {
  const named = (params.get('resource') ?? []).filter((uri) => uri !== '')
  const resources = named.map((uri) => {
    const resource = resourceByUri(policy, uri)
    if (!resource) throw new OAuthError('invalid_target', `The policy knows no resource ${JSON.stringify(uri.slice(0, 200))}.`)
    return resource
  })
  if (new Set(resources).size > 1)
    throw new OAuthError('invalid_target', 'A token is for one resource; ask for each with a request of its own.')
  if (resources[0]) return resources[0]
  return scopes.length === 0 || scopes.some((scope) => !isIdentityScope(scope))
    ? [...policy.resources.values()].find((resource) => resource.default)
    : undefined
}
