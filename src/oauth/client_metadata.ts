/**
 * What a client says of itself: RFC 7591 §2, OpenID Registration §2, and Client ID Metadata Documents (CIMD,
 * draft-ietf-oauth-client-id-metadata-document-02 §4). Two tables decide: `known` reads the members that we keep, `forbidden` names
 * those that must not be there. All others are ignored, as RFC 7591 §2 says, and named.
 */
import { type ClientJwks, parseClientJwks } from './client_jwks.ts'
import { OAuthError } from './error.ts'
import { type ApplicationType, checkRedirectUri, mostRedirectUris } from './redirect_uri.ts'
import { parseScope, scopeOf } from './scope.ts'
import { shownTextProblem } from './shown_text.ts'
import { type SignatureAlgorithm, signatureAlgorithms } from './signature_algorithms.ts'
import { isRegisteredSpiffeId } from './spiffe_id.ts'
import { hasPlainHost, isPort, isUriText, splitUri } from './uri_text.ts'

export type AuthMethod = 'none' | 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt' | 'spiffe_jwt'

type PersonGrant = 'authorization_code' | 'refresh_token'
type WorkloadGrant = 'client_credentials' | 'urn:ietf:params:oauth:grant-type:token-exchange'

/** What we keep of a client's metadata, under the names it goes by on the wire; also what a registration answers (RFC 7591 §3.2.1). */
export type ClientMetadata = {
  redirect_uris: string[]
  token_endpoint_auth_method: AuthMethod
  token_endpoint_auth_signing_alg?: SignatureAlgorithm
  grant_types: (PersonGrant | WorkloadGrant)[]
  response_types: 'code'[]
  post_logout_redirect_uris?: string[]
  application_type?: ApplicationType
  client_name?: string
  client_uri?: string
  logo_uri?: string
  policy_uri?: string
  tos_uri?: string
  contacts?: string[]
  /** The most the client will ask for; a wish, never a right. */
  scope?: string
  software_id?: string
  software_version?: string
  id_token_signed_response_alg?: 'RS256' | 'ES256'
  subject_type?: 'public'
  default_max_age?: number
  require_auth_time?: boolean
  /** By these `private_key_jwt` is verified; nothing is fetched before the client authenticates so. */
  jwks?: ClientJwks
  jwks_uri?: string
  /** Of a document: the workload that may be this client, or with `/*` at its end those (draft-ietf-oauth-spiffe-client-auth-02 §5.1). */
  spiffe_id?: string
}

export type MetadataRules = {
  source: 'registration' | 'document'
  /** `strict`: what would be ignored or narrowed is refused. */
  mode: 'lenient' | 'strict'
  /** Whether this client may have a credential. A document never has a secret, and may always have keys. */
  confidentialAllowed: boolean
  issuer: string
  /** Every scope that there is; others are dropped. Absent: a document, which is written for many servers. */
  scopes?: ReadonlySet<string>
  /** The `client_id` that must be there: a document's URL, or at an update (RFC 7592 §2.2) the client's own. Absent: it must not be there. */
  client_id?: string
}

export type ParsedMetadata = {
  metadata: ClientMetadata
  /** Members that were not understood, at most 20 of them, shortened and in printable form: for the audit. */
  ignored: string[]
  /** Members whose value was replaced by what remains usable of it. */
  narrowed: string[]
}

const mostMembers = 100
const mostContacts = 10
const longestName = 128
const longestText = 256
const mostNamed = 20

type Context = MetadataRules & {
  application_type: ApplicationType | undefined
  /** Whether it has a `spiffe_id`. */
  isWorkload: boolean
  /** Notes that a member's value was replaced; in strict mode that is refused instead, with the sentence. */
  narrow: (name: string, sentence: string) => void
}

/** Reads one member; `value` is undefined where it is absent or null. Returns what is kept, undefined for nothing; throws what is refused. */
type Read<Value> = (value: unknown, context: Context, name: string) => Value

const refuse = (sentence: string) => new OAuthError('invalid_client_metadata', sentence)

