import type { Deps } from '../deps.ts'
import { Unavailable } from '../oauth/error.ts'
import type { Credentials } from './method.ts'

/**
 * Answers what a client asks for. Where that fails because something is away, the mesh or the disk, what the client used up to prove itself is given back: so
 * the very same request may be sent again, as with `Retry-After` it is told to. Resolves and throws as `answer` does.
 */
export async function orGiveBack<T>({ store }: Deps, { spent }: Credentials, answer: () => Promise<T>): Promise<T> {
  try {
    return await answer()
  } catch (thrown) {
    // Where the disk is what fails, the client has to make a new one after all.
    if (thrown instanceof Unavailable && spent.size > 0) await store.commit([...spent.values()]).catch(() => {})
    throw thrown
  }
}
