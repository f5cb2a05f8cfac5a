/** The commands that ask the daemon: a subcommand is an action, what follows are its arguments, and a shape in which people read the answer. */
import { readFileSync } from 'node:fs'
import { mostRows } from '../admin/actions.ts'
import type { Ended, Traced } from '../admin/trace.ts'
import type { TrustBundles } from '../clients/trust_bundles.ts'
import type { Config } from '../config.ts'
import { systemClock } from '../daemon.ts'
import type { PolicyState } from '../deps.ts'
import { certificateInWords } from '../http/certificate_state.ts'
import { sourceInWords } from '../http/policy_state.ts'
import type { CertificateState } from '../tls/held.ts'
import { askAdmin } from './ask.ts'
import { type Command, type Terminal, Unusable, UsageError, type Values } from './command.ts'
import { configOption, readConfig } from './config_file.ts'
import { exportDecisions, tailDecisions } from './decisions.ts'
import { inJson } from './json.ts'
import { harmless } from './paint.ts'
import { record, text } from './record.ts'
import { sinceOf } from './since.ts'
import { shownTime, table } from './table.ts'
import { endedAsText, traceAsMermaid, traceAsText } from './trace.ts'

type Answer = Record<string, unknown>
type Row = Record<string, unknown>
type Subcommand = {
  action: string
  /** Names of the words that follow. */
  words: readonly string[]
  /** From such a word to what the action takes, where that is not the word itself. */
  read?: Readonly<Record<string, (word: string) => object>>
  /** Names of the options that become input. */
  options?: readonly (keyof typeof inputs)[]
  /** Those of them that must be there. */
  required?: readonly 'for'[]
  /** Where one question and one answer are not enough. Resolves with the exit code. */
  run?: (terminal: Terminal, config: Config, input: Record<string, unknown>, values: Values) => Promise<number>
  /** For people; `columns`: how wide, where that matters. */
  shown: (answer: Answer, columns: number | undefined, values: Values) => string
}

type Columns = Readonly<Record<string, (row: Row) => unknown>>

/** The rows of a list as a table, or `none`; and a word where there are more of them. */
function listed(rows: Row[], columns: Columns, { more }: Answer, width: number | undefined, none: string): string {
  if (rows.length === 0) return `${none}\n`
  const cells = rows.map((row) => Object.values(columns).map((cell) => text(cell(row))))
  const note = more ? `\nThere are more than these ${rows.length}. See more with --limit N, or ask more closely.\n` : ''
  return table(Object.keys(columns), cells, width) + note
}

const clientColumns: Columns = {
  CLIENT: (client) => client.client_id,
  NAME: (client) => `${text((client.metadata as Row).client_name)}${client.earlier ? ` (again, no. ${Number(client.earlier) + 1})` : ''}`,
  KIND: (client) => client.kind,
  BY: (client) => client.owner_name,
  'LAST USED': (client) => shownTime(client.used_at),
}

const clients: Record<string, Subcommand> = {
  list: {
    action: 'clients.list',
    words: [],
    options: ['limit'],
    shown: (answer, width) => listed(answer.clients as Row[], clientColumns, answer, width, 'No software has registered.'),
  },
  show: { action: 'clients.show', words: ['client_id'], shown: record },
  revoke: {
    action: 'clients.revoke',
    words: ['client_id'],
    shown: ({ revoked }) => `${revoked} is gone, and every token that it was given is dead.\n`,
  },
}

const tokenColumns: Columns = {
  TOKEN: (token) => token.id,
  FOR: (token) => token.issued_for,
  USED: (token) => `${token.used} of ${token.uses}`,
  UNTIL: (token) => shownTime(token.expires_at),
  STATE: (token) => token.state,
}

