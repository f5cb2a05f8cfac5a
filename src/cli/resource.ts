import { readFileSync } from 'node:fs'
import type { Config } from '../config.ts'
import { allInWords, PolicyError } from '../load_policy.ts'
import { compile, didYouMean, evaluate, type Policy, type Resource } from '../policy/index.ts'
import { askAdmin } from './ask.ts'
import { type Command, type Terminal, UsageError } from './command.ts'
import { configOption, readConfig } from './config_file.ts'
import { inJson } from './json.ts'
import { record } from './record.ts'
import { snippets } from './resource_snippets.ts'
import { nothing, table } from './table.ts'

/** The policy of the file, whether a daemon has it in force or not. Throws PolicyError. */
function readPolicy({ policy_file }: Config): Policy {
  let text: string
  try {
    text = readFileSync(policy_file, 'utf8')
  } catch (cause) {
    throw new PolicyError(`The policy file cannot be read: ${(cause as Error).message}`, { cause })
  }
  const compiled = compile(text)
  if (!compiled.ok) throw new PolicyError(allInWords(policy_file, compiled.problems))
  return compiled.policy
}

function resourceOf({ resources }: Policy, name: string): Resource {
  const resource = resources.get(name) ?? resources.get(`resource:${name}`)
  if (resource) return resource
  const hint = didYouMean(name.startsWith('resource:') ? name : `resource:${name}`, resources.keys())()
  throw new UsageError(`The policy names no resource "${name}". ${hint ?? 'See: meshidp resource list'}`)
}

/** RFC 9728 §3.1: the well-known part stands before the path. */
function metadataUrl(uri: string): string {
  const { origin, pathname } = new URL(uri)
  return `${origin}/.well-known/oauth-protected-resource${pathname === '/' ? '' : pathname}`
}

/** The issuer where the configuration leaves it to the node. Throws Refused where no daemon says it. */
const issuerOfDaemon = async (config: Config, terminal: Terminal): Promise<string> =>
  String((await askAdmin(config, 'status', {}, terminal)).issuer)

/** All that a server of this resource has to know. */
function describe(issuer: string, policy: Policy, resource: Resource) {
  const { name, uri, title, description, scopes, token_format, check, signing_alg } = resource
  const servers = [...policy.clients.values()]
    .filter(({ client_id, name: client }) => {
      const asked = { app: 'introspect', principal: null, client: { client_id, name: client }, resource: name } as const
      return evaluate(policy, asked).allowed
    })
    .map(({ client_id }) => client_id)
  return {
    name,
    title,
    description,
    audience: uri,
    issuer,
    jwks: `${issuer}/jwks`,
    scopes: Object.fromEntries(scopes),
    token_format,
    signing_alg: token_format === 'jwt' ? signing_alg : null,
    check,
    may_introspect: servers,
    metadata_url: metadataUrl(uri),
    metadata: {
      resource: uri,
      authorization_servers: [issuer],
      scopes_supported: [...scopes.keys()],
      bearer_methods_supported: ['header'],
      resource_name: title,
    },
  }
}

type Description = ReturnType<typeof describe>

const snippetOf = (kind: string, { issuer, audience, title, scopes, check, signing_alg, may_introspect, name }: Description): string =>
  snippets.get(kind)?.({
    issuer,
    resource: audience,
    title,
    scope: Object.keys(scopes)[0] ?? '',
    check,
    signing_alg: signing_alg ?? 'ES256',
    client_id: may_introspect[0] ?? `client:${name.slice('resource:'.length)}-server`,
  }) ?? ''

/** Where nobody may look at the tokens of a resource whose servers must, that is the first thing to know. */
function missing({ name, check, may_introspect }: Description): string {
  if (check === 'local' || may_introspect.length > 0) return ''
  const client = `client:${name.slice('resource:'.length)}-server`
  return `
No client may look at its tokens yet, so its servers can check none. Add to the policy:

  "clients": { "${client}": { "client_secret_file": "${client.slice('client:'.length)}" } }
  "grants":  [{ "src": ["${client}"], "dst": ["${name}"], "app": { "introspect": [{}] } }]
`
}

function inWords(described: Description, kinds: readonly string[]): string {
  const { metadata, scopes, ...facts } = described
  const shown = { ...facts, scopes: Object.fromEntries(Object.entries(scopes).map(([scope, sentence]) => [scope, sentence ?? nothing])) }
  const document = `Serve this at ${described.metadata_url}, so that clients find their way here:\n\n${JSON.stringify(metadata, null, 2)}\n`
  const parts = kinds.map((kind) => `\n── ${kind} ${'─'.repeat(Math.max(0, 70 - kind.length))}\n${snippetOf(kind, described)}`)
  return `${record(shown)}${missing(described)}\n${document}${parts.join('')}`
}

const listed = ({ resources }: Policy): string =>
  resources.size === 0
    ? 'The policy names no resource.\n'
    : table(
        ['RESOURCE', 'NAME', 'AUDIENCE', 'TOKENS', 'CHECK', 'DEFAULT'],
        [...resources.values()].map((one) => [one.name, one.title, one.uri, one.token_format, one.check, one.default ? 'yes' : nothing]),
      )

export const resource: Command = {
  summary: 'what tokens are for: list, show (what a server of it needs)',
  usage: 'list | show NAME',
  description:
    'Reads the policy file. "show" says all that a server has to know to take tokens for its resource: audience, metadata document, how to check, and code to paste.',
  options: {
    config: configOption,
    for: { type: 'string', argument: 'KIND', help: `code for ${[...snippets.keys()].join(', ')} alone; default all of them` },
    json: { type: 'boolean', help: 'print the answer as JSON' },
  },
  async run(terminal, values, words) {
    const [sub, name, ...more] = words
    const kinds = values.for === undefined ? [...snippets.keys()] : [String(values.for)]
    if (!kinds.every((kind) => snippets.has(kind)))
      throw new UsageError(`--for takes ${[...snippets.keys()].join(', ')}, not "${values.for}".`)
    if (sub === 'list' && name === undefined) {
      const policy = readPolicy(readConfig(terminal, values))
      const all = [...policy.resources.values()].map(({ scopes, ...one }) => ({ ...one, scopes: Object.fromEntries(scopes) }))
      terminal.write(values.json ? inJson(all) : listed(policy))
      return 0
    }
    if (sub !== 'show' || name === undefined || more.length > 0)
      throw new UsageError('Say: meshidp resource list, or meshidp resource show NAME')
    const config = readConfig(terminal, values)
    const policy = readPolicy(config)
    const described = describe(config.issuer ?? (await issuerOfDaemon(config, terminal)), policy, resourceOf(policy, name))
    const code = Object.fromEntries(kinds.map((kind) => [kind, snippetOf(kind, described)]))
    terminal.write(values.json ? inJson({ ...described, snippets: code }) : inWords(described, kinds))
    return 0
  },
}
