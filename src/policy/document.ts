/** The policy file as it is written: the one schema, from which types and the JSON Schema for editors come. What it names is checked in compile. */
import * as z from 'zod'

// jitless: what zod would compile for each shape costs 3 MiB and 5 ms of a start, and is worth it for millions of documents only.
// customError: zod's own sentence for this asks the value for its `constructor`, which in a stranger's document may be anything, and throws.
z.config({
  jitless: true,
  customError: (issue) => (issue.code === 'invalid_type' ? `Invalid input: expected ${issue.expected}` : undefined),
})

const seconds = { s: 1, m: 60, h: 3600, d: 86_400 } as const

/** "90s", "15m", "12h", "30d" → seconds. */
const duration = z
  .string()
  .regex(/^[1-9]\d{0,3}[smhd]$/, {
    error: 'A duration is a whole number of at most four digits and s, m, h or d, such as "90s", "12h" or "30d".',
  })
  .transform((text) => Number.parseInt(text, 10) * seconds[text.slice(-1) as keyof typeof seconds])

/** As the configuration bounds it: whoever checks an access token locally takes it until it ends. */
const tokenLifetime = duration.refine((lifetime) => lifetime <= seconds.d, {
  error: 'An access token lives a day at the most: nobody can end one that is checked locally.',
})

const text = z.string().min(1, { error: 'This text may not be empty.' }).max(1000, { error: 'This text is longer than 1000 characters.' })
const list = <T extends z.ZodType>(item: T, whenEmpty = 'This list may not be empty.') => z.array(item).min(1, { error: whenEmpty })

/** Names of resources and clients travel in URLs, logs and (as client_id) in HTTP Basic: RFC 3986 §2.3 unreserved characters only. */
const named = (prefix: string) =>
  z.string().regex(new RegExp(`^${prefix}:[A-Za-z0-9._~-]{1,100}$`), {
    error: `A name here looks like "${prefix}:example": the prefix, then letters, digits, ".", "_", "~" or "-".`,
  })

const groupName = z.string().regex(/^group:[^\s,"*\p{Cc}\p{Cf}]{1,200}$/u, {
  error: 'A group name looks like "group:eng", without spaces, commas, quotes, stars and what nobody sees.',
})
const tag = z.string().regex(/^tag:[^\s,"*\p{Cc}\p{Cf}]{1,200}$/u, {
  error: 'A tag looks like "tag:ci", without spaces, commas, quotes, stars and what nobody sees.',
})

/** RFC 6749 §3.3, scope-token. */
const scope = z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/, {
  error: 'A scope is printable ASCII without spaces, quotes and backslashes (RFC 6749 §3.3).',
})

const resource = z.strictObject({
  uri: text,
  name: text.optional(),
  description: text.optional(),
  scopes: z.union([list(scope), z.record(scope, text)], {
    error: '"scopes" is a list of scope names, or an object from scope name to a sentence for people.',
  }),
  default: z.boolean().optional(),
  token_format: z.enum(['jwt', 'opaque']).optional(),
  check: z.enum(['local', 'introspect']).optional(),
  allow_unverified_clients: z
    .union([z.boolean(), list(scope)], {
      error: '"allow_unverified_clients" must be true, false or a list of those scopes that such software may get.',
    })
    .optional(),
  signing_alg: z.enum(['ES256', 'RS256']).optional(),
  may_act: text.optional(),
})

const client = z.strictObject({
  client_id: z
    .string()
    .regex(/^[\x21-\x7e]{1,500}$/, { error: 'A client_id is printable ASCII without spaces (RFC 6749 Appendix A.1).' })
    .optional(),
  name: text.optional(),
  redirect_uris: list(text).optional(),
  post_logout_redirect_uris: list(text).optional(),
  client_secret_file: z
    .string()
    .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,100}$/, {
      error: '"client_secret_file" is the bare name of a file among the secrets, without a path.',
    })
    .optional(),
  jwks: z.strictObject({ keys: list(z.looseObject({ kty: text })) }).optional(),
  jwks_uri: text.optional(),
  /** For requests of this client that name no resource (RFC 8707). */
  default_resource: text.optional(),
  node: list(tag).optional(),
  spiffe_id: text.optional(),
  compat: z.strictObject({ assertion_aud: z.boolean().optional() }).optional(),
  require_pkce: z.boolean().optional(),
  id_token_signed_response_alg: z.enum(['RS256', 'ES256']).optional(),
})

const authorize = z.strictObject({
  scopes: list(scope),
  clients: list(text).optional(),
  consent: z.enum(['always', 'once', 'never']).optional(),
  bind: z.enum(['user', 'node']).optional(),
  access_token_ttl: tokenLifetime.optional(),
  refresh_token_ttl: duration.optional(),
})

const register = z.strictObject({
  via: list(z.enum(['dcr', 'cimd', 'initial_access_token'])).optional(),
  redirect_uris: list(text).optional(),
  metadata: z.enum(['lenient', 'strict']).optional(),
  confidential: z.boolean().optional(),
  client_ttl: duration.optional(),
  max_clients: z
    .int()
    .min(1, { error: '"max_clients" is at least 1.' })
    .max(1_000_000, { error: '"max_clients" is at most a million.' })
    .optional(),
})

