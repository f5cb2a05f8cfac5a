/** Software that an admin named in the policy keeps its name for itself; a look-alike is at least shown as unverified. */
import { OAuthError } from '../oauth/error.ts'
import type { Policy } from '../policy/index.ts'

/** What a reader would take for the same name: case, width, spaces, marks, and what shows nothing make no other one. */
const folded = (name: string) =>
  name
    .normalize('NFKD')
    .replaceAll(/[^\p{L}\p{N}\p{P}\p{S}]|\u{2800}|\u{1d159}/gu, '')
    .toLowerCase()

/** Throws `invalid_client_metadata` where software that the policy does not name calls itself like one that it does. RFC 7591 §5. */
export function refuseOfficialName(policy: Policy, client_name: string | undefined): void {
  if (client_name === undefined) return
  const wanted = folded(client_name)
  for (const { title } of policy.clients.values())
    if (folded(title) === wanted)
      throw new OAuthError(
        'invalid_client_metadata',
        `The name ${JSON.stringify(client_name)} belongs to software that an admin named in the policy. Choose another client_name.`,
      )
}
