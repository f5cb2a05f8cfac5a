/** `meshidp doctor`: is everything well with this installation, and if not, what to do. */

import { systemClock } from '../daemon.ts'
import type { DaemonStatus } from '../doctor/check.ts'
import { type Examination, examinations } from '../doctor/index.ts'
import { OAuthError } from '../oauth/error.ts'
import { ask, NoState } from './ask.ts'
import type { Command } from './command.ts'
import { configOption, readConfig } from './config_file.ts'
import { inJson } from './json.ts'
import { harmless, type Paint, paintFor, type Style } from './paint.ts'

const signs: Record<Examination['outcome'], { sign: string; style: Style }> = {
  well: { sign: '✓', style: 'green' },
  skipped: { sign: '–', style: 'dim' },
  warning: { sign: '!', style: 'yellow' },
  fault: { sign: '✗', style: 'red' },
}

const widest = 36

/** One examination for people: a line; where something is wrong, why that matters and what to do below it. */
function shown({ outcome, title, found, why, ...more }: Examination, paint: Paint): string {
  const { sign, style } = signs[outcome]
  const line = `  ${paint(style, sign)} ${title.padEnd(widest)}  ${paint(outcome === 'skipped' ? 'dim' : style, harmless(found).replaceAll('\n', `\n${' '.repeat(widest + 6)}`))}\n`
  if (!('remedy' in more)) return line
  return `${line}      ${paint('dim', why)}\n      ${paint('bold', '→')} ${harmless(more.remedy)}\n`
}

/** What was found, as a sentence. */
function summary(all: readonly Examination[]): string {
  const count = (outcome: Examination['outcome'], word: string) => {
    const { length } = all.filter((one) => one.outcome === outcome)
    return length === 0 ? [] : [`${length} ${word}${length === 1 ? '' : 's'}`]
  }
  const faults = count('fault', 'fault')
  const parts = [`${all.length} checks`, ...faults, ...count('warning', 'warning'), ...count('skipped', 'skip')]
  return `${parts.join(', ')}. ${faults.length === 0 ? 'It is well.' : 'It is not well.'}\n`
}

export const doctor: Command = {
  summary: 'is everything well, and if not, what to do',
  description:
    'Checks the mesh, the policy, the state and the service, with a whole sign-in at the end. Run it as the user of the daemon, whether that runs or not. Exit codes: 0 no fault (there may be warnings), 1 a fault, 2 not understood.',
  options: { config: configOption, json: { type: 'boolean', help: 'print what was found as JSON' } },
  async run(terminal, values) {
    const config = readConfig(terminal, values)
    const credentials = terminal.env.CREDENTIALS_DIRECTORY
    const question = (action: string) => ask(config, action, {}, credentials)
    const daemon = await question('status').then(
      (answer) => answer as unknown as DaemonStatus,
      (error: Error) => (error instanceof NoState || error instanceof OAuthError ? null : error), // the latter: there is a state, and nobody uses it,
    )
    const signIn = () =>
      question('doctor.sign_in').then(
        ({ steps }) => steps as string[],
        (error: Error) => (error instanceof NoState ? null : Promise.reject(error)),
      )
    const all: Examination[] = []
    const paint = paintFor(terminal)
    let area = ''
    for await (const one of examinations({ config, now: systemClock, credentials, daemon, signIn })) {
      all.push(one)
      if (values.json) continue
      if (one.area !== area) terminal.write(`${area === '' ? '' : '\n'}${paint('bold', one.area)}\n`)
      area = one.area
      terminal.write(shown(one, paint))
    }
    const well = all.every(({ outcome }) => outcome !== 'fault')
    terminal.write(values.json ? inJson({ well, checks: all }) : `\n${summary(all)}`)
    return well ? 0 : 1
  },
}
