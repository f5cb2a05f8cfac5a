/** Network identity is ambient: a browser on the mesh carries it to every page it opens. What changes state must come from a page of ours. */
import { OAuthError } from '../oauth/error.ts'
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
 * Refuses what a page made a browser send, of whatever origin: for requests of programs that stand on network identity, such as the redemption of a token
 * that is bound to its machine. Throws `forbidden`.
 */
export function refuseBrowsers({ headers: { origin, 'sec-fetch-site': site } }: Pick<Request, 'headers'>): void {
  if (origin !== undefined || (site !== undefined && site !== 'none'))
    throw new OAuthError('forbidden', 'This token is bound to a machine, so it is given to programs of that machine, not to web pages.')
}

/**
 * Refuses what a page loads without going there, as a picture or by script: a person who signs in navigates (Fetch Metadata). Browsers send both headers;
 * programs that fetch send a mode alone, and mean no harm. Throws `forbidden`.
 */
export function requireNavigation({ headers: { 'sec-fetch-mode': mode, 'sec-fetch-site': site } }: Pick<Request, 'headers'>): void {
  if (site !== undefined && mode !== undefined && mode !== 'navigate')
    throw new OAuthError('forbidden', 'A sign-in is a page to go to; it cannot be loaded as a part of another page.')
}
