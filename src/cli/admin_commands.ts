/** The commands that ask the daemon: a subcommand is an action, what follows are its arguments, and a shape in which people read the answer. */
import { OAuthError } from '../oauth/error.ts'
import { ask, Refused } from './ask.ts'
import { type Command, UsageError, type Values } from './command.ts'
import { configOption, readConfig } from './config_file.ts'
import { shownTime, table } from './table.ts'

type Answer = Record<string, unknown>
type Row = Record<string, unknown>
type Subcommand = {
  action: string
  /** Names of the words that follow. */
  words: readonly string[]
  /** Names of the options that become input. */
  options?: readonly string[]
  shown: (answer: Answer) => string
}

const text = (value: unknown) => (value === null || value === undefined || value === '' ? '–' : String(value))

const record = (answer: Answer): string => {
  const width = Math.max(...Object.keys(answer).map((key) => key.length))
  return Object.entries(answer)
    .map(
      ([key, value]) =>
        `${key.padEnd(width)}  ${/_at$|^at$|_since$|_until$/.test(key) ? shownTime(value) : typeof value === 'object' && value !== null ? JSON.stringify(value) : text(value)}\n`,
    )
    .join('')
}

const rowsOf = (answer: Answer, key: string) => answer[key] as Row[]

const clients: Record<string, Subcommand> = {
  list: {
    action: 'clients.list',
    words: [],
    shown: (answer) =>
      table(
        ['CLIENT', 'NAME', 'KIND', 'BY', 'LAST USED'],
        rowsOf(answer, 'clients').map((client) => [
          text(client.client_id),
          text((client.metadata as Row).client_name),
          text(client.kind),
          text(client.owner_name),
          shownTime(client.used_at),
        ]),
      ),
  },
  show: { action: 'clients.show', words: ['client_id'], shown: record },
  revoke: {
    action: 'clients.revoke',
    words: ['client_id'],
    shown: ({ revoked }) => `${revoked} is gone, and every token that it was given is dead.\n`,
  },
}

const authorizations: Record<string, Subcommand> = {
  list: {
    action: 'authorizations.list',
    words: [],
    options: ['client_id', 'login'],
    shown: (answer) =>
      table(
        ['AUTHORIZATION', 'PERSON', 'CLIENT', 'RESOURCE', 'SCOPES', 'SINCE'],
        rowsOf(answer, 'authorizations').map((one) => [
          text(one.id),
          text(one.login),
          text(one.client_id),
          text(one.resource),
          text(one.scopes),
          shownTime(one.created_at),
        ]),
      ),
  },
  revoke: {
    action: 'authorizations.revoke',
    words: ['id'],
    shown: ({ revoked }) => `Authorization ${revoked} has ended, and every token that came from it is dead.\n`,
  },
}

const decisions: Record<string, Subcommand> = {
  list: {
    action: 'decisions.list',
    words: [],
    options: ['outcome', 'client_id', 'principal'],
    shown: (answer) =>
      table(
        ['DECISION', 'WHEN', 'TIMES', 'OUTCOME', 'AT', 'WHO', 'CLIENT', 'WHY OR WHAT'],
        rowsOf(answer, 'decisions').map((one) => [
          text(one.id),
          shownTime(one.last_at),
          text(one.count),
          text(one.outcome),
          text(one.entry),
          text(one.principal),
          text(one.client_id),
          text(one.outcome === 'denied' ? one.sentence : one.granted),
        ]),
      ),
  },
  show: { action: 'decisions.show', words: ['id'], shown: record },
}

const filters = {
  client_id: { type: 'string', argument: 'ID', help: 'only of this client' },
  login: { type: 'string', argument: 'LOGIN', help: 'only of this person' },
  principal: { type: 'string', argument: 'NAME', help: 'only of this person or node' },
  outcome: { type: 'string', argument: 'WORD', help: 'only "allowed" or only "denied"' },
} as const

/** A command of such subcommands; '' is the one without a name. */
function adminCommand(summary: string, description: string, subcommands: Record<string, Subcommand>): Command {
  const usage = Object.entries(subcommands)
    .map(([name, { words }]) => [name, ...words.map((word) => word.toUpperCase())].join(' '))
    .join(' | ')
  const wanted = new Set(Object.values(subcommands).flatMap(({ options = [] }) => options))
  return {
    summary,
    usage,
    description,
    options: {
      config: configOption,
      json: { type: 'boolean', help: 'print the answer as JSON' },
      ...Object.fromEntries(Object.entries(filters).filter(([name]) => wanted.has(name))),
    },
    async run(terminal, values, words) {
      const named = subcommands[''] ? '' : (words[0] ?? '')
      const subcommand = Object.hasOwn(subcommands, named) ? subcommands[named] : undefined
      const given = named === '' ? words : words.slice(1)
      if (!subcommand || given.length !== subcommand.words.length) throw new UsageError(`Say: ${usage || 'nothing more'}`)
      const answer = await ask(
        readConfig(terminal, values),
        subcommand.action,
        inputOf(subcommand, given, values),
        terminal.env.CREDENTIALS_DIRECTORY,
      ).catch((error: Error) => {
        throw error instanceof OAuthError ? new Refused(error.message) : error
      })
      terminal.write(values.json ? `${JSON.stringify(answer, null, 2)}\n` : subcommand.shown(answer))
      return answer.ok === false ? 1 : 0
    },
  }
}

const inputOf = ({ words, options = [] }: Subcommand, given: readonly string[], values: Values) => ({
  ...Object.fromEntries(words.map((word, at) => [word, given[at]])),
  ...Object.fromEntries(options.filter((option) => values[option] !== undefined).map((option) => [option, values[option]])),
})

export const adminCommands: [string, Command][] = [
  [
    'clients',
    adminCommand(
      'registered software: list, show, revoke',
      'Software that registered itself or came by a metadata document. To revoke a client ends all its authorizations.',
      clients,
    ),
  ],
  [
    'authorizations',
    adminCommand(
      'what people allowed: list, revoke',
      'Every code and token descends from an authorization; revoke it, and all of them are dead.',
      authorizations,
    ),
  ],
  [
    'decisions',
    adminCommand(
      'what was decided, and why: list, show',
      'Each decision with its reason; "show" adds the policy and the identity as they were then.',
      decisions,
    ),
  ],
  [
    'reload',
    adminCommand(
      'load the policy file again',
      'Loads the policy file again. If it is not usable, the last good one stays, the reason is printed, and the exit code is 1.',
      {
        '': {
          action: 'reload',
          words: [],
          shown: ({ ok, hash, problem }) =>
            ok ? `Policy ${hash} is in force.\n` : `The last good policy (${hash}) stays in force:\n${problem}\n`,
        },
      },
    ),
  ],
  [
    'status',
    adminCommand('how the daemon is', 'Issuer, mesh and policy of the running daemon.', {
      '': { action: 'status', words: [], shown: record },
    }),
  ],
]
