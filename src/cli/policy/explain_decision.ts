/** `meshidp policy explain DECISION_ID`: what the policy of then said to whom it was then, and what today's says. */
import { systemClock } from '../../daemon.ts'
import { askedAgain, compile, type Explanation, explain, type Policy, principalFrom } from '../../policy/index.ts'
import type { Decision } from '../../store/decisions.ts'
import { type Terminal, Unusable, type Values } from '../command.ts'
import { inJson } from '../json.ts'
import { harmless, paintFor } from '../paint.ts'
import { record } from '../record.ts'
import { shownTime } from '../table.ts'
import { answerInWords, facts, heading } from './explain_words.ts'
import { type Asking, asking, lastSeen, policySource, type Source } from './source.ts'

type Shown = Omit<Decision, 'question' | 'detail'> & {
  question: object | null
  detail: object | null
  records: { policy: string | null; identity: object | null }
}

/** One way to ask it again. */
type Answer = { title: string; policy: Policy; file: string; explanation: Explanation }

/** Today's policy, if one can be had: without a daemon, and without --file, there is none in force. */
const today = (terminal: Terminal, values: Values): Promise<Source | null> =>
  policySource(terminal, values).catch((error: Error) => {
    if (error instanceof Unusable && values.file === undefined) return null
    throw error
  })

async function answersOf(terminal: Terminal, values: Values, asks: Asking, decision: Shown): Promise<Answer[]> {
  const { question, records, resource, principal: name, at, last_at } = decision
  if (question === null) return []
  const then = records.identity && principalFrom(JSON.stringify(records.identity))
  const recorded = { question: JSON.stringify(question), resource, principal: then }
  const answers: Answer[] = []
  const add = (title: string, policy: Policy, file: string, who: typeof then, now: number) =>
    answers.push({ title, policy, file, explanation: explain(policy, askedAgain(policy, { ...recorded, principal: who }), now) })

  const old = records.policy === null ? null : compile(records.policy)
  if (old?.ok)
    add('The policy of then', old.policy, `policy ${old.policy.hash.slice(0, 12)}`, then, decision.outcome === 'denied' ? at : last_at)
  const source = await today(terminal, values)
  if (!source) return answers
  const title = source.since === null ? `The policy in ${source.name}` : 'The policy of today'
  add(`${title}, to who it was then`, source.policy, source.name, then, systemClock())
  const seen = name === null ? null : await lastSeen(asks, name)
  const same = seen && then && JSON.stringify(facts(source.policy, seen.principal)) === JSON.stringify(facts(source.policy, then))
  if (seen && !same) add(`${title}, to who it is now`, source.policy, source.name, seen.principal, systemClock())
  return answers
}

/** Prints it, and resolves with 0: whatever was decided, it is explained. Throws Unusable. */
export async function explainDecision(terminal: Terminal, values: Values, id: string, json: boolean): Promise<number> {
  const asks = asking(terminal, values)
  const decision = (await asks('decisions.show', { id })) as unknown as Shown
  const answers = await answersOf(terminal, values, asks, decision)
  const { records: _, ...shown } = decision
  if (json) {
    const all = answers.map(({ title, policy, explanation: { asked, ...rest } }) => ({
      title,
      policy: policy.hash,
      principal: asked.principal,
      ...rest,
    }))
    terminal.write(inJson({ decision: shown, answers: all }))
    return 0
  }
  const paint = paintFor(terminal)
  const { outcome, entry, count, reason, sentence, granted, principal, client_id, resource, scopes } = decision
  terminal.write(
    harmless(
      record({
        decision: id,
        when: `${shownTime(decision.last_at)}${count > 1 ? `, ${count} times since ${shownTime(decision.at)}` : ''}`,
        who: principal,
        entry,
        client: client_id,
        resource,
        scopes,
        outcome: outcome === 'allowed' ? `allowed${granted ? `: ${granted}` : ''}` : `denied (${reason})`,
        ...(sentence !== null && { sentence }),
      }),
    ),
  )
  if (decision.question === null) terminal.write('\nIt was not the policy that decided this, so there is nothing to ask it again.\n')
  else if (decision.records.policy === null) terminal.write('\nThe policy of then is not kept any more.\n')
  for (const { title, policy, file, explanation } of answers) {
    const who = explanation.asked.principal
    terminal.write(`\n${paint('bold', harmless(title))} (${policy.hash.slice(0, 12)})\n`)
    if (who) terminal.write(harmless(record(facts(policy, who)).replaceAll(/^(?=.)/gm, '  ')))
    terminal.write(`${heading(explanation, [], paint)}${answerInWords(explanation, file, terminal.columns)}`)
  }
  return 0
}
