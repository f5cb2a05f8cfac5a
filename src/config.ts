/** The configuration: one HuJSON file, and what environment and command line say besides; parsed once, frozen. Secrets are never in it, only the names of files that hold them. */
import { existsSync } from 'node:fs'
import { z } from 'zod'
import { type Key, keysOf } from './config/keys.ts'
import { layered, type Origin, type Sources } from './config/layers.ts'
import { controlSocketIn, fitsSocket, origin, path, socketFolder, socketPath, tooLong } from './config/places.ts'
import { checked } from './config/problems.ts'
import { readHujson } from './hujson/read.ts'

/** Longer is nothing that an operator means, and dates far beyond are none that this machine could write. */
const century = 100 * 365 * 86_400

const seconds = z.int().positive()
const longSeconds = seconds.max(century)

/**
 * An issuer identifier: https, or http on this computer only; no query, no fragment, no trailing slash. RFC 8414 §2. Its path is of unreserved characters
 * (RFC 3986 §2.3), for every endpoint begins with it, and to the router of requests a colon, a star or a percent sign is more than a letter.
 */
const issuer = z.string().refine((text) => {
  if (!URL.canParse(text) || text.endsWith('/')) return false
  const url = new URL(text)
  const onThisComputer = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname) || url.hostname.endsWith('.localhost')
  const written = url.pathname === '/' ? url.origin : url.origin + url.pathname
  const isPlain = !/\*|\.$/.test(url.hostname) && /^(?:\/|(?:\/[\w.~-]+)+)$/.test(url.pathname)
  return text === written && isPlain && (url.protocol === 'https:' || (url.protocol === 'http:' && onThisComputer))
}, 'must be an https URL (or http on localhost), in lower case, without default port, query, fragment or trailing slash, its path of letters, digits and -._~')

/** 127.0.0.0/8, and a port that is one: of regular expressions, so that editors know them, too. */
const loopback4 = String.raw`127(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}`
const port = String.raw`(?:6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})`

type Tls = { tls: boolean; tls_certificate_file?: string | undefined; tls_key_file?: string | undefined }

/** What is said of https fits together. */
function agree({ tls, tls_certificate_file: cert, tls_key_file: key }: Tls, { addIssue }: z.core.$RefinementCtx): void {
  const named = cert === undefined ? 'tls_key_file' : 'tls_certificate_file'
  const wrong = (message: string) => addIssue({ code: 'custom', path: [named], message })
  if ((cert === undefined) !== (key === undefined))
    wrong('"listen.tls_certificate_file" and "listen.tls_key_file" go together: name both, or neither.')
  else if (cert !== undefined && !tls)
    wrong('"listen.tls_certificate_file" is for a listener that speaks https, and "listen.tls" is false. Remove one of them.')
}

const rate = (perSecond: number, burst: number, what: string) =>
  z
    .strictObject({
      rate: z.number().positive().default(perSecond).describe(`${what} A second, in the long run.`),
      burst: z.int().min(1).default(burst).describe('As many at once, after a pause.'),
    })
    .prefault({})

/** Where tailscaled has its socket: on Linux and the BSDs, from a snap, on a Synology, on gokrazy, on macOS. Only root can put anything there. */
export const tailscaledSockets = [
  '/var/run/tailscale/tailscaled.sock',
  '/var/snap/tailscale/common/socket/tailscaled.sock',
  '/var/packages/Tailscale/var/tailscaled.sock',
  '/perm/tailscaled/tailscaled.sock',
  '/var/run/tailscaled.socket',
] as const

/** How the command line of Tailscale is called for the tailscaled behind this socket. */
export const tailscaleOn = (socket: string): string => (socket === tailscaledSockets[0] ? 'tailscale' : `tailscale --socket=${socket}`)

type Folders = { state_directory: string; runtime_directory?: string | undefined }

/** Without a folder of its own the control socket is in the state directory, and there has to be room for it in its path. */
function socketFits({ state_directory, runtime_directory }: Folders, { addIssue }: z.core.$RefinementCtx): void {
  if (runtime_directory !== undefined || fitsSocket(controlSocketIn(state_directory))) return
  const message =
    'The path of "state_directory" is too long for a unix socket in it, which takes 107 bytes. Name a shorter folder for sockets in "runtime_directory", such as "/run/meshidp".'
  addIssue({ code: 'custom', path: ['state_directory'], message })
}