const tokens: Record<string, Subcommand> = {
  trace: {
    action: 'tokens.trace',
    words: ['id'],
    options: ['format'],
    shown: ({ tree, more }, _, { format }) =>
      format === 'mermaid' ? traceAsMermaid(tree as Traced) : traceAsText(tree as Traced, more === true),
  },
  revoke: {
    action: 'tokens.revoke',
    words: ['id'],
    options: ['preview'],
    shown: ({ revoked, ended, preview }) => endedAsText(String(revoked), ended as Ended[], preview === true),
  },
  'initial create': {
    action: 'tokens.initial.create',
    words: [],
    options: ['for', 'uses', 'expires'],
    required: ['for'],
    shown: ({ token, id, issued_for, uses, expires_at }) =>
      `${token}\n\nInitial access token ${id}, for ${issued_for === '*' ? 'whomever the policy lets' : issued_for}: ${uses === 1 ? 'once' : `${uses} times`}, until ${shownTime(expires_at)}.\nIt is not shown again. Software sends it when it registers: Authorization: Bearer TOKEN.\n`,
  },
  'initial list': {
    action: 'tokens.initial.list',
    words: [],
    options: ['limit'],
    shown: (answer, width) => listed(answer.tokens as Row[], tokenColumns, answer, width, 'There is no initial access token.'),
  },
  'initial revoke': {
    action: 'tokens.initial.revoke',
    words: ['id'],
    shown: ({ revoked }) => `Initial access token ${revoked} registers nothing any more. What it registered stays: meshidp clients list\n`,
  },
}

const authorizationColumns: Columns = {
  AUTHORIZATION: (one) => one.id,
  SINCE: (one) => shownTime(one.created_at),
  PERSON: (one) => one.login,
  CLIENT: (one) => one.client_id,
  RESOURCE: (one) => one.resource,
  SCOPES: (one) => one.scopes,
}

const authorizations: Record<string, Subcommand> = {
  list: {
    action: 'authorizations.list',
    words: [],
    options: ['client', 'login', 'limit'],
    shown: (answer, width) =>
      listed(answer.authorizations as Row[], authorizationColumns, answer, width, 'There is no authorization that lives.'),
  },
  revoke: {
    action: 'authorizations.revoke',
    words: ['id'],
    shown: ({ revoked }) => `Authorization ${revoked} has ended, and every token that came from it is dead.\n`,
  },
}

const decisionColumns: Columns = {
  DECISION: (one) => one.id,
  WHEN: (one) => shownTime(one.last_at),
  OUTCOME: ({ outcome, count }) => (count === 1 ? outcome : `${outcome} ×${count}`),
  AT: (one) => one.entry,
  WHO: (one) => one.principal,
  CLIENT: (one) => one.client_id,
  'WHY OR WHAT': (one) => (one.outcome === 'denied' ? one.sentence : one.granted),
}

const asksForDecisions: Subcommand = {
  action: 'decisions.list',
  words: [],
  options: ['outcome', 'client', 'principal', 'entry', 'reason', 'since', 'limit'],
  shown: (answer, width) => listed(answer.decisions as Row[], decisionColumns, answer, width, 'No such decision was made.'),
}

const decisions: Record<string, Subcommand> = {
  list: asksForDecisions,
  query: asksForDecisions,
  tail: { ...asksForDecisions, run: tailDecisions },
  export: { ...asksForDecisions, run: exportDecisions },
  show: { action: 'decisions.show', words: ['id'], shown: record },
}

const keyColumns: Columns = {
  KEY: (key) => key.kid,
  FOR: (key) => (key.kid === 'succession' ? 'refresh tokens' : `${key.alg} tokens`),
  STATE: (key) => key.state,
  'SIGNS FROM': (key) => (key.signs_from === 0 ? 'the beginning' : shownTime(key.signs_from)),
  UNTIL: (key) => shownTime(key.signs_until),
  'PUBLISHED UNTIL': (key) => shownTime(key.published_until),
}

const keyTable = (answer: Answer, width: number | undefined) => listed(answer.keys as Row[], keyColumns, answer, width, '')

