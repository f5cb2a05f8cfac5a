import { systemClock } from '../../daemon.ts'
import type { Principal } from '../../oauth/principal.ts'
import { type Change, callersOf, diff as compared, type Policy, principalFrom, whatMatters } from '../../policy/index.ts'
import { type Command, type Terminal, UsageError, type Values } from '../command.ts'
import { configOption } from '../config_file.ts'
import { inJson } from '../json.ts'
import { harmless, type Paint, paintFor } from '../paint.ts'
import { nothing, table } from '../table.ts'
import { shownDuration } from './explain_words.ts'
import { formatOf, formatOptions } from './format.ts'
import { counted } from './problems.ts'
import { compiled, readPolicyFile } from './read_file.ts'
import { type Asking, asking, policySource, type Source } from './source.ts'

type Seen = { label: string; principal: Principal }

/** Everybody whose identity the audit keeps, as they were last on each of their nodes. */
async function everybodySeen(asks: Asking): Promise<Seen[]> {
  const found = new Map<string, Principal>()
  type Kept = { digest: string; used_at: number; body: string }
  let before: Pick<Kept, 'digest' | 'used_at'> | null = null
  for (;;) {
    const { identities, more } = (await asks('identities.list', { before, limit: 500 })) as { identities: Kept[]; more: boolean }
    for (const { body } of identities) {
      const principal = principalFrom(body)
      const key = JSON.stringify([principal.kind === 'user' ? principal.user_id : '', principal.node.id])
      if (!found.has(key)) found.set(key, principal) // the most lately used comes first
    }
    const last = identities.at(-1)
    if (!more || !last) break
    before = { digest: last.digest, used_at: last.used_at }
  }
  const label = (principal: Principal) =>
    principal.kind === 'user' ? principal.login : `${principal.tags.join(' ')} (${principal.node.name})`
  return [...found.values()].map((principal) => ({ label: label(principal), principal }))
}

/** What the comparison cannot know, each a sentence. */
function unknowns(policies: readonly Policy[], withSeen: boolean): string[] {
  const matters = [...new Set(policies.flatMap(whatMatters))]
  return [
    ...(withSeen
      ? []
      : [
          'Compared are whom the files name, and one of each kind of people whom they do not; --seen adds everybody whom the daemon has seen.',
        ]),
    ...(matters.length > 0
      ? [
          `The policies also look at ${matters.join('; ')}. Of that only what the files name, and what was last seen, is compared, each by itself.`,
        ]
      : []),
    'Software that no file names counts as one. Grants that have an end are compared as they are today.',
  ]
}

const mostNames = 3

const shownWho = (who: readonly string[]): string =>
  who.length <= mostNames + 1 ? who.join(', ') : `${who.slice(0, mostNames).join(', ')} and ${who.length - mostNames} more`

const shownTerm = (name: string, value: unknown): string =>
  value === null ? 'as configured' : name.endsWith('_ttl') ? shownDuration(Number(value)) : String(value)

const shownTerms = ({ from, to }: Change): string =>
  Object.keys(to ?? {})
    .map((name) => `${name} ${shownTerm(name, from?.[name])} → ${shownTerm(name, to?.[name])}`)
    .join(', ')

const shownBy = ({ app, by }: Change): string => {
  if (by.length === 0) return nothing
  const names = by.map((name) => (name === 'autogroup:registered' ? 'software that no file names' : name))
  const listed = by[0] === '*' ? 'any software' : shownWho(names)
  return app === 'exchange' || app === 'claims' ? listed : `with ${listed}`
}

/** The changes as rows: what is lost first, for somebody may miss it. */
function inWords(changes: readonly Change[], columns: number | undefined, paint: Paint): string {
  const order = { lost: 0, gained: 1, changed: 2 }
  const rows = changes
    .toSorted((a, b) => order[a.kind] - order[b.kind] || (a.app < b.app ? -1 : Number(a.app > b.app)))
    .map((change) => [
      change.kind,
      shownWho(change.who),
      change.app,
      change.target || nothing,
      [change.items.join(' '), shownTerms(change)].filter(Boolean).join(': '),
      shownBy(change),
    ])
  const drawn = harmless(table(['', 'WHO', 'CAPABILITY', 'AT', 'WHAT', 'BY'], rows, columns))
  return drawn
    .replaceAll(/^lost\b/gm, paint('red', 'lost'))
    .replaceAll(/^gained\b/gm, paint('green', 'gained'))
    .replaceAll(/^changed\b/gm, paint('yellow', 'changed'))
}

async function sourcesOf(terminal: Terminal, values: Values, words: readonly string[]): Promise<[Source, Source]> {
  const [first, second, ...more] = words
  if (first === undefined || more.length > 0 || (first === '-' && second === '-'))
    throw new UsageError('Say: meshidp policy diff [OLD] NEW')
  const fromFile = async (name: string): Promise<Source> => {
    const file = await readPolicyFile(name)
    return { policy: compiled(file), name: file.name, since: null }
  }
  return second === undefined
    ? [await policySource(terminal, { ...values, file: undefined }), await fromFile(first)]
    : [await fromFile(first), await fromFile(second)]
}

export const diff: Command = {
  summary: 'who gains and loses what from one policy to another',
  usage: '[OLD] NEW',
  description: `Compares two policies in terms of people, not of lines: for everybody whom the files name, for one of each kind of people whom they
don't, and with --seen for everybody whom the daemon has seen, what they gain and lose, and what they keep on other terms. Without OLD
the policy in force is compared. It also says what it cannot know. The exit code is 0 where nothing changes for anybody, 1 where
something does, 2 where a file is not usable.

  meshidp policy diff policy.hujson                        what would change if this came into force
  git show HEAD:policy.hujson | meshidp policy diff - policy.hujson
  meshidp policy diff old.hujson new.hujson --json`,
  options: {
    seen: { type: 'boolean', help: 'compare everybody whom the daemon has seen, too' },
    config: configOption,
    ...formatOptions(),
  },
  async run(terminal, values, words) {
    const json = formatOf(values) === 'json'
    const [old, next] = await sourcesOf(terminal, values, words)
    const seen = values.seen ? await everybodySeen(asking(terminal, values)) : []
    const policies = [old.policy, next.policy]
    const callers = callersOf(policies, seen)
    const changes = compared(old.policy, next.policy, callers, systemClock())
    const cannot = unknowns(policies, values.seen === true)
    if (json) {
      const described = ({ name, policy }: Source) => ({ file: name, hash: policy.hash })
      const answer = { old: described(old), new: described(next), compared: callers.length, changes, cannot_know: cannot }
      terminal.write(inJson(answer))
      return changes.length === 0 ? 0 : 1
    }
    const paint = paintFor(terminal)
    terminal.write(
      changes.length === 0
        ? `Nobody gains or loses anything from ${harmless(old.name)} to ${harmless(next.name)}; ${counted(callers.length, 'caller')} compared.\n`
        : inWords(changes, terminal.columns, paint),
    )
    terminal.write(paint('dim', `\n${harmless(cannot.join('\n'))}`).concat('\n'))
    return changes.length === 0 ? 0 : 1
  },
}