/** Every key says what it does: docs/configuration.md is made from this. */
export const configSchema = z
  .strictObject({
    $schema: z.string().optional().describe('For editors: where the JSON Schema of this file is.'),
    issuer: issuer
      .optional()
      .describe(
        'The issuer identifier (RFC 8414 §2): the URL that clients are given. https, or http on localhost; it may have a path. Without it: https, the name that this node has in the mesh at the first start, and `listen.port`.',
      ),
    state_directory: path.describe(
      'Where the database, the keys and the secrets are. Made with mode 0700 where it is missing; refused where others can enter it.',
    ),
    runtime_directory: socketFolder
      .optional()
      .describe('Where the control socket is; no two daemons may have the same one. Without it: `state_directory`.'),
    policy_file: path.describe('The policy file. See [policy.md](policy.md).'),
    policy_watch: z
      .boolean()
      .default(true)
      .describe('Whether the policy is loaded again when its file changes. Without it: `meshidp reload` or SIGHUP.'),
    secrets_directory: path
      .optional()
      .describe('Where the files are that `client_secret_file` of the policy names. Without it: `secrets` in `state_directory`.'),
    listen: z
      .strictObject({
        port: z.int().min(0).max(65535).default(443).describe('The port, for all but `identity: serve`.'),
        host: z
          .string()
          .regex(new RegExp(`^(?:localhost|::1|${loopback4})$`), {
            error: 'must be a loopback address, such as "127.0.0.1", for anywhere else a stranger could say who they are',
          })
          .optional()
          .describe(
            'A loopback address, only for `identity: userspace` and the development mesh, `127.0.0.1` without it. With `tun` the mesh addresses of this node are listened on.',
          ),
        socket: socketPath
          .optional()
          .describe(
            'Only for `identity: serve`: the unix socket that "tailscale serve" forwards to. Made with mode 0600. Without it: `http.sock` in `runtime_directory`.',
          ),
        socket_group: z
          .string()
          .regex(/^[A-Za-z_][A-Za-z0-9_-]{0,31}$|^\d{1,9}$/, { error: 'must be the name of a group of this machine, or its number' })
          .optional()
          .describe(
            'Only for `identity: serve`: a group that may connect to that socket too (mode 0660), where tailscaled runs neither as root nor as this user. Who is in it can say who they are.',
          ),
        tls: z
          .boolean()
          .default(true)
          .describe(
            'Whether https is spoken where the issuer is https. `false`: plain http, which is refused anywhere but on loopback; something else on this machine speaks https.',
          ),
        tls_certificate_file: path
          .optional()
          .describe(
            'PEM file of the certificate chain, read again when it changes. Without it the certificate is that of the mesh: tailscaled gets and renews it.',
          ),
        tls_key_file: path.optional().describe('PEM file of its private key, read again when it changes.'),
      })
      .superRefine(agree)
      .prefault({}),
    mesh: z
      .strictObject({
        socket: socketPath
          .optional()
          .describe(
            `The unix socket of tailscaled's LocalAPI. Without it, the first of these that is there at the start: ${tailscaledSockets.map((path) => `\`${path}\``).join(', ')}.`,
          ),
        identity: z
          .enum(['auto', 'tun', 'userspace', 'serve'])
          .default('auto')
          .describe(
            'Where the identity of a caller comes from. `auto`: `userspace` where tailscaled says that it has no TUN device, else `tun`. See [identity.md](identity.md).',
          ),
        allow_self: z
          .boolean()
          .default(false)
          .describe(
            "Whether callers on this very node count as its owner. Only for a person's own machine: any local process can be the caller.",
          ),
        whois_cache_ms: z
          .int()
          .min(0)
          .max(1000)
          .default(1000)
          .describe('Milliseconds for which an answer of whois may be used again; any word from the mesh forgets it at once.'),
      })
      .prefault({}),
    development: z
      .boolean()
      .default(false)
      .describe(
        'Callers are told apart by loopback addresses, as the development mesh has them. Refuses to listen on any other address, and an issuer that is not http.',
      ),
    sign_in: z
      .enum(['ambient', 'confirm'])
      .default('ambient')
      .describe(
        'Who signs in. `ambient`: whom the mesh names, without a word where the policy wants none. `confirm`: each browser is asked once whether that person sits before it, and remembers it in a cookie.',
      ),
    email_domains: z
      .array(
        z
          .string()
          .min(1)
          .regex(/^[^@*\s]*$/, { error: 'must be a domain, such as "example.com", without "@", and no pattern' }),
      )
      .default([])
      .describe('Domains of which a login is truly an e-mail address. Only for those there are the claims `email` and `email_verified`.'),
    browser_clients: z
      .array(origin)
      .default([])
      .describe('Origins whose pages may register software with the network identity of whoever looks at them (CORS on `/register`).'),
    lifetimes: z
      .strictObject({
        code: seconds.max(600).default(60).describe('An authorization code, in seconds, as are all lifetimes.'),
        access_token: seconds.max(86_400).default(300).describe('An access token, where no grant says `access_token_ttl`.'),
        id_token: seconds.max(86_400).default(3600).describe('An ID token.'),
        refresh_token_idle: longSeconds
          .default(30 * 86_400)
          .describe('A refresh token that is not used, where no grant says `refresh_token_ttl`.'),
        refresh_token: longSeconds.default(90 * 86_400).describe('An authorization with all its refresh tokens; no rotation extends it.'),
        refresh_grace: z
          .int()
          .min(0)
          .max(300)
          .default(30)
          .describe(
            'For so long after it was spent a refresh token still yields its one successor (RFC 9700 §4.14.2). 0: never, so two requests at once end the sign-in.',
          ),
        ticket: longSeconds.default(600).describe('A consent page that waits for an answer.'),
        browser: longSeconds
          .default(30 * 86_400)
          .describe('With `sign_in: confirm`: for how long a browser is not asked again who sits before it.'),
        removal_grace: longSeconds.default(86_400).describe('From "gone from the mesh" until the authorization ends for good.'),
        decisions: longSeconds.default(90 * 86_400).describe('How long decisions are kept.'),
      })
      .prefault({}),
    keys: z
      .strictObject({
        rotate_every: z
          .int()
          .min(0)
          .max(century)
          .default(90 * 86_400)
          .describe(
            'How often the keys that sign are replaced by new ones, in seconds; 0: never by itself. See [operations.md](operations.md#keys).',
          ),
        publish_ahead: seconds
          .max(30 * 86_400)
          .default(86_400)
          .describe(
            'For so long a new key is in `/jwks` before it signs, so that whoever keeps that document for a while knows it in time.',
          ),
      })
      .prefault({}),
    limits: z
      .strictObject({
        per_address: rate(100, 200, 'Requests that may write, from one mesh address, before it is known who asks.'),
        per_principal: rate(
          2,
          200,
          'The same for one person or tagged node, from all their addresses together: sign-ins, consents, registrations.',
        ),
        at_once: z
          .int()
          .min(1)
          .default(6)
          .describe(
            'Requests of one mesh address that are worked on at a time; its others wait for their turn. What `per_address` counts.',
          ),
        connecting: rate(100, 250, 'New connections from one mesh address, whatever they are for.'),
        in_progress: z
          .int()
          .min(2)
          .default(1000)
          .describe('Requests in progress, at most; with half of them sign-ins and registrations are refused (503), so that tokens go on.'),
        open_pages: z.int().min(1).default(50).describe('Pages of one person that wait for an answer; the oldest gives way to a new one.'),
        refresh_replays: z.int().min(0).default(20).describe('How often a spent refresh token may yield its successor within the grace.'),
        document_fetches: z
          .strictObject({
            principal: z
              .int()
              .min(0)
              .default(10)
              .describe(
                'Fetches of metadata documents a minute, for one person, node or workload; and as many of `jwks_uri`, for one client.',
              ),
            origin: z.int().min(0).default(30).describe('The same, for one origin.'),
            total: z.int().min(0).default(120).describe('The same, all together.'),
          })
          .prefault({}),
      })
      .prefault({}),
    spiffe: z
      .strictObject({
        trust_domains: z
          .record(
            z.string().regex(/^[a-z0-9._-]{1,255}$/, {
              error: 'must be the name of a SPIFFE trust domain, such as example.org, without spiffe://',
            }),
            z.union(
              [
                z.strictObject({ file: path }),
                z.strictObject({
                  https_web: z.url({ protocol: /^https$/, hostname: /./ }).refine((url) => !url.includes('@')), // SPIFFE Federation §5.2.1.1
                  ca_file: path.optional(),
                }),
              ],
              { error: 'must be { "file": "/path" }, or { "https_web": "https://…" } and, if need be, "ca_file"' },
            ),
          )
          .default({})
          .describe(
            'SPIFFE trust domains whose workloads are known here by their JWT-SVIDs, each with its trust bundle: `{ "file": "/path/bundle.json" }`, or `{ "https_web": "https://…" }`, the address of its bundle endpoint, with `ca_file` (PEM) where its certificate is of an authority of your own. See [client_authentication.md](client_authentication.md#spiffe).',
          ),
      })
      .prefault({}),
    metrics: z
      .strictObject({
        listen: z
          .string()
          .regex(new RegExp(`^(?:(?:${loopback4}|\\[::1\\]):${port}|/.+)$`), {
            error: 'must be a loopback address with a port, such as "127.0.0.1:9464", or the path of a unix socket',
          })
          .refine(fitsSocket, tooLong)
          .optional()
          .describe(
            'Where `/metrics` is served, for whoever can connect there: a loopback address with a port, or the path of a unix socket (mode 0600). With it there is no `/metrics` in the mesh.',
          ),
        tags: z
          .array(z.string().regex(/^tag:[^\s,"*]+$/, { error: 'must be a tag, such as "tag:prometheus", and no pattern' }))
          .default([])
          .describe(
            'Tags whose machines may read `/metrics` in the mesh, besides people whom the policy gives `admin` with `access: read`. Only without `metrics.listen`.',
          ),
      })
      .prefault({}),
    log_level: z
      .enum(['debug', 'info', 'warn', 'error', 'silent'])
      .default('info')
      .describe('What is logged. Refusals are `info`, failures of this server `error`. No level logs a secret.'),
  })
  .superRefine(socketFits)

type Output = z.output<typeof configSchema>

/** What is configured, with every default filled in but the issuer: where none is written, this node says it (`this_node`). */
export type Config = Output & {
  runtime_directory: string
  secrets_directory: string
  listen: Output['listen'] & { socket: string }
  mesh: Output['mesh'] & { socket: string }
}

/** The configuration of a daemon that knows who it is. */
export type LiveConfig = Config & { issuer: string }

export type ConfigInput = z.input<typeof configSchema>

/** The configuration file is unusable; the message says what and where. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  /** A line for each mistake in what was written; none where the fault lies elsewhere. */
  readonly problems: readonly string[]
  constructor(message: string, { problems = [], cause }: { problems?: readonly string[]; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.problems = problems
  }
}

export const configKeys: readonly Key[] = keysOf(configSchema)

/** A configuration, and where the value of each key comes from. */
export type Settled = { config: Config; originOf: (key: Key) => Origin }

/** What a file's text, the environment and the command line say → Config. Throws ConfigError with a line for each mistake. `name`: of the file. */
export function settle({ text, name, ...more }: { text?: string | undefined; name?: string } & Omit<Sources, 'file'>): Settled {
  const sources: Sources = { ...more, file: text === undefined ? undefined : fileOf(text, name ?? 'configuration') }
  const layers = layered(configKeys, sources)
  const found = checked(configSchema, layers, sources)
  if (!found.ok) throw unusable(found.lines)
  return { config: completed(found.value), originOf: ({ path }) => layers.originOf(path) }
}

function fileOf(text: string, name: string) {
  const read = readHujson(text)
  if (!read.ok) throw unusable(read.problems.map(({ line, column, message }) => `${name}:${line}:${column}: ${message}`))
  return { name, hujson: read.hujson }
}

const unusable = (problems: readonly string[]) =>
  new ConfigError(`The configuration cannot be used.\n  ${problems.join('\n  ')}`, { problems })

/** Text of a configuration file → Config. Throws ConfigError. */
export const parseConfig = (text: string): Config => settle({ text }).config

/** A value of any origin → Config, with every default filled in. Throws ConfigError. */
export function toConfig(value: unknown): Config {
  const found = checked(configSchema, { value, originOf: () => ({ from: 'default' }) }, {})
  if (!found.ok) throw unusable(found.lines)
  return completed(found.value)
}

/** With what follows from other keys, or from this machine. */
function completed(config: Output): Config {
  const runtime_directory = config.runtime_directory ?? config.state_directory
  return Object.freeze({
    ...config,
    runtime_directory,
    listen: { ...config.listen, socket: config.listen.socket ?? `${runtime_directory}/http.sock` },
    mesh: { ...config.mesh, socket: config.mesh.socket ?? tailscaledSockets.find((path) => existsSync(path)) ?? tailscaledSockets[0] },
    secrets_directory: config.secrets_directory ?? `${config.state_directory}/secrets`,
  })
}