const keys: Record<string, Subcommand> = {
  list: { action: 'keys.list', words: [], shown: keyTable },
  rotate: { action: 'keys.rotate', words: [], options: ['now'], shown: keyTable },
  import: { action: 'keys.import', words: ['file'], options: ['now'], read: { file: fileText }, shown: keyTable },
  retire: {
    action: 'keys.retire',
    words: ['kid'],
    shown: (answer, width) =>
      `Key ${answer.retired} is gone: what it signed is worthless here from now on, and elsewhere as soon as /jwks is fetched again.\n\n${keyTable(answer, width)}`,
  },
}

const reload: Record<string, Subcommand> = {
  '': {
    action: 'reload',
    words: [],
    shown: ({ ok, hash, problem }) =>
      ok ? `Policy ${hash} is in force.\n` : `The last good policy (${hash}) stays in force:\n${problem}\n`,
  },
}

/** The mesh in a sentence. */
const meshInWords = ({ running, state, name, addresses, tailnet, strategy }: Row): string =>
  running ? `${text(name)} (${text(addresses)}) of tailnet ${text(tailnet)}; identity by ${text(strategy)}` : `dark: ${text(state)}`

/** The certificate; where something is wrong, what, and what to do. */
const certificateShown = (state: CertificateState): string =>
  `${certificateInWords(state, systemClock()).replace('Certificate ', '')}${state.problem ? `\n${state.problem.remedy}` : ''}`

const status: Record<string, Subcommand> = {
  '': {
    action: 'status',
    words: [],
    shown({ ready, issuer, listening, unheard, troubles, ailments, certificate, mesh, policy, trust_bundles }) {
      const { health } = mesh as { health: string[] }
      const { file, hash, source, loaded_at, problem } = policy as PolicyState
      return record({
        ready: ready ? 'yes' : 'no',
        issuer,
        listening,
        ...(unheard !== null && { unheard }),
        ...((troubles as string[]).length > 0 && { trouble: (troubles as string[]).join('\n') }),
        ...((ailments as string[]).length > 0 && { doctor: `${text(ailments)}: run "meshidp doctor".` }),
        ...(certificate !== null && { certificate: certificateShown(certificate as CertificateState) }),
        mesh: meshInWords(mesh as Row),
        ...(health.length > 0 && { health: health.join('\n') }),
        policy: `${file}, ${hash}, loaded ${shownTime(loaded_at)} ${sourceInWords[source]}`,
        ...(problem && {
          problem: `The file was found not usable ${shownTime(problem.since)} ${sourceInWords[problem.source]}, so the last good policy stays in force.\n${problem.message}`,
        }),
        ...bundlesInWords(trust_bundles as ReturnType<TrustBundles['list']>),
      })
    },
  },
}

/** How it stands with the keys of each SPIFFE trust domain; nothing where there is none. */
function bundlesInWords(bundles: ReturnType<TrustBundles['list']>): Record<string, string> {
  const lines = bundles.map(({ trust_domain, read_at, sequence, problem }) =>
    [
      trust_domain,
      read_at === null ? 'never read' : `read ${shownTime(read_at)}${sequence === null ? '' : `, sequence ${sequence}`}`,
      ...(problem === null ? [] : [problem]),
    ].join(': '),
  )
  return lines.length > 0 ? { 'trust bundles': lines.join('\n') } : {}
}

