import { z } from 'zod'
import { systemClock } from '../../daemon.ts'
import type { Principal } from '../../oauth/principal.ts'
import {
  type Asked,
  alike,
  type Explanation,
  explain as explained,
  meshGrantFaults,
  type Policy,
  principalOf,
  questionOf,
  unknownFacts,
  type Wording,
  whatMatters,
} from '../../policy/index.ts'
import { type Command, UsageError, type Values } from '../command.ts'
import { configOption } from '../config_file.ts'
import { inJson } from '../json.ts'
import { harmless, paintFor } from '../paint.ts'
import { record } from '../record.ts'
import { shownTime } from '../table.ts'
import { explainDecision } from './explain_decision.ts'
import { answerInWords, facts, heading } from './explain_words.ts'
import { formatOf, formatOptions } from './format.ts'
import { asking, fileOption, lastSeen, policySource, type Seen } from './source.ts'

const apps = ['authorize', 'register', 'exchange', 'client_credentials', 'introspect', 'funnel', 'claims', 'admin'] as const

/** A list on the command line: with commas or spaces. */
const listOf = (text: unknown): string[] =>
  String(text)
    .split(/[\s,]+/)
    .filter(Boolean)

type Given = NonNullable<Wording['given']>

function yesOrNo(text: string): boolean {
  if (text !== 'yes' && text !== 'no') throw new UsageError(`--given key_expiry is yes or no, not "${text}".`)
  return text === 'yes'
}

function capsOf(text: string): NonNullable<Given['caps']> {
  try {
    return z.record(z.string(), z.array(z.unknown())).parse(JSON.parse(text))
  } catch (cause) {
    throw new UsageError('--given caps is JSON: the name of the capability, and the list of its entries, as in a test of the policy.', {
      cause,
    })
  }
}

/** What may be said of the caller, and how it is read. */
const readers: Record<string, (text: string) => Given> = {
  groups: (text) => ({ groups: listOf(text).map((name) => (name.startsWith('group:') ? name : `group:${name}`)) }),
  tags: (text) => ({ tags: listOf(text) }),
  os: (text) => ({ os: text }),
  os_version: (text) => ({ os_version: text }),
  attributes: (text) => ({ attributes: listOf(text) }),
  key_expiry: (text) => ({ key_expiry: yesOrNo(text) }),
  address: (text) => ({ address: text }),
  caps: (text) => ({ caps: capsOf(text) }),
}

function givenOf(values: Values): Given {
  const given: Given = {}
  for (const fact of (values.given as string[] | undefined) ?? []) {
    const [, name = '', text = ''] = /^([^=]*)=(.*)$/s.exec(fact) ?? []
    const read = Object.hasOwn(readers, name) ? readers[name] : undefined
    if (!read) throw new UsageError(`--given takes NAME=VALUE, where NAME is ${Object.keys(readers).join(', ')}; not "${fact}".`)
    Object.assign(given, read(text))
  }
  return given
}

/** The question of the command line, in the words of the policy's tests. */
function wordingOf(values: Values, words: readonly string[]): Wording {
  const [app, dst, ...more] = words
  const known = apps.find((one) => one === app)
  const src = values.as as string | undefined
  if (!known || more.length > 0 || src === undefined)
    throw new UsageError(`Say: meshidp policy explain --as WHO ${apps.join('|')} [TARGET], or meshidp policy explain DECISION_ID`)
  const text = (name: string) => (values[name] === undefined ? {} : { [name]: String(values[name]) })
  return {
    src,
    app: known,
    ...(dst !== undefined && { dst }),
    ...text('client'),
    ...text('actor'),
    ...text('from'),
    ...(values.with !== undefined && { with: listOf(values.with) }),
    ...(values['redirect-uris'] !== undefined && { redirect_uris: listOf(values['redirect-uris']) }),
    given: givenOf(values),
  }
}

