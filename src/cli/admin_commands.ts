/** The commands that ask the daemon: a subcommand is an action, what follows are its arguments, and a shape in which people read the answer. */
import { mostRows } from '../admin/actions.ts'
import type { PolicyState } from '../deps.ts'
import { sourceInWords } from '../http/policy_state.ts'
import { OAuthError } from '../oauth/error.ts'
import { ask, Refused } from './ask.ts'
import { type Command, UsageError, type Values } from './command.ts'
import { configOption, readConfig } from './config_file.ts'
import { record, text } from './record.ts'
import { shownTime, table } from './table.ts'

type Answer = Record<string, unknown>
type Row = Record<string, unknown>
type Subcommand = {
  action: string
  /** Names of the words that follow. */
  words: readonly string[]
  /** Names of the options that become input. */
  options?: readonly (keyof typeof inputs)[]
  /** For people; `columns`: how wide, where that matters. */
  shown: (answer: Answer, columns: number | undefined) => string
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

const decisions: Record<string, Subcommand> = {
  list: {
    action: 'decisions.list',
    words: [],
    options: ['outcome', 'client', 'principal', 'limit'],
    shown: (answer, width) => listed(answer.decisions as Row[], decisionColumns, answer, width, 'No such decision was made.'),
  },
  show: { action: 'decisions.show', words: ['id'], shown: record },
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

const status: Record<string, Subcommand> = {
  '': {
    action: 'status',
    words: [],
    shown({ ready, issuer, listening, mesh, policy }) {
      const { health } = mesh as { health: string[] }
      const { file, hash, source, loaded_at, problem } = policy as PolicyState
      return record({
        ready: ready ? 'yes' : 'no',
        issuer,
        listening,
        mesh: meshInWords(mesh as Row),
        ...(health.length > 0 && { health: health.join('\n') }),
        policy: `${file}, ${hash}, loaded ${shownTime(loaded_at)} ${sourceInWords[source]}`,
        ...(problem && {
          problem: `The file was found not usable ${shownTime(problem.since)} ${sourceInWords[problem.source]}, so the last good policy stays in force.\n${problem.message}`,
        }),
      })
    },
  },
}

/** Options that become input: under which name, and how they are written. */
const inputs = {
  client: { input: 'client_id', type: 'string', argument: 'ID', help: 'only of this client' },
  login: { input: 'login', type: 'string', argument: 'LOGIN', help: 'only of this person' },
  principal: { input: 'principal', type: 'string', argument: 'NAME', help: 'only of this person or node' },
  outcome: { input: 'outcome', type: 'string', argument: 'WORD', help: 'only "allowed" or only "denied"' },
  limit: { input: 'limit', type: 'string', argument: 'N', help: `so many at the most, up to ${mostRows}`, default: '100' },
} as const

function limitOf(value: string): number {
  const limit = Number(value)
  if (!Number.isInteger(limit) || limit < 1 || limit > mostRows)
    throw new UsageError(`--limit must be a number from 1 to ${mostRows}, not ${value}.`)
  return limit
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
      const sub = subcommands[''] ? '' : (words[0] ?? '')
      const subcommand = Object.hasOwn(subcommands, sub) ? subcommands[sub] : undefined
      if (!subcommand) throw new UsageError(`Say which: meshidp ${name} ${usage}`)
      const given = sub === '' ? words : words.slice(1)
      if (given.length !== subcommand.words.length) throw new UsageError(`Say: meshidp ${name} ${usages.get(sub)}`)
      const input = inputOf(subcommand, given, values)
      const config = readConfig(terminal, values)
      const answer = await ask(config, subcommand.action, input, terminal.env.CREDENTIALS_DIRECTORY).catch((error: Error) => {
        throw error instanceof OAuthError ? new Refused(error.message) : error
      })
      terminal.write(values.json ? `${JSON.stringify(answer, null, 2)}\n` : subcommand.shown(answer, terminal.columns))
      return answer.ok === false || answer.ready === false ? 1 : 0
    },
  }
  return [name, command]
}

const inputOf = ({ words, options = [] }: Subcommand, given: readonly string[], values: Values) =>
  Object.fromEntries([
    ...words.map((word, at) => [word, given[at]]),
    ...options
      .filter((option) => values[option] !== undefined)
      .map((option) => [inputs[option].input, option === 'limit' ? limitOf(String(values[option])) : values[option]]),
  ])

export const adminCommands: [string, Command][] = [
  adminCommand(
    'clients',
    'registered software: list, show, revoke',
    'Software that registered itself or came by a metadata document. To revoke a client ends all its authorizations.',
    clients,
  ),
  adminCommand(
    'authorizations',
    'what people allowed: list, revoke',
    'Every code and token descends from an authorization; revoke it, and all of them are dead.',
    authorizations,
  ),
  adminCommand(
    'decisions',
    'what was decided, and why: list, show',
    'Each decision with its reason; "show" adds the policy and the identity as they were then.',
    decisions,
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