/** Options that become input: under which name (null: they only say how the answer is shown), and how they are written. */
const inputs = {
  client: { input: 'client_id', type: 'string', argument: 'ID', help: 'only of this client' },
  login: { input: 'login', type: 'string', argument: 'LOGIN', help: 'only of this person' },
  principal: { input: 'principal', type: 'string', argument: 'NAME', help: 'only of this person or node' },
  entry: { input: 'entry', type: 'string', argument: 'WORD', help: 'only where it was asked: "authorize", "refresh_token", "register", …' },
  reason: { input: 'reason', type: 'string', argument: 'WORD', help: 'only denied for that: "no_grant", "scope", "reuse", …' },
  since: {
    input: 'since',
    type: 'string',
    argument: 'WHEN',
    help: 'only since 30m, 12h, 7d or 4w ago, or a date',
    read: (value: string) => sinceOf(value, systemClock()),
  },
  outcome: { input: 'outcome', type: 'string', argument: 'WORD', help: 'only "allowed" or only "denied"' },
  limit: {
    input: 'limit',
    type: 'string',
    argument: 'N',
    help: `so many at the most, up to ${mostRows}`,
    default: '100',
    read: numberUpTo(mostRows),
  },
  for: {
    input: 'issued_for',
    type: 'string',
    argument: 'WHO',
    help: 'whose it is: a login name, a tag, or "*" for whomever the policy lets',
  },
  uses: { input: 'uses', type: 'string', argument: 'N', help: 'how often it may be used', default: '1', read: numberUpTo(1000) },
  format: {
    input: null,
    type: 'string',
    argument: 'FORM',
    help: '"text", "json" or "mermaid"',
    default: 'text',
    read: oneOf('text', 'json', 'mermaid'),
  },
  preview: { input: 'preview', type: 'boolean', help: 'only say what would end' },
  now: { input: 'now', type: 'boolean', help: 'the new key signs at once' },
  expires: { input: 'lifetime', type: 'string', argument: 'TIME', help: 'how long it is good: 12h, 30d', default: '7d', read: lifetime },
} as const

/** From what was written to what the action takes; `option`: its name, for sentences. */
type Read = (value: string, option: string) => unknown

function oneOf(...words: readonly string[]): Read {
  return (value, option) => {
    if (!words.includes(value)) throw new UsageError(`--${option} must be ${words.join(' or ')}, not ${value}.`)
    return value
  }
}

function numberUpTo(most: number): Read {
  return (value, option) => {
    const number = Number(value)
    if (!Number.isInteger(number) || number < 1 || number > most)
      throw new UsageError(`--${option} must be a number from 1 to ${most}, not ${value}.`)
    return number
  }
}

