import { systemClock } from '../../daemon.ts'
import type { Principal } from '../../oauth/principal.ts'
import { type Asked, askedAgain, evaluate, type Policy, principalFrom, type Verdict } from '../../policy/index.ts'
import type { Decision } from '../../store/decisions.ts'
import type { Command, Terminal } from '../command.ts'
import { configOption } from '../config_file.ts'
import { inJson } from '../json.ts'
import { harmless, paintFor } from '../paint.ts'
import { sinceOf } from '../since.ts'
import { nothing, shownTime, table } from '../table.ts'
import { formatOf, formatOptions } from './format.ts'
import { counted } from './problems.ts'
import { compiled, readPolicyFile, wordsOf } from './read_file.ts'
import { type Asking, asking } from './source.ts'

/** The decisions since then, the newest first, a page at a time; each page with the identities that it names. */
async function* pages(asks: Asking, since: number): AsyncGenerator<{ decisions: Decision[]; identities: ReadonlyMap<string, Principal> }> {
  const identities = new Map<string, Principal>()
  for (let before: Pick<Decision, 'last_at' | 'id'> | null = null; ; ) {
    const { decisions, more } = (await asks('decisions.list', { since, before, limit: 1000 })) as { decisions: Decision[]; more: boolean }
    const digests = [...new Set(decisions.flatMap(({ identity }) => (identity === null || identities.has(identity) ? [] : identity)))]
    const { records } = digests.length === 0 ? { records: {} } : await asks('records.show', { digests })
    for (const [digest, body] of Object.entries(records as Record<string, string>)) identities.set(digest, principalFrom(body))
    yield { decisions, identities }
    const last = decisions.at(-1)
    if (!more || !last) return
    before = { last_at: last.last_at, id: last.id }
  }
}

/** Decisions that would come out otherwise, alike in who, what and how. `decision`: the last of them. */
type Change = {
  who: string
  entry: string
  what: string
  from: string
  to: string
  sentence: string | null
  times: number
  last_at: number
  decision: string
}

type Replayed = { decisions: number; times: number; changes: Change[]; others: number; lost: number; oldest: number | null }

const sorted = (scopes: string) => scopes.split(' ').filter(Boolean).sort().join(' ')
const outcomeOf = (allowed: boolean, scopes: string, reason: string | null) =>
  allowed ? `allowed${scopes === '' ? '' : `: ${scopes}`}` : `denied (${reason})`

const recordedOutcome = ({ outcome, granted, reason }: Decision) => outcomeOf(outcome === 'allowed', sorted(granted ?? ''), reason)
const outcomeNow = (verdict: Verdict) =>
  verdict.allowed ? outcomeOf(true, sorted(verdict.scopes.join(' ')), null) : outcomeOf(false, '', verdict.reason)

/** What was asked, less the scopes: "authorize resource:wiki with client:grafana". */
function whatOf(asked: Asked): string {
  const client = 'client' in asked ? asked.client : null
  const via = asked.app === 'register' ? `by ${asked.via}` : null
  const software = client && `with ${client.name ?? 'software that the policy does not name'}`
  const target = 'resource' in asked ? asked.resource : null
  return [asked.app, target, asked.app === 'admin' ? asked.access : null, via, software].filter(Boolean).join(' ')
}

/** Whoever is denied before and after is denied, whatever the reason. */
const differs = ({ outcome }: Decision, from: string, to: string) => from !== to && !(outcome === 'denied' && to.startsWith('denied'))

