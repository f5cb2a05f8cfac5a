/** The configuration: one HuJSON file, parsed once, frozen. Secrets are never in it, only the names of files that hold them. */
import { type ParseError, parse as parseJsonc, printParseErrorCode } from 'jsonc-parser'
import { z } from 'zod'

const seconds = z.int().positive()

/** An issuer identifier: https, or http on this computer only; no query, no fragment, no trailing slash. RFC 8414 §2. */
const issuer = z.string().refine((text) => {
  if (!URL.canParse(text) || text.endsWith('/')) return false
  const url = new URL(text)
  const onThisComputer = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname) || url.hostname.endsWith('.localhost')
  const written = url.pathname === '/' ? url.origin : url.origin + url.pathname
  return text === written && (url.protocol === 'https:' || (url.protocol === 'http:' && onThisComputer))
}, 'must be an https URL (or http on localhost), in lower case, without default port, query, fragment or trailing slash')

const schema = z.strictObject({
  issuer,
  /** Where the store, the keys and the secrets are. Made with mode 0700 if it is not there. */
  state_directory: z.string().min(1),
  /** Where the control socket is. */
  runtime_directory: z.string().min(1).optional(),
  policy_file: z.string().min(1),
  /** Files that `client_secret_file` of the policy names. */
  secrets_directory: z.string().min(1).optional(),
  listen: z
    .strictObject({
      port: z.int().min(0).max(65535).default(443),
      /** Only for `identity: userspace` and the development mesh; with `tun` the node's own mesh addresses are bound. */
      host: z.string().optional(),
      /** Only for `identity: serve`: the unix socket that tailscaled forwards to. */
      socket: z.string().optional(),
      /** PEM files; without them the listener speaks plain http. */
      tls_certificate_file: z.string().optional(),
      tls_key_file: z.string().optional(),
    })
    .prefault({}),
  mesh: z
    .strictObject({
      socket: z.string().min(1).default('/var/run/tailscale/tailscaled.sock'),
      identity: z.enum(['auto', 'tun', 'userspace', 'serve']).default('auto'),
      /** Callers on this very node are anonymous, unless this is a person's own machine and the admin says so. */
      allow_self: z.boolean().default(false),
      /** Milliseconds that an answer of whois may be used again; any word from the mesh forgets it at once. */
      whois_cache_ms: z.int().min(0).max(1000).default(1000),
    })
    .prefault({}),
  /** Only the development mesh: callers are told apart by loopback addresses. Refuses to listen anywhere else. */
  development: z.boolean().default(false),
  /** Members of the mesh whose e-mail is truly at that domain; without it no `email` claim is made up from a login. */
  email_domains: z.array(z.string().min(1)).default([]),
  /** Origins of browser software that may register itself (CORS on /register). */
  browser_clients: z.array(z.string().min(1)).default([]),
  lifetimes: z
    .strictObject({
      code: seconds.max(600).default(60),
      access_token: seconds.max(86_400).default(300),
      id_token: seconds.max(86_400).default(3600),
      refresh_token_idle: seconds.default(30 * 86_400),
      refresh_token: seconds.default(90 * 86_400),
      /** How long a spent refresh token still yields its one successor. RFC 9700 §4.14.2. */
      refresh_grace: z.int().min(0).max(300).default(30),
      ticket: seconds.default(600),
      /** From "gone from the mesh" until the authorization ends for good. */
      removal_grace: seconds.default(86_400),
      /** How long decisions are kept. */
      decisions: seconds.default(90 * 86_400),
    })
    .prefault({}),
  limits: z
    .strictObject({
      /** How often a spent refresh token may yield its successor within the grace. */
      refresh_replays: z.int().min(0).default(20),
      /** Fetches of metadata documents a minute, for one person, one host and all together. */
      document_fetches: z
        .strictObject({ principal: z.int(), origin: z.int(), total: z.int() })
        .default({ principal: 10, origin: 30, total: 120 }),
    })
    .prefault({}),
  log_level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
})

export type Config = z.output<typeof schema> & { runtime_directory: string; secrets_directory: string }
export type ConfigInput = z.input<typeof schema>

/** The configuration file is unusable; the message says what and where. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** Text of a configuration file → Config. Throws ConfigError with a sentence for each mistake. */
export function parseConfig(text: string): Config {
  const mistakes: ParseError[] = []
  const value: unknown = parseJsonc(text, mistakes, { allowTrailingComma: true, disallowComments: false })
  const [mistake] = mistakes
  if (mistake) {
    const line = text.slice(0, mistake.offset).split('\n').length
    throw new ConfigError(`The configuration is not valid JSON: ${printParseErrorCode(mistake.error)} in line ${line}.`)
  }
  return toConfig(value)
}

/** A value of any origin → Config, with every default filled in. Throws ConfigError. */
export function toConfig(value: unknown): Config {
  const parsed = schema.safeParse(value)
  if (!parsed.success) {
    const sentences = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`)
    throw new ConfigError(`The configuration cannot be used.\n  ${sentences.join('\n  ')}`)
  }
  const config = parsed.data
  return Object.freeze({
    ...config,
    runtime_directory: config.runtime_directory ?? config.state_directory,
    secrets_directory: config.secrets_directory ?? `${config.state_directory}/secrets`,
  })
}