/** The file that a word names. Throws Unusable. */
function fileText(path: string): { text: string } {
  try {
    return { text: readFileSync(path, 'utf8') }
  } catch (cause) {
    throw new Unusable(`${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
}

/** "90s", "15m", "12h", "30d" → seconds. */
function lifetime(value: string, option: string): number {
  const [, count, unit = ''] = /^([1-9]\d{0,3})([smhd])$/.exec(value) ?? []
  const seconds = Number(count) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? Number.NaN)
  if (!(seconds <= 366 * 86_400))
    throw new UsageError(`--${option} must be a time such as 90s, 15m, 12h or 30d, of a year at the most, not ${value}.`)
  return seconds
}

/** A command of such subcommands; '' is the one without a name. */
function adminCommand(name: string, summary: string, description: string, subcommands: Record<string, Subcommand>): [string, Command] {
  const usages = new Map(
    Object.entries(subcommands).map(([sub, { words }]) => [sub, [sub, ...words.map((word) => word.toUpperCase())].join(' ')]),
  )
  const usage = [...usages.values()].join(' | ') || undefined
  const wanted = new Set<string>(Object.values(subcommands).flatMap(({ options = [] }) => options))
  const command: Command = {
    summary,
    ...(usage !== undefined && { usage }),
    description,
    options: {
      config: configOption,
      json: { type: 'boolean', help: 'print the answer as JSON' },
      ...Object.fromEntries(Object.entries(inputs).filter(([option]) => wanted.has(option))),
    },
    async run(terminal, values, words) {
      const found = Object.entries(subcommands).find(([sub]) => wordsOf(sub).every((word, at) => words[at] === word))
      if (!found) throw new UsageError(`Say which: meshidp ${name} ${usage}`)
      const [sub, subcommand] = found
      const given = words.slice(wordsOf(sub).length)
      if (given.length !== subcommand.words.length) throw new UsageError(`Say: meshidp ${name} ${usages.get(sub)}`)
      const input = inputOf(subcommand, given, values)
      const config = readConfig(terminal, values)
      if (subcommand.run) return subcommand.run(terminal, config, input, values)
      const answer = await askAdmin(config, subcommand.action, input, terminal)
      terminal.write(
        values.json || values.format === 'json' ? inJson(answer) : harmless(subcommand.shown(answer, terminal.columns, values)),
      )
      return answer.ok === false || answer.ready === false ? 1 : 0
    },
  }
  return [name, command]
}

/** The words of a subcommand's name; none of the one without. */
const wordsOf = (sub: string): string[] => sub.split(' ').filter((word) => word !== '')

function inputOf({ words, read = {}, options = [], required = [] }: Subcommand, given: readonly string[], values: Values) {
  for (const option of required)
    if (values[option] === undefined) throw new UsageError(`Say --${option} ${inputs[option].argument}: ${inputs[option].help}.`)
  return Object.fromEntries([
    ...words.flatMap((word, at) => (read[word] ? Object.entries(read[word](String(given[at]))) : [[word, given[at]]])),
    ...options
      .filter((option) => values[option] !== undefined)
      .map((option) => {
        const { input, read } = inputs[option] as { input: string | null; read?: Read }
        const value = read ? read(String(values[option]), option) : values[option]
        return [input, value] as const
      })
      .filter(([input]) => input !== null),
  ])
}

export const adminCommands: [string, Command][] = [
  adminCommand(
    'clients',
    'registered software: list, show, revoke',
    'Software that registered itself or came by a metadata document. To revoke a client ends all its authorizations.',
    clients,
  ),
  adminCommand(
    'tokens',
    'trace, revoke; initial access tokens',
    `"trace" tells what came of a sign-in, or of what a workload got: who acts for whom at which server, by which decisions, until when, and what of it is
alive now. ID is an authorization, or the "jti" of an access token. "revoke" ends that, and all that was exchanged from it.

An initial access token lets whoever it is for register software where the policy wants one ("via": ["initial_access_token"], RFC 7591 §3).`,
    tokens,
  ),
  adminCommand(
    'authorizations',
    'what people allowed: list, revoke',
    `Every code and token descends from an authorization; revoke it, and all of them are dead. "list" is of what people allowed; what a workload got for
itself is listed with --client or --login, and what was exchanged stands in "meshidp tokens trace".`,
    authorizations,
  ),
  adminCommand(
    'decisions',
    'what was decided, and why: query, tail, export, show',
    `Each decision with its reason, the newest first. "query" (or "list") asks the record; "tail" prints the last ones (--limit) and then each that is made, until it is
stopped; "export" prints all that match as JSON Lines; "show" adds the policy and the identity as they were then. Decisions are kept for
lifetimes.decisions (90 days by default). The same denial on one day is one decision, with a count.

  meshidp decisions query --principal alice@example.com --outcome denied --since 1d
  meshidp decisions tail --entry register
  meshidp decisions export --since 2026-01-01 > decisions.jsonl`,
    decisions,
  ),
  adminCommand(
    'keys',
    'the keys that sign: list, rotate, import, retire',
    `A key is in /jwks before it signs, and stays there until the last token that it signed is dead. "rotate" makes a new one for each algorithm, which signs
after keys.publish_ahead (a day by default); so does "import", with a private key from FILE (a JWK, or PEM). "retire" is for a key that was stolen: it is gone at once,
and with it every token that it signed; refresh tokens go on. To retire "succession" ends all refresh tokens: everybody signs in anew.`,
    keys,
  ),
  adminCommand(
    'reload',
    'load the policy file again',
    'Loads the policy file again. If it is not usable, the last good one stays, the reason is printed, and the exit code is 1.',
    reload,
  ),
  adminCommand(
    'status',
    'how the daemon is',
    'Issuer, mesh and policy of the running daemon. The exit code is 1 where it cannot do its work: the mesh is dark, or the policy file is not usable.',
    status,
  ),
]
