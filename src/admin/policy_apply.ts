/** `meshidp policy apply`: a policy comes over the control socket, is judged as one on disk would be, and takes its place. */
import { z } from 'zod'
import type { AdminDeps } from './actions.ts'

export const policyApplyInput = z.strictObject({
  text: z.string(),
  /** What problems call the text. */
  name: z.string(),
  dry_run: z.boolean().default(false),
})

/** What came of it; where the policy is not usable: its problems, and that nothing has changed. Throws OAuthError where the file cannot be written. */
export async function applyPolicy(
  { policyInForce, policyState }: NonNullable<AdminDeps['live']>,
  { text, name, dry_run }: z.output<typeof policyApplyInput>,
): Promise<object> {
  const applied = await policyInForce.apply({ text, name }, { dry_run })
  const { file, hash } = policyState()
  if (!applied.ok) return { ...applied, file, hash }
  const { policy, was } = applied
  return { ok: true, dry_run, file, hash: policy.hash, was, warnings: policy.warnings }
}
