/** `meshidp init`: from a machine in a mesh to an installation that can be started. What is there already is left as it is. */
import { existsSync } from 'node:fs'
import { nameOf } from '../../identity/answers.ts'
import { thisUser } from '../../this_user.ts'
import type { Command, Terminal, Values } from '../command.ts'
import { configOption, defaultConfigFile } from '../config_file.ts'
import { doctor } from '../doctor.ts'
import { hasSystemd } from './machine.ts'
import { make, makeState } from './make.ts'
import { nextCommands } from './next.ts'
import { obstacles } from './obstacles.ts'
import { type Plan, planOf } from './plan.ts'

const line = (what: string, found: string) => `  ${what.padEnd(14)} ${found}\n`

/** What the mesh said, and who the admin is. */
function findings({ config, admin, status }: Plan): string {
  const { TailscaleIPs = [] } = status.Self ?? {}
  return [
    line('node', `${nameOf(status.Self)} (${TailscaleIPs?.join(', ')})`),
    line('issuer', config.issuer),
    ...(admin ? [line('admin', `${admin.login}, ${admin.because}`)] : []),
  ].join('')
}

/** Makes what the plan says, or only shows it, and says of each thing what became of it. */
async function carryOut({ file, config, configText, policyText }: Plan, terminal: Terminal, dry: boolean): Promise<void> {
  const files = [
    ['policy', config.policy_file, policyText],
    ['configuration', file, configText], // last, for it makes this an installation
  ] as const
  for (const [what, path, text] of files) {
    if (text !== null && !dry) make(path, text)
    terminal.write(line(what, `${path}, ${text === null ? 'there already, left as it is' : dry ? 'would be written:' : 'written'}`))
    if (text !== null && dry) terminal.write(`\n${text}\n`)
  }
  const { state_directory } = config
  const made = dry
    ? existsSync(state_directory)
      ? 'there already'
      : 'would be made'
    : await makeState(config, terminal.env.CREDENTIALS_DIRECTORY)
  terminal.write(line('state', `${state_directory}, ${made}`))
}

async function run(terminal: Terminal, values: Values): Promise<number> {
  const plan = await planOf(terminal, values)
  const { file, config, status } = plan
  const dry = values['dry-run'] === true
  // The service reads the usual configuration, and runs as a user of its own.
  const asService = file === defaultConfigFile && thisUser().uid === 0 && hasSystemd()
  terminal.write(findings(plan))
  await carryOut(plan, terminal, dry)
  terminal.write('\n')
  const verdict = dry ? 0 : await doctor.run(terminal, { ...values, config: file, json: false }, [])
  const open = await obstacles(config, status, { asService, dry })
  if (open.length > 0) terminal.write(`\nBefore it can serve:\n${open.map((one) => `  ${one.replaceAll('\n', '\n  ')}\n`).join('')}`)
  terminal.write(
    `\nNext:\n${nextCommands(config, file, asService)
      .map((command) => `  ${command}\n`)
      .join('')}`,
  )
  return verdict
}

export const init: Command = {
  summary: 'set this machine up: configuration, policy, state and keys',
  description: `Asks the mesh who this node is, writes a configuration and a policy to start from, makes the state directory and its keys, runs the doctor
over all of it, and prints what to run next. What is there already is never changed, so it can be run again, after whatever was missing.

The admin is whom --admin names; else whoever is here by SSH over the mesh; else the owner of this machine. Any key of the configuration that is
given goes into the file. Exit codes: 0 all is well, 1 something is missing, which is said with what to do, 2 not understood.

  sudo meshidp init
  sudo meshidp init --admin alice@example.com --mesh-identity serve
  meshidp init --config ./config.hujson --state-directory ./state --listen-port 8443`,
  options: {
    config: { ...configOption, help: `the configuration to write; default $MESHIDP_CONFIG, or ${defaultConfigFile}` },
    admin: { type: 'string', argument: 'LOGIN', help: 'who looks after it, by the name that the mesh calls them' },
    'dry-run': { type: 'boolean', help: 'print what would be written, and change nothing' },
  },
  run,
}
