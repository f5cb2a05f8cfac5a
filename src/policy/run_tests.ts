/** The document's own tests, each asked of the one engine. A policy that fails them is not to be loaded. */

import { didYouMean } from '../hujson/nearest.ts'
import type { Problem } from '../hujson/problem.ts'
import { type Hujson, type Path, type Place, readHujson } from '../hujson/read.ts'
import { mostProblems, newReport } from '../hujson/report.ts'
import { policyDocument, type TestEntry } from './document.ts'
import { evaluate } from './evaluate.ts'
import type { Policy } from './policy.ts'
import { namesOf, questionOf, unknownFacts } from './question.ts'
import { registered } from './selector.ts'
import type { Allowed, Denied, Verdict } from './verdict.ts'

/** One expectation of a test, with what came out: "accept wiki:read" is given by grant 5, or is denied, each in words. */
export type Expectation = { expected: 'accept' | 'deny'; item: string; got: string; holds: boolean } & Place

/** What came of one entry of `tests`, which stands at this place. `problems`: why it fails; none where all that it expects holds. */
export type TestResult = { about: string; expectations: Expectation[]; problems: Problem[] } & Place

/** Runs every entry of `tests`, as if no grant had expired: a policy that loads today also loads tomorrow. */
export function testResults(policy: Policy): TestResult[] {
  const read = readHujson(policy.text)
  const parsed = read.ok ? policyDocument.safeParse(read.hujson.value) : null
  if (!read.ok || !parsed?.success) return [] // never so: this text was compiled
  return (parsed.data.tests ?? []).map((entry, index) => resultOf(policy, read.hujson, entry, ['tests', index]))
}

/** A problem, with its place, for each expectation that does not come true and for each test that asks nothing; none where all hold. */
export const runTests = (policy: Policy): Problem[] =>
  testResults(policy)
    .flatMap(({ problems }) => problems)
    .slice(0, mostProblems)

function resultOf(policy: Policy, hujson: Hujson, entry: TestEntry, path: Path): TestResult {
  const report = newReport(hujson)
  const expectations: Expectation[] = []
  const result = { about: aboutOf(entry), ...hujson.place(path), expectations, problems: report.problems as Problem[] }
  const question = questionOf(policy, entry)
  if ('fault' in question) {
    const written = entry[question.at]
    const hint = written === undefined ? undefined : didYouMean(written, [...policy.resources.keys(), ...namesOf(policy), registered])
    report.error([...path, question.at], question.fault, { hint })
    return result
  }
  for (const [place, message] of unknownFacts(policy, entry)) report.error([...path, ...place], message)
  if (!entry.accept && !entry.deny) report.error(path, 'This test expects nothing; it needs "accept" or "deny".')
  for (const expected of ['accept', 'deny'] as const) {
    for (const [i, item] of (entry[expected] ?? []).entries()) {
      const place = [...path, expected, i]
      if (item !== '*' && !question.items.includes(item)) {
        report.error(place, `"${entry.app}" knows no "${item}" here. It knows ${[...new Set(['*', ...question.items])].join(', ')}.`, {
          hint: didYouMean(item, question.items),
        })
        continue
      }
      const asked = (item === '*' ? question.items : [item]).flatMap(question.ask)
      const verdicts = asked.map((one) => evaluate(policy, one, 0))
      const given = verdicts.find((verdict) => verdict.allowed)
      const holds = (expected === 'accept') === (given !== undefined)
      if (!holds) report.error(place, failure(entry, expected, item, given, verdicts))
      expectations.push({ expected, item, ...hujson.place(place), holds, got: outcome(given, verdicts) })
    }
  }
  return result
}

/** What a test asks, in one line. */
const aboutOf = ({ src, app, dst, client, actor, from, with: held }: TestEntry): string =>
  [`${src} ${app}`, dst, client && `with ${client}`, actor && `by ${actor}`, from && `from ${from}${held ? ` (${held.join(' ')})` : ''}`]
    .filter(Boolean)
    .join(' ')

/** What was expected, what came out, and what would have made the difference. */
function failure(
  { src, app, dst }: TestEntry,
  expected: 'accept' | 'deny',
  item: string,
  given: Verdict | undefined,
  all: Verdict[],
): string {
  const about = `${src} was to be ${expected === 'accept' ? 'given' : 'denied'} ${item === '*' ? `"${app}"` : `"${item}" by "${app}"`}${dst ? ` at ${dst}` : ''}`
  return given?.allowed ? `${about}, and ${giversOf(given)} gives it.` : `${about}, and is not. ${whyNot(all)}`
}

const outcome = (given: Verdict | undefined, all: readonly Verdict[]): string =>
  given?.allowed ? `given, by ${giversOf(given)}` : `denied. ${whyNot(all)}`

function giversOf({ grants, mesh_grants }: Allowed): string {
  const counted = (indexes: readonly number[]) => indexes.map((index) => index + 1).join(', ')
  const named = [
    grants.length > 0 && `grant ${counted(grants)}`,
    mesh_grants.length > 0 && `entry ${counted(mesh_grants)} of the tailnet policy`,
  ]
  return named.filter(Boolean).join(' and ')
}

/** The refusal with a near miss, where one has any: that is the one to learn from. */
function whyNot(all: readonly Verdict[]): string {
  const refusals = all.filter((verdict): verdict is Denied => !verdict.allowed)
  const closest = refusals.find(({ near }) => near.length > 0) ?? refusals[0]
  return closest ? [closest.sentence, ...closest.near].join(' ') : ''
}