const optional =
  <Value>(read: Read<Value>): Read<Value | undefined> =>
  (value, context, name) =>
    value === undefined ? undefined : read(value, context, name)

const oneOf =
  <Value extends string>(...values: readonly Value[]): Read<Value> =>
  (value, _context, name) => {
    const found = values.find((one) => one === value)
    if (found === undefined) throw refuse(`${name} must be ${values.join(' or ')}.`)
    return found
  }

const text =
  (most: number): Read<string> =>
  (value, _context, name) => {
    if (typeof value !== 'string') throw refuse(`${name} must be a string.`)
    const problem = shownTextProblem(value, most)
    if (problem) throw refuse(`${name} ${problem}.`)
    return value
  }

/** A workload that signs nobody in has no place for answers. */
function redirect_uris(value: unknown, { issuer, application_type, isWorkload, source }: Context, name: string): string[] {
  if (value === undefined && isWorkload && source === 'document') return []
  const refuseUri = (sentence: string) => new OAuthError('invalid_redirect_uri', sentence)
  if (!Array.isArray(value) || value.length === 0) throw refuseUri(`${name} must list at least one address.`)
  if (value.length > mostRedirectUris) throw refuseUri(`${name} can list ${mostRedirectUris} addresses at most.`)
  const uris = new Set<string>()
  for (const [index, uri] of value.entries()) {
    if (typeof uri !== 'string') throw refuseUri(`Entry ${index + 1} of ${name} is not a string.`)
    const problem = checkRedirectUri(uri, { issuer, application_type })
    if (problem) throw refuseUri(`Entry ${index + 1} of ${name}: ${problem}`)
    uris.add(uri)
  }
  return [...uris]
}

const readAuthMethod = oneOf('none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt')
const readDocumentAuthMethod = oneOf('none', 'private_key_jwt', 'spiffe_jwt')

/** RFC 7591 §2: `client_secret_basic` if omitted; who may not have a credential becomes a public client, and reads so in the answer. */
function token_endpoint_auth_method(value: unknown, context: Context, name: string): AuthMethod {
  // CIMD §4: there is nobody to share a secret with.
  if (context.source === 'document') return readDocumentAuthMethod(value ?? (context.isWorkload ? 'spiffe_jwt' : 'none'), context, name)
  const asked = value === undefined ? 'client_secret_basic' : readAuthMethod(value, context, name)
  if (asked === 'none' || context.confidentialAllowed) return asked
  if (value !== undefined) context.narrow(name, `${name} must be none: the policy lets you register public clients only.`)
  return 'none'
}

/** A list of which we support some. `needed`: without it nothing usable remains. */
const someOf =
  <Value extends string>(needed: Value, ...others: readonly Value[]): Read<Value[]> =>
  (value, context, name) => {
    if (value === undefined) return [needed] // RFC 7591 §2: both defaults are just that
    if (!Array.isArray(value) || value.some((one) => typeof one !== 'string')) throw refuse(`${name} must be a list of strings.`)
    const supported = [needed, ...others]
    if (!value.includes(needed)) throw refuse(`${name} must include ${needed}; supported are ${supported.join(' and ')}.`)
    if (value.some((one) => !supported.includes(one))) context.narrow(name, `${name} can only hold ${supported.join(' and ')}.`)
    return supported.filter((one) => value.includes(one))
  }

const personGrants = someOf<PersonGrant>('authorization_code', 'refresh_token')
const workloadGrants: readonly WorkloadGrant[] = ['client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange']

/** The document of a workload may do without people. It refreshes what it exchanged, where an edge of the policy gives it something to refresh. */
function grant_types(value: unknown, context: Context, name: string): ClientMetadata['grant_types'] {
  if (context.source !== 'document' || !context.isWorkload) return personGrants(value, context, name)
  if (value === undefined) return ['refresh_token', ...workloadGrants]
  const listed = (grant: string) => Array.isArray(value) && value.includes(grant)
  const own = workloadGrants.filter(listed)
  if (own.length === 0 || listed('authorization_code')) return [...personGrants(value, context, name), ...own]
  return listed('refresh_token') ? ['refresh_token', ...own] : own
}

