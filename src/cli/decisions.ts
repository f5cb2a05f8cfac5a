/** `meshidp decisions tail` and `export`: the record as it grows, and all of it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { mostRows } from '../admin/actions.ts'
import type { Config } from '../config.ts'
import type { Decision } from '../store/decisions.ts'
import { askAdmin } from './ask.ts'
import type { Terminal, Values } from './command.ts'
import { jsonLine } from './json.ts'
import { harmless } from './paint.ts'
import { text } from './record.ts'
import { shownTime } from './table.ts'

/** What is asked, as the action `decisions.list` takes it. */
type Filter = Record<string, unknown>
type Found = { decisions: Decision[]; more: boolean }

/** How often is looked for new ones. */
const everyMs = 1000

const asked = async (terminal: Terminal, config: Config, filter: Filter) =>
  (await askAdmin(config, 'decisions.list', filter, terminal)) as unknown as Found

/** One decision as a line of JSON; what is JSON in the record is so here. */
const asJson = (decision: Decision): string =>
  jsonLine({
    ...decision,
    question: decision.question && JSON.parse(decision.question),
    detail: decision.detail && JSON.parse(decision.detail),
  })

/** One decision as a line for people. */
function asText({ id, last_at, outcome, count, entry, principal, client_id, sentence, granted }: Decision): string {
  const what = outcome === 'denied' ? sentence : granted
  const parts = [shownTime(last_at), count === 1 ? outcome : `${outcome} ×${count}`, entry, principal, client_id, what, id]
  return harmless(parts.map(text).join('  ').replaceAll('\n', ' '))
}

/** Prints the last `--limit` ones, then each that is made, until stopped; a denial that is repeated comes again, with its count. Resolves with the exit code. */
export async function tailDecisions(terminal: Terminal, config: Config, filter: Filter, values: Values): Promise<number> {
  const stop = new AbortController()
  void terminal.untilStopped().then(() => stop.abort())
  const line = values.json ? asJson : asText
  let seen = new Map<string, number>()
  let since = filter.since ?? 0
  for (let limit = Number(values.limit); !stop.signal.aborted; limit = mostRows) {
    const { decisions } = await asked(terminal, config, { ...filter, since, limit })
    for (const one of decisions.toReversed()) if (seen.get(one.id) !== one.count) terminal.write(`${line(one)}\n`)
    const newest = decisions[0]
    if (newest) {
      since = newest.last_at
      seen = new Map(decisions.filter(({ last_at }) => last_at === newest.last_at).map(({ id, count }) => [id, count]))
    }
    await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => undefined)
  }
  return 0
}

/** Prints all that match as JSON Lines, the newest first. Resolves with the exit code. */
export async function exportDecisions(terminal: Terminal, config: Config, filter: Filter): Promise<number> {
  for (let before: Pick<Decision, 'last_at' | 'id'> | null = null; ; ) {
    const { decisions, more }: Found = await asked(terminal, config, { ...filter, before, limit: mostRows })
    if (decisions.length > 0) terminal.write(`${decisions.map(asJson).join('\n')}\n`)
    const last = decisions.at(-1)
    if (!more || !last) return 0
    before = { last_at: last.last_at, id: last.id }
  }
}
