/** How it stands with the policy, in words. */
import type { PolicySource, PolicyState } from '../deps.ts'
import { momentInWords } from './duration.ts'

/** What brought a policy. */
export const sourceInWords: Readonly<Record<PolicySource, string>> = {
  start: 'at the start of the daemon',
  SIGHUP: 'after SIGHUP',
  reload: 'by "meshidp reload"',
  watch: 'when its file changed',
  apply: 'by "meshidp policy apply"',
}

/** One sentence, for a line of status; with the position of the first fault, and nothing else of what stands in the file. */
export function policyInWords({ hash, source, loaded_at, problem }: PolicyState): string {
  const short = hash.slice(0, 12)
  if (problem === null) return `Policy ${short} is in force, loaded ${momentInWords(loaded_at)} ${sourceInWords[source]}.`
  const where = problem.place ? ` (line ${problem.place.line}, column ${problem.place.column})` : ''
  return `Policy ${short} stays in force: what was found in its file ${momentInWords(problem.since)} ${sourceInWords[problem.source]} is not usable${where}.`
}
