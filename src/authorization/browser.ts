/** With `sign_in: confirm`: whether this browser has been asked who sits before it. Network identity is ambient, so any page can send a browser here. */
import type { Deps } from '../deps.ts'
import { readCookie, setCookie } from '../http/cookie.ts'
import type { Request } from '../http/endpoint.ts'
import { browserMark, isBrowserMark } from '../oauth/browser_mark.ts'
import type { UserPrincipal } from '../oauth/principal.ts'

const whose = ({ user_id, node }: UserPrincipal) => ({ user_id, node_id: node.id })

/** Whether the person need not be asked: the configuration does not want it, or this browser has a cookie that was made for them at this machine. */
export function isBrowserKnown({ config, keys, now }: Deps, request: Request, principal: UserPrincipal): boolean {
  if (config.sign_in === 'ambient') return true
  const mark = readCookie(request, config.issuer)
  const times = { now: now(), lifetime: config.lifetimes.browser }
  return mark !== undefined && isBrowserMark(keys.succession, whose(principal), mark, times)
}

/** The header that makes the browser remember that its person was asked; none where that is not wanted. */
export function rememberBrowser({ config, keys, now }: Deps, principal: UserPrincipal): Record<string, string> {
  if (config.sign_in === 'ambient') return {}
  return { 'set-cookie': setCookie(config.issuer, browserMark(keys.succession, whose(principal), now()), config.lifetimes.browser) }
}

/** The header that makes the browser forget it. */
export const forgetBrowser = ({ config }: Deps): Record<string, string> => ({ 'set-cookie': setCookie(config.issuer, '', 0) })
