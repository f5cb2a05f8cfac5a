/** The policy in force, and how it stands with the file: one reference that is swapped whole, or not at all. */
import { hash } from 'node:crypto'
import type { Config } from '../config.ts'
import type { ActivePolicy, Log, PolicyProblem, PolicySource, PolicyState } from '../deps.ts'
import { allInWords, loadPolicy, PolicyError, preparePolicy, readPolicy, writableBy } from '../load_policy.ts'
import type { Problem } from '../policy/index.ts'
import { replace } from './replace.ts'

export type ReloadResult = { ok: true; hash: string } | { ok: false; problem: string; hash: string }

/** `was`: the policy that was in force before. */
export type Applied = { ok: true; policy: ActivePolicy; was: string } | { ok: false; problem: string; problems: readonly Problem[] }

export type PolicyInForce = {
  current: () => ActivePolicy
  state: () => PolicyState
  /** Loads the file, whether it has changed or not: the secrets that it names may have. The last good policy stays where it is not usable. */
  reload: (source?: PolicySource) => ReloadResult
  /** The file may have changed. Nothing happens where it holds what is in force, or what was refused before. */
  fileChanged: () => void
  /** Whether the file was refused for what is not in it, so that it may be usable without a change: a secret that is missing. */
  mayHeal: () => boolean
  /**
   * Puts `text` into the file and into force; with `dry_run` only finds out whether that would be done. `name`: what its problems call it. Throws
   * OAuthError where the file cannot be written.
   */
  apply: (text: { text: string; name: string }, how: { dry_run: boolean }) => Promise<Applied>
}

/** Loads the policy of this configuration. Throws PolicyError. */
export function createPolicyInForce(config: Config, { now, log }: { now: () => number; log: Log }): PolicyInForce {
  const file = config.policy_file
  let policy = loadPolicy(config, { source: 'start', loaded_at: now() })
  let problem: PolicyProblem | null = null
  /** Digest of the text that was refused for what stands in it. */
  let refused: string | null = null
  warn()

  function warn(): void {
    if (policy.warnings.length > 0) log.warn({ policy: policy.hash }, allInWords(file, policy.warnings))
    const open = config.development ? null : writableBy(file)
    if (open !== null) log.warn({ policy: policy.hash }, open)
  }

  function adopt(next: ActivePolicy): void {
    policy = next
    problem = null
    refused = null
    log.info({ policy: policy.hash, source: policy.source }, `policy ${policy.hash.slice(0, 12)} is in force`)
    warn()
  }

  function refuse(error: PolicyError, source: PolicySource, text: string | null): ReloadResult {
    const [first] = error.problems
    const { message } = error
    // The same again is news to whoever asked, and to nobody else.
    const known = source === 'watch' && problem?.message === message
    refused = text !== null && first ? hash('sha256', text) : null
    if (!known) {
      problem = { message, place: first ? { line: first.line, column: first.column } : null, since: now(), source }
      log.error({ policy: policy.hash, source }, `The new policy is not usable, so the last good one stays in force.\n${message}`)
    }
    return { ok: false, problem: message, hash: policy.hash }
  }

  function reload(source: PolicySource = 'reload'): ReloadResult {
    let text: string | null = null
    try {
      text = readPolicy(file)
      adopt(preparePolicy({ text, name: file }, config, { source, loaded_at: now() }))
      return { ok: true, hash: policy.hash }
    } catch (error) {
      if (error instanceof PolicyError) return refuse(error, source, text)
      throw error
    }
  }
  async function apply(text: { text: string; name: string }, { dry_run }: { dry_run: boolean }): Promise<Applied> {
    let next: ActivePolicy
    try {
      next = preparePolicy(text, config, { source: 'apply', loaded_at: now() })
    } catch (error) {
      if (error instanceof PolicyError) return { ok: false, problem: error.message, problems: error.problems }
      throw error
    }
    const replacement = await replace(file, text.text)
    const was = policy.hash
    if (dry_run) replacement.discard()
    else {
      replacement.put()
      adopt(next) // in the same moment, so that the watch finds nothing new
      await replacement.settled()
    }
    return { ok: true, policy: next, was }
  }

  return {
    current: () => policy,
    state: () => ({ file, hash: policy.hash, source: policy.source, loaded_at: policy.loaded_at, problem }),
    reload,
    apply,
    mayHeal: () => problem !== null && refused === null,
    fileChanged() {
      const found = digestOf(file)
      if (found === policy.hash && problem === null) return
      if (found !== null && found === refused) return
      reload('watch')
    },
  }
}

/** SHA-256 of what stands in the file; null where it cannot be read. */
function digestOf(file: string): string | null {
  try {
    return hash('sha256', readPolicy(file))
  } catch {
    return null
  }
}
