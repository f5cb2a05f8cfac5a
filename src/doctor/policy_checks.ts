/** Checks of the policy file and the secrets that it names. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { allInWords, PolicyError, writableBy } from '../load_policy.ts'
import { type Check, fault, skipped, warning, well } from './check.ts'

export const policyChecks: readonly Check[] = [
  {
    id: 'policy',
    title: 'the policy file',
    why: 'At the start an unusable policy is refused; later the last good one stays, and what was changed does not count.',
    run: ({ policy, config: { policy_file } }) =>
      policy instanceof PolicyError
        ? fault(policy.message, `Mend it; "meshidp policy check ${policy_file}" says more.`)
        : well(`${policy_file} compiles, and its tests pass.`),
  },
  {
    id: 'policy_warnings',
    title: 'what is odd in it',
    why: 'A warning is often a grant that gives nothing, or one that is about to end.',
    run({ policy, config: { policy_file } }) {
      if (policy instanceof PolicyError) return skipped('It is not usable.')
      if (policy.warnings.length === 0) return well('Nothing.')
      return warning(allInWords(policy_file, policy.warnings), `See: meshidp policy check ${policy_file}`)
    },
  },
  {
    id: 'policy_in_force',
    title: 'the policy in force',
    why: 'What stands in the file decides only once it is loaded.',
    run({ policy, daemon }) {
      if (daemon === null || daemon instanceof Error) return skipped('No daemon answers.')
      if (policy instanceof PolicyError)
        return fault(`${daemon.policy.hash.slice(0, 12)} stays in force; the file is not usable.`, 'Mend the file.')
      return daemon.policy.hash === policy.hash
        ? well(`${policy.hash.slice(0, 12)}, as in the file.`)
        : fault(`${daemon.policy.hash.slice(0, 12)}, but the file holds ${policy.hash.slice(0, 12)}.`, 'Run: meshidp reload')
    },
  },
  {
    id: 'policy_writers',
    title: 'who may write the policy',
    why: 'Whoever writes it decides everything.',
    run({ config: { policy_file, development } }) {
      const open = development ? null : writableBy(policy_file)
      return open === null ? well('Nobody but its owner.') : warning(open, `Run: chown root ${policy_file}; chmod 644 ${policy_file}`)
    },
  },
  {
    id: 'secrets',
    title: "secrets of the policy's clients",
    why: 'Who can read such a file can be that client.',
    run({ config: { secrets_directory } }) {
      let files: string[]
      try {
        files = readdirSync(secrets_directory).map((name) => join(secrets_directory, name))
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException
        return code === 'ENOENT'
          ? skipped(`There is no ${secrets_directory}.`)
          : warning(message, 'Run the doctor as the user that the daemon runs as.')
      }
      const open = files.map((file) => ({ file, stat: statSync(file) })).filter(({ stat }) => stat.isFile() && (stat.mode & 0o077) !== 0)
      return open.length === 0
        ? well(`Nobody else can read those in ${secrets_directory}.`)
        : warning(`Others can read ${open.map(({ file }) => file).join(', ')}.`, `Run: chmod 600 ${open.map(({ file }) => file).join(' ')}`)
    },
  },
]