/** An https address of a page. An empty one counts as absent: some clients send it. */
function webPage(value: unknown, _context: Context, name: string): string | undefined {
  if (value === '') return undefined
  const parts = typeof value === 'string' && isUriText(value) ? splitUri(value) : undefined
  const plain =
    parts?.scheme === 'https' &&
    !parts.authority?.includes('@') &&
    (parts.port === undefined || isPort(parts.port)) &&
    hasPlainHost(value as string, parts.host)
  if (!plain) throw refuse(`${name} must be an https address, without user name.`)
  return value as string
}

function scope(value: unknown, { scopes, narrow }: Context, name: string): string | undefined {
  if (typeof value !== 'string') throw refuse(`${name} must be a string of scopes, separated by spaces.`)
  try {
    const asked = parseScope(value)
    const kept = scopes ? asked.filter((one) => scopes.has(one)) : asked
    if (kept.length < asked.length) narrow(name, `${name} holds a scope that is not known here.`)
    return scopeOf(kept) || undefined // some clients send ""
  } catch (error) {
    throw error instanceof OAuthError ? refuse(error.message) : error
  }
}

function contacts(value: unknown, context: Context, name: string): string[] {
  if (!Array.isArray(value) || value.length > mostContacts) throw refuse(`${name} must be a list of ${mostContacts} strings at most.`)
  return value.map((contact) => text(longestText)(contact, context, name))
}

/** Who registers software does not speak for the workloads of a trust domain; who publishes a document only lends them its name. */
function spiffe_id(value: unknown, { source, narrow }: Context, name: string): string | undefined {
  if (source === 'registration') {
    narrow(name, `${name} is for metadata documents and for the policy file.`)
    return undefined
  }
  if (typeof value !== 'string' || !isRegisteredSpiffeId(value)) throw refuse(`${name} must be a SPIFFE ID, which may end in /*.`)
  return value
}

function default_max_age(value: unknown, _context: Context, name: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw refuse(`${name} must be a whole number of seconds.`)
  return value as number
}

function require_auth_time(value: unknown, _context: Context, name: string): boolean {
  if (typeof value !== 'boolean') throw refuse(`${name} must be true or false.`)
  return value
}

/** Every member that we understand. In the order in which an answer shows them. */
const readers: { readonly [Name in keyof ClientMetadata]-?: Read<ClientMetadata[Name] | undefined> } = {
  redirect_uris,
  token_endpoint_auth_method,
  token_endpoint_auth_signing_alg: optional(oneOf(...signatureAlgorithms)), // OpenID Registration §2
  grant_types,
  response_types: someOf('code'),
  post_logout_redirect_uris: optional(redirect_uris), // OpenID Connect RP-Initiated Logout §3.1
  application_type: optional(oneOf('web', 'native')),
  client_name: optional(text(longestName)),
  client_uri: optional(webPage),
  logo_uri: optional(webPage),
  policy_uri: optional(webPage),
  tos_uri: optional(webPage),
  contacts: optional(contacts),
  scope: optional(scope),
  software_id: optional(text(longestText)),
  software_version: optional(text(longestText)),
  id_token_signed_response_alg: optional(oneOf('RS256', 'ES256')),
  subject_type: optional(oneOf('public')),
  default_max_age: optional(default_max_age),
  require_auth_time: optional(require_auth_time),
  jwks: optional(parseClientJwks),
  jwks_uri: optional(webPage),
  spiffe_id: optional(spiffe_id),
}
const known: ReadonlyMap<string, Read<unknown>> = new Map(Object.entries(readers))

const noSecret = 'The server makes the secrets: leave this member out.'
const noEncryption = 'Encrypted answers and requests are not supported: leave this member out.'
const noFetch = 'Nothing is fetched from or sent to addresses of a registration: leave this member out.'