/** Who asks: as they were last seen, with what the command line says of them instead; else what it says alone. */
function callerOf(wording: Wording, seen: Seen | null): Principal | null {
  const made = principalOf(wording.src, wording)
  const { address, ...given } = wording.given ?? {}
  if (!made) return null
  const base = seen && seen.principal.kind === made.kind ? seen.principal : made
  const nodeFacts = {
    ...(given.os !== undefined && { os: given.os }),
    ...(given.os_version !== undefined && { os_version: given.os_version }),
    ...(given.attributes && { attributes: given.attributes }),
    ...(given.key_expiry !== undefined && { key_expiry: made.node.key_expiry }),
  }
  const common = {
    node: { ...base.node, ...nodeFacts },
    address: address ?? base.address,
    capabilities: given.caps ? made.capabilities : base.capabilities,
  }
  if (base.kind === 'node') return { ...base, ...common, ...(given.tags && made.kind === 'node' && { tags: made.tags }) }
  return { ...base, ...common, ...(given.groups && { groups: given.groups }) }
}

/** Where the client is the one that asks, so that there is one question and no other software to tell it from. */
const asksForItself: ReadonlySet<Asked['app']> = new Set(['introspect', 'client_credentials', 'exchange', 'funnel'])

/** Every question that the words stand for, in full, with what tells it from the others. */
function questionsOf(policy: Policy, wording: Wording, caller: Principal | null, values: Values): { asked: Asked; label: string | null }[] {
  const question = questionOf(policy, wording, caller)
  const [unknown] = unknownFacts(policy, wording).map(([, message]) => message)
  const fault = 'fault' in question ? question.fault : unknown
  if ('fault' in question || fault !== undefined)
    throw new UsageError(
      String(fault).replaceAll('this file', 'the policy').replace('"dst"', 'TARGET').replace('"redirect_uris"', '--redirect-uris'),
    )
  const { items, ask } = question
  const first = ask(items[0] ?? '')
  const labelOf = (asked: Asked, item: string): string | null => {
    if (item !== '*' && !('scopes' in asked)) return item
    if (!('client' in asked) || asksForItself.has(asked.app) || !asked.client) return null
    return asked.client.name ?? 'software that the policy does not name'
  }
  if (!first.some((asked) => 'scopes' in asked))
    return items.flatMap((item) => ask(item).map((asked) => ({ asked, label: labelOf(asked, item) })))

  const wanted = values.scopes === undefined ? null : listOf(values.scopes)
  const stranger = wanted?.find((scope) => !items.includes(scope))
  if (stranger !== undefined) throw new UsageError(`"${wording.app}" knows no scope "${stranger}" here. It knows ${items.join(', ')}.`)
  const own = policy.resources.get(wording.dst ?? '')
  const scopes = wanted ?? (own ? [...own.scopes.keys()] : items)
  return first.map((asked) => ({ asked: { ...asked, scopes } as Asked, label: labelOf(asked, '') }))
}

const withoutCaller = ({ asked: { principal: _, ...asked }, ...rest }: Explanation) => ({ asked, ...rest })

/** A client or a workload asks for itself: whois tells nothing of it. */
const isSoftware = ({ src }: Wording): boolean => /^(client|spiffe):/.test(src)

/** What is not known of the caller, though the policy looks at it. */
function unknownOf(policy: Policy, wording: Wording, seen: Seen | null): string | null {
  if (seen) return null
  const matters = whatMatters(policy)
  if (matters.length === 0 || isSoftware(wording)) return null
  return `Of ${wording.src} nothing is known here but what --given says. The policy also looks at ${matters.join('; ')}: what is unknown matches nothing.`
}