const exchange = z.strictObject({
  actors: list(text),
  from: list(text),
  scopes: z.record(scope, list(scope)),
  max_depth: z.int().min(1, { error: '"max_depth" is at least 1.' }).max(16, { error: '"max_depth" is at most 16.' }).optional(),
  beyond_subject: z.boolean().optional(),
  impersonate: z.boolean().optional(),
  refresh_token: z.boolean().optional(),
})

const client_credentials = z.strictObject({ scopes: list(scope), access_token_ttl: tokenLifetime.optional() })
const introspect = z.strictObject({ chain: z.boolean().optional() })
const funnel = z.strictObject({})
const claims = z.strictObject({ claims: z.record(text, z.unknown()).optional(), groups: list(groupName).optional() })
const admin = z.strictObject({ access: z.enum(['read', 'write']) })

const capabilities = { authorize, register, exchange, client_credentials, introspect, funnel, claims, admin }

/** What whois says of the caller's node. All that are there must hold; of a list, one. `os` and `os_version` are what the node says of itself. */
const posture = z.strictObject({
  os: list(text).optional(),
  os_version: z
    .string()
    .regex(/^\d{1,9}(\.\d{1,9}){0,5}$/, {
      error: '"os_version" is the oldest that will do, as numbers with dots between them, such as "14.2".',
    })
    .optional(),
  tags: list(tag).optional(),
  attributes: list(text).optional(),
  key_expiry: z.literal('required').optional(),
})

const grant = z.strictObject({
  src: list(text),
  dst: list(text).optional(),
  app: z.strictObject({
    authorize: list(authorize).optional(),
    register: list(register).optional(),
    exchange: list(exchange).optional(),
    client_credentials: list(client_credentials).optional(),
    introspect: list(introspect).optional(),
    funnel: list(funnel).optional(),
    claims: list(claims).optional(),
    admin: list(admin).optional(),
  }),
  posture: posture.optional(),
  expires: z
    .union([z.iso.date(), z.iso.datetime({ offset: true })], {
      error: '"expires" is a date such as "2027-01-31", or a time as RFC 3339 writes it.',
    })
    .transform((written) => Date.parse(written) / 1000) // a bare date is its first moment, in UTC
    .optional(),
  reason: text.optional(),
})

/** What the tailnet policy may send along with a caller (`CapMap` of whois): a grant to that caller. */
export const meshGrant = grant.omit({ src: true })

const test = z.strictObject({
  src: text,
  app: z.enum(Object.keys(capabilities) as (keyof typeof capabilities)[]),
  dst: text.optional(),
  client: text.optional(),
  with: list(scope).optional(),
  actor: text.optional(),
  from: text.optional(),
  /** `register`: where answers go, in the words of a grant's `redirect_uris`; for `cimd` also the document's host. */
  redirect_uris: list(text).optional(),
  accept: list(text).optional(),
  deny: list(text).optional(),
  given: z
    .strictObject({
      groups: z.array(text).optional(),
      tags: z.array(tag).optional(),
      os: text.optional(),
      os_version: text.optional(),
      attributes: z.array(text).optional(),
      address: text.optional(),
      /** Whether the node's key expires. */
      key_expiry: z.boolean().optional(),
      caps: z.record(text, z.array(z.unknown())).optional(),
    })
    .optional(),
})

export const policyDocument = z.strictObject({
  /** For editors. */
  $schema: z.string().optional(),
  groups: z
    .record(
      groupName,
      list(text, 'This group is empty, so nobody would match it. Remove it, or list it in "mesh_groups" if the mesh says who is in it.'),
    )
    .optional(),
  /** Groups that only the mesh knows (`UserProfile.Groups` of whois); named here so that a misspelt one is found. */
  mesh_groups: z.array(groupName).optional(),
  /** Grants that the tailnet policy sends along with a caller, under this capability name; `admin`: whether they may make admins. */
  mesh_grants: z
    .strictObject({
      capability: z.string().regex(/^[a-z0-9.-]{1,200}\/[^\s,"*\p{Cc}]{1,200}$/u, {
        error: 'A capability name of a tailnet policy looks like "example.com/cap/meshidp".',
      }),
      admin: z.boolean().optional(),
    })
    .optional(),
  resources: z.record(named('resource'), resource).optional(),
  clients: z.record(named('client'), client).optional(),
  grants: z.array(grant).optional(),
  tests: z.array(test).optional(),
})

export type PolicyDocument = z.output<typeof policyDocument>
export type GrantEntry = PolicyDocument['grants'] extends (infer G)[] | undefined ? G : never
export type TestEntry = z.output<typeof test>
export type ClientEntry = z.output<typeof client>
export type Capability<A extends keyof typeof capabilities> = z.output<(typeof capabilities)[A]>
export type App = keyof typeof capabilities
