/** The one cookie that there is (RFC 6265): host-only, out of reach of scripts, not sent along by other sites' forms. */
import type { Request } from './endpoint.ts'

/** RFC 6265bis §4.1.3.2: the prefix makes browsers keep it for this host alone. On http (this computer only) there is no Secure. */
export const cookieName = (issuer: string): string => (issuer.startsWith('https:') ? '__Host-meshidp' : 'meshidp')

/** A `Set-Cookie` line. `maxAge`: seconds; 0 removes it. */
export const setCookie = (issuer: string, value: string, maxAge: number): string =>
  `${cookieName(issuer)}=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${issuer.startsWith('https:') ? '; Secure' : ''}`

/** The cookie's value. Undefined where there is none, or more than one: then somebody else may have put one there. */
export function readCookie({ headers }: Pick<Request, 'headers'>, issuer: string): string | undefined {
  const prefix = `${cookieName(issuer)}=`
  const found = (headers.cookie ?? '').split(';').flatMap((pair) => {
    const text = pair.trim()
    return text.startsWith(prefix) ? [text.slice(prefix.length)] : []
  })
  return found.length === 1 ? found[0] : undefined
}
