import type { Loss, Losses } from '../../admin/no_longer_given.ts'
import type { Problem } from '../../policy/index.ts'
import { askAdmin, Refused } from '../ask.ts'
import type { Command, Terminal } from '../command.ts'
import { configOption, readConfig } from '../config_file.ts'
import { inJson } from '../json.ts'
import { harmless, paintFor } from '../paint.ts'
import { nothing, table } from '../table.ts'
import { formatOf, formatOptions } from './format.ts'
import { counted, shownProblems } from './problems.ts'
import { type PolicyFile, readPolicyFile, wordsOf } from './read_file.ts'

type Good = { ok: true; dry_run: boolean; file: string; hash: string; was: string; warnings: readonly Problem[]; authorizations?: Losses }
type Answer = Good | { ok: false; file: string; hash: string; problem: string; problems: readonly Problem[] }

/** To look at a hundred thousand authorizations, and to end as many, takes minutes. */
const patience = 30 * 60_000

export const apply: Command = {
  summary: 'give the daemon a policy: it is checked, put in the place of the policy file, and in force',
  usage: 'FILE',
  description: `Sends FILE to the daemon (FILE - is standard input), which compiles it, runs its tests, looks for the secrets that it names, writes it in
the place of its policy file, whole or not at all, and puts it into force. Where it is not usable nothing changes, and the problems are
shown as by "policy check". What stood in the policy file before is overwritten. Where the daemon may not write its policy file, it says
so and what to do. The exit code is 0 where the policy is in force, 1 where not, 2 where FILE cannot be read.

--revoke also ends the authorizations that the policy would not give, after it has shown them and asked. Those of which it still gives
some scopes stay, without the others. Each is judged with what was last recorded of its person; a refresh asks the mesh anew.

  meshidp policy apply --dry-run policy.hujson             whether it would be done
  meshidp policy apply --dry-run --revoke policy.hujson    and whose access would end`,
  options: {
    config: configOption,
    'dry-run': { type: 'boolean', help: 'change nothing; find out all that could be in the way' },
    revoke: { type: 'boolean', help: 'end the authorizations that the policy would not give' },
    yes: { type: 'boolean', help: 'do not ask' },
    ...formatOptions(),
  },
  async run(terminal, values, words) {
    const json = formatOf(values) === 'json'
    const [name = ''] = wordsOf('policy apply', ['FILE'], words)
    const file = await readPolicyFile(name)
    const config = readConfig(terminal, values)
    const [dryRun, revoke] = [values['dry-run'] === true, values.revoke === true]
    const send = (dry_run: boolean) => askAdmin(config, 'policy.apply', { ...file, dry_run, revoke }, terminal, patience) as Promise<Answer>

    if (!revoke || dryRun || values.yes === true) return shown(terminal, file, await send(dryRun), { json })
    const preview = await send(true)
    const end = preview.ok ? (preview.authorizations?.end ?? 0) : 0
    if (!preview.ok) return shown(terminal, file, preview, { json })
    if (end > 0) {
      if (!json) terminal.write(lossesInWords(terminal, preview, true))
      const question = `Put policy ${preview.hash.slice(0, 12)} into force, and end ${counted(end, 'authorization')}? [y/N] `
      if (!terminal.question)
        throw new Refused(`Nothing was changed. ${counted(end, 'authorization')} would end; to do that without a question say --yes.`)
      if (!/^y(?:es)?$/i.test((await terminal.question(question)).trim())) {
        terminal.writeError('Nothing was changed.\n')
        return 1
      }
    }
    return shown(terminal, file, await send(false), { json, seen: end > 0 })
  },
}

/** `seen`: the losses were shown before. */
function shown(terminal: Terminal, file: PolicyFile, answer: Answer, { json, seen = false }: { json: boolean; seen?: boolean }): number {
  if (json) terminal.write(inJson(answer))
  else if (answer.ok) {
    const { dry_run, hash, was, warnings, authorizations } = answer
    if (warnings.length > 0) terminal.write(`${shownProblems(terminal, file, warnings)}\n`)
    if (!seen) terminal.write(lossesInWords(terminal, answer, dry_run))
    const done = dry_run ? 'could be put into force; nothing was changed' : hash === was ? 'was in force already' : 'is in force'
    terminal.write(`Policy ${hash} ${done}.\n`)
    if (authorizations && !dry_run) terminal.write(`${counted(authorizations.end, 'authorization')} ended.\n`)
  } else {
    const problems = answer.problems.length > 0 ? shownProblems(terminal, file, answer.problems) : `${answer.problem}\n`
    terminal.writeError(`${problems}\n${paintFor(terminal)('red', `Nothing was changed: policy ${answer.hash} stays in force.`)}\n`)
  }
  return answer.ok ? 0 : 1
}

const fate = ({ keeps }: Loss, would: boolean) => (keeps === null ? 'unknown' : keeps !== '' ? 'stays' : would ? 'would end' : 'ended')

/** Who loses what, and how that is known. `would`: it is a preview. */
function lossesInWords(terminal: Terminal, { authorizations }: Good, would: boolean): string {
  if (!authorizations) return ''
  const { living, end, narrow, unknown, losses, more } = authorizations
  const rows = losses.map((loss) => [fate(loss, would), loss.login, loss.client_id, loss.resource ?? '', loss.loses, loss.keeps ?? ''])
  const drawn = table(
    ['', 'PERSON', 'CLIENT', 'RESOURCE', 'LOSES', 'KEEPS'],
    rows.map((row) => row.map((cell) => harmless(cell) || nothing)),
    terminal.columns,
  )
  const parts = [
    `${end} ${would ? 'would end' : 'ended'}`,
    ...(narrow > 0 ? [`${narrow} ${narrow === 1 ? 'loses' : 'lose'} only some scopes and ${narrow === 1 ? 'stays' : 'stay'}`] : []),
    ...(unknown > 0
      ? [`${unknown} cannot be judged, since no decision on record says who the person is, and ${unknown === 1 ? 'stays' : 'stay'}`]
      : []),
  ]
  return `${losses.length > 0 ? drawn : ''}${more ? `The first ${losses.length} are shown.\n` : ''}Of ${counted(living, 'authorization')} ${parts.join(', ')}. Judged with what was last recorded of each person; a refresh asks the mesh anew.\n`
}
