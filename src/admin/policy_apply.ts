/** `meshidp policy apply`: a policy comes over the control socket, is judged as one on disk would be, and takes its place. */
import { z } from 'zod'
import type { AdminDeps } from './actions.ts'
import { noLongerGiven } from './no_longer_given.ts'

/** The losses that an answer tells one by one, at the most. */
const mostLosses = 1000

export const policyApplyInput = z.strictObject({
  text: z.string(),
  /** What problems call the text. */
  name: z.string(),
  dry_run: z.boolean().default(false),
  /** Whether authorizations end that the policy would not give; with `dry_run` they are only told. */
  revoke: z.boolean().default(false),
})

/** What came of it; where the policy is not usable: its problems, and that nothing has changed. Throws OAuthError where the file cannot be written. */
export async function applyPolicy(
  live: NonNullable<AdminDeps['live']>,
  { text, name, dry_run, revoke }: z.output<typeof policyApplyInput>,
): Promise<object> {
  const applied = await live.policyInForce.apply({ text, name }, { dry_run })
  const { file, hash } = live.policyState()
  if (!applied.ok) return { ...applied, file, hash }
  const { policy, was } = applied
  const losses = revoke ? { authorizations: await noLongerGiven(live, policy, { end: !dry_run, listed: mostLosses }) } : {}
  return { ok: true, dry_run, file, hash: policy.hash, was, warnings: policy.warnings, ...losses }
}
