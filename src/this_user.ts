/** Whom this process runs as. */
import { statSync } from 'node:fs'
import { userInfo } from 'node:os'

/** `name` is the number where nobody has given it a name, as in a container that runs as any user. */
export function thisUser(): { uid: number; name: string } {
  try {
    const { uid, username } = userInfo()
    return { uid, name: username }
  } catch {
    const { uid } = statSync('/proc/self')
    return { uid, name: String(uid) }
  }
}
