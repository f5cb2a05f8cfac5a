/** Network identity is ambient: a browser on the mesh carries it to every page it opens. What changes state must come from a page of ours. */
import type { Deps } from '../deps.ts'
import { isFunnelled } from '../identity/strategy.ts'
import { OAuthError } from '../oauth/error.ts'
import type { Caller } from '../oauth/principal.ts'
import type { Write } from '../store/engine.ts'
import type { Request } from './endpoint.ts'

/**
 * Refuses a request that a page of another site (or of another origin on ours) made the browser send. `Sec-Fetch-Site` decides where there is one;
 * an older browser must show our own Origin. Our pages send no referrer, so with `Sec-Fetch-Site: same-origin` an Origin of "null" is honest.
 * Throws `forbidden`.
 */
export function requireSameOrigin(request: Pick<Request, 'headers'>, issuer: string): void {
  const { origin, 'sec-fetch-site': site } = request.headers
  const ours = origin === new URL(issuer).origin
  const fine = site === undefined ? ours : site === 'same-origin' && (ours || origin === undefined || origin === 'null')
  if (!fine) throw notFromOurPage()
}

/** The refusal of what no page of ours would send. */
export const notFromOurPage = (): OAuthError =>
  new OAuthError(
    'forbidden',
    'This was not sent by a page of this server, so nothing was done. Open the page again and use its own buttons.',
  )

/**
 * What a request shows of who sends it, for what stands on the machine that it comes from: a client that is proven by it, a token that is bound to it. `caller`
 * refuses what a browser sends, of whatever origin (`forbidden`): any page could have made it do so. Throws `Unavailable` while the mesh is dark.
 */
export function credentialsOf({ identity }: Pick<Deps, 'identity'>, { headers, connection }: Pick<Request, 'headers' | 'connection'>) {
  return {
    authorization: headers.authorization,
    funnelled: isFunnelled(connection),
    spent: new Map<string, Write>(),
    async caller(): Promise<Caller> {
      if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined)
        throw new OAuthError('forbidden', 'This is bound to a machine, so it is for programs of that machine, not for web pages.')
      return identity.identify(connection)
    },
  }
}

/**
 * Refuses what a page loads without going there, as a picture or by script: a person who signs in navigates (Fetch Metadata). Browsers send both headers;
 * programs that fetch send a mode alone, and mean no harm. Refuses also what a browser loads in advance, for a link that nobody has followed yet
 * (`Sec-Purpose`, and `Purpose` of older ones): it asks again when somebody does. Throws `forbidden`.
 */
export function requireNavigation({ headers }: Pick<Request, 'headers'>): void {
  const { 'sec-fetch-mode': mode, 'sec-fetch-site': site, 'sec-purpose': purpose = headers.purpose } = headers
  if (site !== undefined && mode !== undefined && mode !== 'navigate')
    throw new OAuthError('forbidden', 'A sign-in is a page to go to; it cannot be loaded as a part of another page.')
  if (purpose?.toString().startsWith('prefetch'))
    throw new OAuthError('forbidden', 'A sign-in is a page to go to; it is not loaded before somebody does.')
}