export const explain: Command = {
  summary: 'what somebody may do, by which grant, or what is missing; or why a decision came out so',
  usage: '--as WHO CAPABILITY [TARGET] | DECISION_ID',
  description: `Asks the one engine that decides, and tells the answer in words: each scope with the grant that gives it and where that stands, the
limits and the scope that they come from; of a denial the reason, and what would turn it. CAPABILITY and the rest are the words of the
policy's tests. Without --client every software is asked, and those with like answers stand together.

The policy is the one in force, and of WHO is taken what whois said when they were last seen; --given says otherwise. With --file no
daemon is asked, unless --config names one. The exit code is 0 where all is allowed with some software, 1 where it is not, 2 where
that cannot be said.

With the id of a decision: what the policy of then said to whom it was then, and what today's policy says. The exit code is 0.

  meshidp policy explain --as alice@example.com authorize resource:wiki
  meshidp policy explain --as bob@example.com authorize resource:wiki --scopes wiki:read --client client:editor
  meshidp policy explain --as bob@example.com register --given groups=group:eng --given os=linux --file policy.hujson
  meshidp policy explain --as alice@example.com exchange resource:wiki --actor client:gateway --from resource:gateway --with tools:call
  meshidp policy explain 01JD3Y5Q9W0000ABCDEFGHJKMN`,
  options: {
    as: { type: 'string', argument: 'WHO', help: 'a login name, a tag, or what asks for itself: a client, a SPIFFE ID' },
    client: { type: 'string', argument: 'CLIENT', help: 'with this software: "client:…" or "autogroup:registered"; default any' },
    scopes: { type: 'string', argument: 'LIST', help: 'these scopes; default all of the target' },
    actor: { type: 'string', argument: 'WHO', help: 'exchange: who acts, a client, a tag or a SPIFFE ID' },
    from: { type: 'string', argument: 'RESOURCE', help: 'exchange: what the token in its hands is for; of an ID token the client' },
    with: { type: 'string', argument: 'LIST', help: 'exchange: the scopes of that token' },
    'redirect-uris': { type: 'string', argument: 'LIST', help: 'register: hosts that answers go to; without it they are no hindrance' },
    given: {
      type: 'string',
      multiple: true,
      argument: 'NAME=VALUE',
      help: `a fact: ${Object.keys(readers).join(', ')}; may be there several times`,
    },
    file: fileOption,
    config: configOption,
    ...formatOptions(),
  },
  async run(terminal, values, words) {
    const json = formatOf(values) === 'json'
    if (values.as === undefined && words.length === 1 && /^[0-9A-Z]{26}$/i.test(words[0] ?? ''))
      return explainDecision(terminal, values, (words[0] ?? '').toUpperCase(), json)
    const wording = wordingOf(values, words)
    const { policy, name, since } = await policySource(terminal, values)
    const asksDaemon = values.file === undefined || values.config !== undefined
    const seen = asksDaemon && !isSoftware(wording) ? await lastSeen(asking(terminal, values), wording.src) : null
    const caller = callerOf(wording, seen)
    const questions = questionsOf(policy, wording, caller, values)
    const labels = new Map<Asked, string | null>(questions.map(({ asked, label }) => [asked, label]))
    const groups = alike(questions.map(({ asked }) => explained(policy, asked, systemClock())))
    const well = groups.some(([one]) => one.verdict.allowed && one.verdict.dropped.length === 0)
    const unknown = unknownOf(policy, wording, seen)
    const without_effect = meshGrantFaults(policy, caller)?.faults ?? []
    if (json) {
      const answers = groups.map((group) => ({ for: group.map(({ asked }) => labels.get(asked)), ...withoutCaller(group[0]) }))
      const identity = caller && { ...caller, capabilities: Object.fromEntries(caller.capabilities), seen_at: seen?.at ?? null }
      terminal.write(
        inJson({
          policy: { file: name, hash: policy.hash, since },
          identity,
          unknown,
          mesh_grants_without_effect: without_effect,
          answers,
        }),
      )
      return well ? 0 : 1
    }
    const paint = paintFor(terminal)
    const head = {
      question: [wording.src, wording.app, wording.dst].filter(Boolean).join(' '),
      policy: `${name}, ${policy.hash.slice(0, 12)}${since === null ? '' : `, in force since ${shownTime(since)}`}`,
      ...(caller && { 'known of them': seen ? `what whois said, last kept at ${shownTime(seen.at)}` : 'what the command line says' }),
      ...(caller && facts(policy, caller)),
    }
    terminal.write(harmless(record(head)))
    for (const said of [...(unknown === null ? [] : [unknown]), ...without_effect]) terminal.write(`\n${harmless(said)}\n`)
    for (const group of groups) {
      const shown = group.flatMap(({ asked }) => labels.get(asked) ?? [])
      if (shown[0] !== undefined && 'client' in group[0].asked) shown[0] = `with ${shown[0]}`
      terminal.write(`\n${heading(group[0], shown, paint)}${answerInWords(group[0], name, terminal.columns)}`)
    }
    return well ? 0 : 1
  },
}