/** Members whose silent loss would hurt, or that try to choose what is ours to choose; and what to tell whoever sent them. */
const forbidden: ReadonlyMap<string, string> = new Map([
  ['client_secret', noSecret], // RFC 7591 §3.2.1; CIMD §4
  ['client_secret_expires_at', noSecret],
  ['registration_access_token', 'The server makes this token: leave it out.'], // RFC 7592 §2.2
  ['software_statement', 'Software statements are not supported: send the members themselves.'], // RFC 7591 §2.3
  ['sector_identifier_uri', noFetch], // OpenID Registration §5
  ['request_uris', noFetch],
  ['initiate_login_uri', noFetch],
  ['backchannel_logout_uri', noFetch],
  ['id_token_encrypted_response_alg', noEncryption],
  ['id_token_encrypted_response_enc', noEncryption],
  ['userinfo_encrypted_response_alg', noEncryption],
  ['userinfo_encrypted_response_enc', noEncryption],
  ['request_object_encryption_alg', noEncryption],
  ['request_object_encryption_enc', noEncryption],
  ['userinfo_signed_response_alg', 'Userinfo is answered as plain JSON: leave this member out.'],
  ['request_object_signing_alg', 'Request objects are not supported: leave this member out.'],
])

/** RFC 7591 §2; members that are null are absent. In a Map, so that `__proto__` is a name like any other. */
function membersOf(body: unknown): Map<string, unknown> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw refuse('Client metadata must be a JSON object.')
  const entries = Object.entries(body)
  if (entries.length > mostMembers) throw refuse(`Client metadata can have ${mostMembers} members at most.`)
  return new Map(entries.filter(([, value]) => value !== null && value !== undefined))
}

/** RFC 7591 §2: ids are the server's choice; where one is already known, the body must name that one, exactly (CIMD §4, RFC 7592 §2.2). */
function checkClientId(given: unknown, expected: string | undefined): void {
  if (given === expected) return
  throw refuse(
    expected === undefined
      ? 'The server chooses the client_id: leave it out.'
      : 'client_id must be there, and be exactly the one that this metadata is for.',
  )
}

/** A stranger's member name, fit for a log line. */
const printable = (name: string) => name.slice(0, 64).replace(/[^!#-[\]-~]/g, '?')

/**
 * A registration request's or metadata document's JSON → what is kept of it.
 * Throws `invalid_client_metadata`, and `invalid_redirect_uri` where the redirect URIs are at fault (RFC 7591 §3.2.2).
 */
export function parseClientMetadata(body: unknown, rules: MetadataRules): ParsedMetadata {
  const members = membersOf(body)
  checkClientId(members.get('client_id'), rules.client_id)
  members.delete('client_id')

  for (const name of members.keys()) {
    const sentence = forbidden.get(name)
    if (sentence) throw refuse(`${name} cannot be accepted. ${sentence}`)
  }
  if (members.has('jwks') && members.has('jwks_uri')) throw refuse('jwks and jwks_uri cannot be there together (RFC 7591 section 2).')

  if (members.get('token_endpoint_auth_method') === 'private_key_jwt' && !members.has('jwks') && !members.has('jwks_uri'))
    throw refuse('private_key_jwt needs jwks or jwks_uri: there is no other way to know the keys of the client.')

  if (members.get('token_endpoint_auth_method') === 'spiffe_jwt' && !members.has('spiffe_id'))
    throw refuse('spiffe_jwt needs a spiffe_id: there is no other way to know the workload.')

  const ignored = [...members.keys()].filter((name) => !known.has(name)).map(printable)
  if (rules.mode === 'strict' && ignored.length > 0)
    throw refuse(`The policy accepts no members that are not understood: ${ignored.slice(0, mostNamed).join(', ')}.`)

  const asked = members.get('application_type')
  const narrowed: string[] = []
  const context: Context = {
    ...rules,
    isWorkload: members.has('spiffe_id'),
    application_type: asked === 'web' || asked === 'native' ? asked : undefined,
    narrow(name, sentence) {
      if (rules.mode === 'strict') throw refuse(sentence)
      narrowed.push(name)
    },
  }
  const metadata: Record<string, unknown> = {}
  for (const [name, read] of known) {
    const kept = read(members.get(name), context, name)
    if (kept !== undefined) metadata[name] = kept
  }
  return { metadata: metadata as ClientMetadata, ignored: ignored.slice(0, mostNamed), narrowed }
}
