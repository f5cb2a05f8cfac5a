/** Grants with an end: said before it comes, so that nobody is surprised by it. */

import type { Problem } from '../hujson/problem.ts'
import { readHujson } from '../hujson/read.ts'
import { newReport } from '../hujson/report.ts'
import { policyDocument } from './document.ts'
import type { Policy } from './policy.ts'

/** So long before its end a grant is spoken of, in seconds. */
const ahead = 30 * 86_400

const dayOf = (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 10)

/**
 * A warning, with its place, for each grant of the policy that has expired or will within 30 days. The policy stays usable either way.
 * @param now seconds since the epoch
 */
export function expiryWarnings(policy: Pick<Policy, 'text'>, now: number): Problem[] {
  const read = readHujson(policy.text)
  const parsed = read.ok ? policyDocument.safeParse(read.hujson.value) : null
  if (!read.ok || !parsed?.success) return [] // never so: this text was compiled
  const report = newReport(read.hujson)
  for (const [index, { expires }] of (parsed.data.grants ?? []).entries()) {
    if (expires === undefined || now < expires - ahead) continue
    const place = ['grants', index, 'expires']
    if (now >= expires)
      report.warning(place, `Grant ${index + 1} has expired (${dayOf(expires)}), so it gives nothing. Remove it, or say a later date.`)
    else
      report.warning(
        place,
        `Grant ${index + 1} expires soon (${dayOf(expires)}); from then on it gives nothing. Say a later date if it should go on.`,
      )
  }
  return [...report.problems]
}
