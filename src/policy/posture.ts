/** What a grant demands of the caller's node, of what whois says of it. */

import type { Path } from '../hujson/read.ts'
import type { Report } from '../hujson/report.ts'
import type { Principal } from '../oauth/principal.ts'
import type { GrantEntry } from './document.ts'
import { foldAscii } from './selector.ts'

/** One condition: whether it holds, and in words what it wants, as what follows "a node". */
type Condition = { holds: (principal: Principal) => boolean; wants: string }
export type Posture = readonly Condition[]

type Written = NonNullable<GrantEntry['posture']>

/** The conditions of one grant, all of which must hold. Reports a version without its system, and a posture that demands nothing. */
export function compilePosture({ os, os_version, tags, attributes, key_expiry }: Written, path: Path, report: Report): Posture {
  const conditions: Condition[] = []
  if (os) {
    const folded = new Set(os.map(foldAscii))
    conditions.push({
      holds: ({ node }) => node.os !== null && folded.has(foldAscii(node.os)),
      wants: `with os ${os.join(' or ')} (self-reported)`,
    })
  }
  if (os_version !== undefined) {
    if (os?.length !== 1)
      report.error(
        [...path, 'os_version'],
        'Versions of different systems cannot be compared: "os_version" needs exactly one "os" beside it.',
      )
    conditions.push({
      holds: ({ node }) => node.os_version !== null && isAtLeast(node.os_version, os_version),
      wants: `with os_version ${os_version} or later (self-reported)`,
    })
  }
  if (tags)
    conditions.push({
      holds: (principal) => principal.kind === 'node' && principal.tags.some((tag) => tags.includes(tag)),
      wants: `tagged ${tags.join(' or ')}`,
    })
  if (attributes)
    conditions.push({
      holds: ({ node }) => attributes.some((attribute) => node.attributes?.includes(attribute)),
      wants: `with the attribute ${attributes.join(' or ')}`,
    })
  if (key_expiry) conditions.push({ holds: ({ node }) => node.key_expiry !== null, wants: 'whose key expires' })
  if (conditions.length === 0) report.error(path, 'This posture demands nothing, so it may as well not be there.')
  return conditions
}

/** What whois doesn't tell is unknown, and the unknown meets no condition. */
export const hasPosture = (posture: Posture | null, principal: Principal | null): boolean =>
  posture === null || (principal !== null && posture.every(({ holds }) => holds(principal)))

/** What does not hold, each as what follows "a node". */
export const missingPosture = (posture: Posture | null, principal: Principal | null): string[] =>
  (posture ?? []).flatMap(({ holds, wants }) => (principal !== null && holds(principal) ? [] : [wants]))

/** Numbers with dots between them, at the beginning of what a system calls its version: "14.2.1", "6.1.0-13-amd64". A text without any is unknown. */
const numbersOf = (version: string): readonly number[] => (/^\d{1,9}(\.\d{1,9})*/.exec(version)?.[0] ?? '').split('.').map(Number)

/** "14.10" is later than "14.9", and "14.2" is "14.2.0". */
function isAtLeast(version: string, least: string): boolean {
  if (!/^\d/.test(version)) return false
  const [has, wants] = [numbersOf(version), numbersOf(least)]
  const at = wants.findIndex((number, index) => number !== (has[index] ?? 0))
  return at < 0 || (has[at] ?? 0) > (wants[at] ?? 0)
}