async function replayed(
  policy: Policy,
  asks: Asking,
  since: number,
  now: number,
  progress: (read: number, at: number) => void,
): Promise<Replayed> {
  const changes = new Map<string, Change>()
  const verdicts = new Map<string, { verdict: Verdict; what: string }>()
  const result = { decisions: 0, times: 0, others: 0, lost: 0, oldest: null as number | null }
  for await (const { decisions, identities } of pages(asks, since)) {
    for (const decision of decisions) {
      const { question, identity, resource, count, id, last_at, entry } = decision
      if (entry === 'policy_apply') continue // asked by an admin, and by nobody who wanted something
      result.decisions += 1
      result.times += count
      result.oldest = last_at
      const principal = identity === null ? null : identities.get(identity)
      if (question === null) result.others += 1
      else if (principal === undefined) result.lost += 1
      else {
        const key = JSON.stringify([question, identity, resource])
        let found = verdicts.get(key)
        if (!found) {
          const asked = askedAgain(policy, { question, resource, principal })
          found = { verdict: evaluate(policy, asked, now), what: whatOf(asked) }
          if (verdicts.size >= 10_000) verdicts.clear()
          verdicts.set(key, found)
        }
        const { verdict, what } = found
        const [from, to] = [recordedOutcome(decision), outcomeNow(verdict)]
        if (!differs(decision, from, to)) continue
        const who = decision.principal ?? decision.client_id ?? nothing
        const sentence = verdict.allowed ? null : [verdict.sentence, ...verdict.near].join(' ')
        const group = JSON.stringify([who, entry, what, from, to])
        const same = changes.get(group)
        if (same) same.times += count
        else changes.set(group, { who, entry, what, from, to, sentence, times: count, last_at, decision: id })
      }
    }
    const last = decisions.at(-1)
    if (last) progress(result.decisions, last.last_at)
  }
  return { ...result, changes: [...changes.values()] }
}

/** A line that is written over, on a terminal only. */
const progressOn = ({ interactive, writeError }: Terminal) => ({
  tell: (read: number, at: number) => interactive && writeError(`\r${read} decisions read, back to ${shownTime(at)} …`),
  end: () => interactive && writeError('\r\u001b[K'),
})

function summaryOf({ decisions, times, changes, others, lost }: Replayed, since: number): string[] {
  const changed = changes.reduce((sum, one) => sum + one.times, 0)
  return [
    `${counted(decisions, 'decision')} since ${shownTime(since)}, taken ${times} times; ${changed === 0 ? 'none' : changed} of these would come out otherwise.`,
    ...(others > 0 ? [`${counted(others, 'decision')} it was not the policy that took (somebody said no, a token came twice, …).`] : []),
    ...(lost > 0 ? [`Of ${counted(lost, 'decision')} the identity is not kept any more.`] : []),
    'They are asked again as of today, with the identities of then; a denial for another reason is no change.',
  ]
}

export const replay: Command = {
  summary: 'which decisions of the last days another policy would have taken otherwise',
  usage: 'NEW',
  description: `Asks the policy NEW what was asked of the daemon, with the identities as they were, and lists each decision that would come out
otherwise, those alike together: how often, who, what, and from which outcome to which. FILE - is standard input. The decisions come
from the daemon, or without one from its state. The exit code is 0 where nothing would change, 1 where something would, 2 where that
cannot be said.

  meshidp policy replay policy.hujson --since 7d
  meshidp policy explain DECISION_ID --file policy.hujson    why one of them would`,
  options: {
    since: { type: 'string', argument: 'WHEN', help: 'since 30m, 12h, 7d or 4w ago, or a date', default: '7d' },
    config: configOption,
    ...formatOptions(),
  },
  async run(terminal, values, words) {
    const json = formatOf(values) === 'json'
    const [name = ''] = wordsOf('policy replay', ['NEW'], words)
    const now = systemClock()
    const since = sinceOf(String(values.since), now)
    const file = await readPolicyFile(name)
    const policy = compiled(file)
    const progress = progressOn(terminal)
    const result = await replayed(policy, asking(terminal, values), since, now, progress.tell).finally(progress.end)
    const { changes } = result
    if (json) {
      terminal.write(inJson({ policy: { file: file.name, hash: policy.hash }, since, ...result }))
      return changes.length === 0 ? 0 : 1
    }
    if (changes.length > 0) {
      const rows = changes
        .toSorted((a, b) => Number(a.to.startsWith('allowed')) - Number(b.to.startsWith('allowed')) || b.times - a.times)
        .map(({ times, who, entry, what, from, to, decision, sentence }) => [
          `${times}`,
          who,
          what,
          entry,
          from,
          to,
          decision,
          sentence ?? nothing,
        ])
      terminal.write(
        `${harmless(table(['TIMES', 'WHO', 'WHAT', 'AT', 'WAS', 'WOULD BE', 'LAST DECISION', 'WHY'], rows, terminal.columns))}\n`,
      )
    }
    const [first = '', ...rest] = summaryOf(result, since)
    const paint = paintFor(terminal)
    terminal.write(`${paint(changes.length === 0 ? 'green' : 'yellow', first)}\n${rest.map((one) => `${paint('dim', one)}\n`).join('')}`)
    return changes.length === 0 ? 0 : 1
  },
}
